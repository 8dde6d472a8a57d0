"""A new client's way in: an admin makes a short code on the page, the client trades it for a token of its own.

Codes live in memory only: a restart ends them. Guessing is bounded twice: an address that fails too often is refused
(rates.py), and every code is void after a few wrong tries, whoever made them.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dmc.clock import Clock, rfc3339
from dmc.errors import BadRequest, Busy, SignInNeeded, WrongStatus
from dmc.log import Log
from dmc.pairing import CODE_VALID_S, MOST_NAME, PAIR, PAIR_CODES, PairCode, PairReply, PairRequest, new_code, same_code
from dmc.protocol import Identity
from dmc.server.calls import ANYBODY, Call, add
from dmc.server.offload import Offload
from dmc.server.rates import Rates
from dmc.server.replies import json_reply
from dmc.server.tokens import Scope, Tokens

MOST_TRIES = 10
"""Wrong tries, at whichever code they were aimed, after which a code is void."""

MOST_CODES = 20

log = Log("server")


class CodeRequest(BaseModel):
    """What the client's token shall be good for."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    scopes: list[Scope] = Field(default=[Scope.READ, Scope.WRITE], min_length=1, max_length=3)


@dataclass
class _Code:
    text: str
    scopes: tuple[Scope, ...]
    expires_at: datetime
    tries: int = 0


class Codes:
    """The codes that are good now. Belongs to the event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: list[_Code] = []

    def make(self, scopes: tuple[Scope, ...]) -> tuple[str, datetime]:
        """A new code and until when it is good; raises Busy."""
        self._forget()
        if len(self._open) >= MOST_CODES:
            raise Busy(f"there are {MOST_CODES} codes already that nobody used.", "They end after ten minutes.")
        made = _Code(new_code(), scopes, self._clock.now() + timedelta(seconds=CODE_VALID_S))
        self._open.append(made)
        return made.text, made.expires_at

    def use(self, text: str) -> tuple[Scope, ...] | None:
        """The scopes of a code, which is used up by it; None for a wrong one, which counts against all that are open."""
        self._forget()
        found = next((code for code in self._open if same_code(code.text, text)), None)
        if found is None:
            for code in self._open:
                code.tries += 1
            return None
        self._open.remove(found)
        return found.scopes

    def _forget(self) -> None:
        now = self._clock.now()
        self._open = [code for code in self._open if code.expires_at > now and code.tries < MOST_TRIES]


class Pairing:
    """The endpoints of pairing."""

    def __init__(
        self, *, tokens: Tokens, rates: Rates, clock: Clock, offload: Offload, identity: Identity, fingerprint: str | None = None
    ) -> None:
        self._tokens = tokens
        self._rates = rates
        self._offload = offload
        self._identity = identity
        self._fingerprint = fingerprint
        self._codes = Codes(clock)

    def add_routes(self, app: web.Application) -> None:
        make = Call("Make a code for a new client", Scope.ADMIN, body=CodeRequest, reply=PairCode, status=201, refuses=(400,))
        add(app, "POST", PAIR_CODES, self._make, make)
        pair = Call("Trade a code for a token", ANYBODY, body=PairRequest, reply=PairReply, status=201, refuses=(400, 401))
        add(app, "POST", PAIR, self._pair, pair)

    async def _make(self, request: web.Request) -> web.Response:
        text = await request.read()
        try:
            asked = CodeRequest.model_validate_json(text) if text else CodeRequest()
        except ValidationError:
            raise BadRequest('send nothing, or {"scopes": ["read", "write"]}.') from None
        code, expires_at = self._codes.make(tuple(asked.scopes))
        reply = PairCode(code=code, expires_at=rfc3339(expires_at), valid_s=CODE_VALID_S, fingerprint=self._fingerprint)
        return json_reply(reply, status=201)

    async def _pair(self, request: web.Request) -> web.Response:
        try:
            asked = PairRequest.model_validate_json(await request.read())
        except ValidationError:
            raise BadRequest('send {"code": "ABCDEFGH", "client_name": "laptop"}.') from None
        if not asked.client_name.isprintable() or not asked.client_name.strip():
            raise BadRequest("the name of a client has printable characters only.")
        self._rates.check_sign_in(request)
        scopes = self._codes.use(asked.code)
        if scopes is None:
            self._rates.note_failure(request)
            raise SignInNeeded("this code is not good.", "A code works once and for ten minutes; make a new one on the server's page.")
        name, secret = await self._offload.quick(self._new_token, asked.client_name, scopes)
        log.info("a client was paired", client=name, scopes=",".join(scopes))
        reply = PairReply(token=secret, client_id=name, scopes=sorted(scopes), server=self._identity, fingerprint=self._fingerprint)
        return json_reply(reply, status=201)

    def _new_token(self, wanted: str, scopes: tuple[Scope, ...]) -> tuple[str, str]:
        """A token under the wanted name, or the next that is free: two clients must not own the same items by accident. Blocking."""
        taken = {token.name for token in self._tokens.list()} | {token.client_id for token in self._tokens.list()}
        number = 1
        while True:
            name = wanted if number == 1 else f"{wanted[: MOST_NAME - 10]}-{number}"
            number += 1
            if name in taken:
                continue
            try:
                return name, self._tokens.create(name, scopes)
            except WrongStatus:
                continue  # Another process was quicker.
