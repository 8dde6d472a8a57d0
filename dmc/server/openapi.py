"""The API in OpenAPI 3.1, made from the calls and their models; and as a page that people can read. Pure but for the two routes.

Nothing is written twice: what a call takes and answers stands beside its route (calls.py), and models are those that check.
"""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import dmc
from dmc.protocol import API, ErrorBody
from dmc.server.calls import CALLS, Call, Calls, Parameter, add
from dmc.server.outside import outside_of
from dmc.server.reference import POLICY, render

OPENAPI = f"{API}/openapi.json"
DOCS = "/api/docs"

MEANINGS = {
    200: "Done",
    201: "Made",
    202: "Noted; it is done soon",
    204: "Done, nothing to say",
    206: "A part of it",
    304: "Not changed",
    400: "The request does not fit",
    401: "A token is needed, or this one is not known",
    403: "Not allowed for this token, page or host name",
    404: "There is no such thing, or none that this token may see",
    408: "Nothing came for too long",
    405: "This method means nothing here",
    409: "Its state does not allow that",
    410: "It is gone",
    412: "A condition does not hold",
    413: "Too large",
    415: "Of a kind that is not taken",
    416: "There is no such part",
    417: "An expectation that cannot be met",
    422: "Understood, but not possible",
    423: "Somebody else has it",
    429: "Too often; wait as Retry-After says",
    460: "The bytes are not those that were announced",
    500: "A fault of the server, with an id that its log has",
    503: "Not now; try again",
    507: "No room on the disk",
}

_MODEL = "#/components/schemas/{model}"


class OpenApi:
    """`/api/v1/openapi.json` and `/api/docs`, made when somebody asks first."""

    def __init__(self) -> None:
        self._made: tuple[bytes, bytes] | None = None

    def add_routes(self, app: web.Application) -> None:
        add(app, "GET", OPENAPI, self._document, Call("This document", reply="application/json"))
        add(app, "GET", DOCS, self._page, Call("This document, for people", reply="text/html"))

    async def _document(self, request: web.Request) -> web.Response:
        return web.Response(body=self._both(request)[0], content_type="application/json", headers={"Cache-Control": "no-cache"})

    async def _page(self, request: web.Request) -> web.Response:
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": POLICY}
        return web.Response(body=self._both(request)[1], content_type="text/html", charset="utf-8", headers=headers)

    def _both(self, request: web.Request) -> tuple[bytes, bytes]:
        if self._made is None:
            document = describe(request.app[CALLS], outside_of(request.app).base)
            self._made = json.dumps(document).encode(), render(document).encode()
        return self._made


def describe(calls: Calls, base: str = "") -> dict[str, Any]:
    """The OpenAPI document of `calls`, which stand below `base`."""
    models = {model for call in calls.values() for model in _models(call)} | {ErrorBody}
    _, schemas = models_json_schema([(m, "validation") for m in sorted(models, key=lambda m: m.__name__)], ref_template=_MODEL)
    paths: dict[str, dict[str, Any]] = {}
    shown: dict[str, str] = {}
    for (method, path), call in sorted(calls.items()):
        # Two paths that differ in the names of their variables only are one path to OpenAPI.
        name = shown.setdefault(re.sub(r"\{\w+\}", "{}", path), path)
        paths.setdefault(name, {})[method.lower()] = _operation(method, name, call)
    return {
        "openapi": "3.1.0",
        "info": {"title": "dmc", "version": dmc.__version__, "summary": "Files in, converted and verified files out."},
        **({"servers": [{"url": base}]} if base else {}),
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _models(call: Call) -> set[type[BaseModel]]:
    return {each for each in (call.body, call.reply, *call.also.values()) if isinstance(each, type)}


def _operation(method: str, path: str, call: Call) -> dict[str, Any]:
    spoken = re.sub(r"[^a-z0-9]+", "_", f"{method} {path.removeprefix(API)}".lower()).strip("_")
    told: dict[str, Any] = {"operationId": spoken, "summary": call.summary, "responses": _responses(method, call)}
    told["security"] = [] if call.scope is None else [{"token": []}]
    if call.scope is not None:
        told["description"] = f"Needs the scope `{call.scope}`."
    variables = [{"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in re.findall(r"\{(\w+)\}", path)]
    parameters = variables + [_parameter(p, "query") for p in call.query] + [_parameter(p, "header") for p in call.headers]
    if parameters:
        told["parameters"] = parameters
    if call.body is not None:
        # Where nothing is sent, what is sent otherwise is said by default values.
        required = not (isinstance(call.body, type) and not any(f.is_required() for f in call.body.model_fields.values()))
        told["requestBody"] = {"required": required, "content": _content(call.body)}
    return told


def _responses(method: str, call: Call) -> dict[str, Any]:
    good: dict[int, Any] = {call.status: call.reply, **call.also}
    told = {str(code): _response(code, None if method == "HEAD" else reply) for code, reply in sorted(good.items())}
    for code in sorted(call.codes - good.keys()):
        told[str(code)] = _response(code, None if method == "HEAD" else ErrorBody)
    return told


def _response(code: int, reply: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"description": MEANINGS.get(code) or HTTPStatus(code).phrase}
    if reply is not None:
        told["content"] = _content(reply)
    return told


def _content(what: type[BaseModel] | str | tuple[str, ...]) -> Mapping[str, Any]:
    if isinstance(what, type):
        return {"application/json": {"schema": {"$ref": _MODEL.format(model=what.__name__)}}}
    return {each: {} for each in ((what,) if isinstance(what, str) else what)}


def _parameter(parameter: Parameter, place: str) -> dict[str, Any]:
    told = {"name": parameter.name, "in": place, "description": parameter.about, "schema": dict(parameter.schema)}
    return told | ({"required": True} if parameter.required else {})
