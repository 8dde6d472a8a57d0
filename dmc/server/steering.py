"""`POST /api/v1/server/pause | resume | drain`: what `dmc broker` asks of the broker, over HTTP; for admins only.

It writes the wish down, durably, and answers with it; the broker follows within a quarter of a second, now or when it starts.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from dmc.broker.control import Control, Mode, Wished
from dmc.clock import Clock, rfc3339
from dmc.errors import BadRequest, UsageFault
from dmc.protocol import SERVER
from dmc.quiet_hours import moment_of, zone_of
from dmc.server.calls import Call, add
from dmc.server.offload import Offload
from dmc.server.replies import json_reply
from dmc.server.tokens import Scope


class SteerRequest(BaseModel):
    """Until when to pause or to drain (RFC 3339); `put_back`: do not freeze what runs, put it back."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    until: str | None = None
    put_back: bool = False


class SteerReply(BaseModel):
    """The mode that the broker is asked for."""

    model_config = ConfigDict(frozen=True)
    mode: str
    until: str | None = None


class Steering:
    """See the top of this file."""

    def __init__(self, *, control: Control, clock: Clock, offload: Offload) -> None:
        self._control = control
        self._clock = clock
        self._offload = offload

    def add_routes(self, app: web.Application) -> None:
        for verb, mode, words in (
            ("pause", Mode.PAUSE, "Begin nothing; what runs stands still"),
            ("drain", Mode.DRAIN, "Begin nothing; finish what runs"),
            ("resume", Mode.RUN, "Go on after pause or drain"),
        ):
            call = Call(words, Scope.ADMIN, SteerReply, 202, body=SteerRequest, refuses=(400,))
            add(app, "POST", f"{SERVER}/{verb}", self._asking(mode), call)

    def _asking(self, mode: Mode) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(request: web.Request) -> web.Response:
            wished = await self._offload.quick(self._ask, mode, _body(await request.read()))
            until = None if wished.until is None else rfc3339(wished.until)
            return json_reply(SteerReply(mode=wished.mode, until=until), status=202)

        return handler

    def _ask(self, mode: Mode, asked: SteerRequest) -> Wished:
        if asked.put_back and mode is not Mode.PAUSE:
            raise BadRequest("put_back goes with pause only.")
        try:
            until = None if asked.until is None else moment_of(asked.until, self._clock.now(), zone_of(""))
            return self._control.ask(Mode.PUT_BACK if asked.put_back else mode, until)
        except UsageFault as problem:
            raise BadRequest(problem.message, problem.hint) from None


def _body(content: bytes) -> SteerRequest:
    try:
        return SteerRequest.model_validate_json(content) if content.strip() else SteerRequest()
    except ValidationError:
        raise BadRequest('send nothing, or {"until": "2026-11-21T07:00:00Z"}.', 'With pause also "put_back": true.') from None
