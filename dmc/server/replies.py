"""Answers that are not bytes of an item: JSON, and errors in the one shape of the interface.

`HttpRefusal` is for what only HTTP knows (a wrong offset, a missing header); every other error gets its status from
protocol.py. Nothing here decides anything.
"""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from dmc.errors import DmcError, Refused, Unavailable
from dmc.protocol import ErrorBody, ErrorDetail, http_status

REASONS = {460: "Checksum Mismatch"}
"""Reason phrases of codes that HTTP does not name."""

RETRY_AFTER_S = 5


class HttpRefusal(Refused):
    """A refusal with a status of its own, and with header fields that belong to it."""

    def __init__(
        self, status: int, code: str, message: str, hint: str = "", headers: Mapping[str, str] | None = None, *, tus: str = ""
    ) -> None:
        super().__init__(message, hint, code=code)
        self.status = status
        self.headers = dict(headers or {})
        self.tus = tus
        """The word that other tus servers use for it; told beside our own code."""


def status_of(problem: DmcError) -> int:
    """The HTTP status that tells `problem`."""
    return problem.status if isinstance(problem, HttpRefusal) else http_status(problem)


def error_reply(problem: DmcError, request_id: str) -> web.Response:
    """The answer that tells `problem`; the connection is closed after it if the request's body was not read."""
    status = status_of(problem)
    headers = dict(problem.headers) if isinstance(problem, HttpRefusal) else {}
    if status in (429, 503, 507) or (isinstance(problem, Unavailable) and status == 423):
        headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    body = ErrorBody(error=ErrorDetail(code=problem.code, message=problem.message, hint=problem.hint, request_id=request_id))
    said = body.model_dump()
    if isinstance(problem, HttpRefusal) and problem.tus:
        said["tus"] = problem.tus
    return json_reply(said, status=status, headers=headers)


def json_reply(body: BaseModel | dict[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """`body` as JSON; not to be stored by caches unless `headers` say otherwise."""
    text = body.model_dump_json() if isinstance(body, BaseModel) else json.dumps(body)
    fields = {"Cache-Control": "no-store", **(headers or {})}
    return web.Response(text=text, status=status, reason=REASONS.get(status), headers=fields, content_type="application/json")
