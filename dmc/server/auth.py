"""Who is asking: bearer tokens, page sessions by cookie, and the host names and origins this server answers to.

What a caller needs is declared with each call (calls.py); what is declared nowhere needs a token. A cookie only counts
for writes together with the page's own header, since browsers send cookies along for anybody. Holds no secrets itself.
"""

import hmac
import ipaddress
import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import SplitResult, urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from dmc.clock import Clock
from dmc.errors import DmcError, NotAllowed, SignInNeeded
from dmc.protocol import SERVER
from dmc.server.calls import SAFE, call_of, method_of
from dmc.server.offload import Offload
from dmc.server.outside import inner_path
from dmc.server.peers import Peers
from dmc.server.rates import Rates
from dmc.server.replies import HttpRefusal
from dmc.server.tokens import Scope, Token, Tokens, csrf_of

CSRF_HEADER = "X-Dmc-Csrf"
TOLD_TO_ANYBODY = frozenset({"/livez", "/readyz", SERVER})
"""Answered under any host name: they give nothing away, and a client asks one of them before it shows its token."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request comes from."""

    name: str
    client_id: str
    scopes: frozenset[Scope]

    @property
    def is_admin(self) -> bool:
        return Scope.ADMIN in self.scopes

    def may(self, scope: Scope) -> bool:
        return self.is_admin or scope in self.scopes

    def sees(self, client_id: str) -> bool:
        """Whether items of `client_id` exist for this caller."""
        return self.is_admin or client_id == self.client_id


CALLER = web.RequestKey("caller", Caller)


class Auth:
    """The middleware that knows callers."""

    def __init__(
        self,
        tokens: Tokens,
        offload: Offload,
        *,
        rates: Rates,
        peers: Peers,
        clock: Clock,
        instance_id: str,
        allowed_hosts: tuple[str, ...] = (),
    ) -> None:
        self._tokens = tokens
        self._offload = offload
        self._rates = rates
        self._peers = peers
        self._clock = clock
        # Cookies do not tell ports apart, so two servers on one machine need two names.
        self.cookie = f"dmc_{instance_id[:8]}"
        self._hosts = frozenset(host.lower() for host in allowed_hosts) | {"localhost", *_own_names()}
        self._seen: dict[str, datetime] = {}

    @property
    def middleware(self) -> Middleware:
        """Puts the caller into the request, or refuses it."""

        @web.middleware
        async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._check_origin(request)
            if inner_path(request) not in TOLD_TO_ANYBODY and "Authorization" not in request.headers:
                self._check_host(request)
            wanted = _wanted(request)
            caller = await self._caller(request, wanted)
            if caller is not None:
                request[CALLER] = caller
                self._seen[caller.client_id] = self._clock.now()
            if wanted is not None:
                _check_scope(caller, wanted)
            return await handler(request)

        return identify

    def last_seen(self, client_id: str) -> datetime | None:
        """When a client was here last, since this server runs."""
        return self._seen.get(client_id)

    async def session_of(self, request: web.Request) -> tuple[str, Token] | None:
        """The secret and the token of the page session that a request carries."""
        secret = request.cookies.get(self.cookie, "")
        token = await self._known(self._tokens.session, secret) if secret else None
        return None if token is None else (secret, token)

    async def still_known(self, request: web.Request) -> bool:
        """Whether the caller of a request that goes on and on is who it was, and may still read."""
        try:
            caller = await self._caller(request, Scope.READ)
        except DmcError:
            return False
        return caller is not None and caller == request.get(CALLER)

    def _check_origin(self, request: web.Request) -> None:
        """Refuse what a page of somebody else sends: no such page has business here, with whatever credentials."""
        if "Origin" not in request.headers:
            return
        origin = _split(request.headers["Origin"]).netloc.lower()
        if not origin or (origin not in {request.host.lower(), self._peers.host_of(request).lower(), *self._hosts}):
            raise HttpRefusal(403, "ForeignOrigin", "a page of another origin may not ask this server.", "Name its host in allowed_hosts.")

    def _check_host(self, request: web.Request) -> None:
        """Refuse names that are not ours: a page elsewhere may have pointed its own name at this address (DNS rebinding).

        Not for who shows a token: such a page has none. Behind a proxy both names must be ours, the one that it asks by and
        the one that it tells of: a careless one passes on whatever such a page writes there.
        """
        for name in (request.headers.get("Host", ""), self._peers.host_of(request)):
            host = _split(f"//{name}").hostname or ""
            if host not in self._hosts and not _is_address(host):
                raise HttpRefusal(
                    403, "HostNotAllowed", f"this server does not answer to the name {host[:100]!r}.", "Name it in allowed_hosts."
                )

    async def _caller(self, request: web.Request, wanted: Scope | None) -> Caller | None:
        """Who asks; a wrong token is no caller where none is wanted, and refused elsewhere."""
        authorization = request.headers.get("Authorization")
        if authorization is not None:
            kind, _, secret = authorization.partition(" ")
            token = await self._known(self._tokens.find, secret.strip()) if kind.lower() == "bearer" else None
            if token is None and wanted is not None:
                self._rates.note_failure(request)
                raise SignInNeeded("the token is not known here, or was revoked.")
            return await self._noted(token)
        session = await self.session_of(request)
        if session is None:
            return None
        if wanted is not None and not {request.method, method_of(request)} <= SAFE:
            check_from_page(request, session[0])
        return await self._noted(session[1])

    async def _known(self, look: Callable[[str], Token | None], secret: str) -> Token | None:
        await self._offload.quick(self._tokens.refresh)
        return look(secret)

    async def _noted(self, token: Token | None) -> Caller | None:
        if token is None:
            return None
        if self._tokens.needs_note(token):
            await self._offload.quick(self._tokens.note_use, token.name)
        return Caller(token.name, token.client_id, token.scopes)


def check_from_page(request: web.Request, session_secret: str) -> None:
    """Refuse a write that only rides on a cookie: the page sends its origin, and a field that nobody else can know."""
    sent = request.headers.get(CSRF_HEADER, "")
    if "Origin" not in request.headers or not hmac.compare_digest(sent.encode(), csrf_of(session_secret).encode()):
        raise HttpRefusal(403, "NotFromThePage", "a page session may only write from this server's own page.", "Reload the page.")


def caller_of(request: web.Request) -> Caller:
    """Who a request comes from; only for calls that need a token."""
    return request[CALLER]


def _own_names() -> set[str]:
    """What this machine calls itself, with and without the ending of the local network. Nobody outside can own these."""
    name = platform.node().lower()
    return {name, f"{name.partition('.')[0]}.local"} if name else set()


def _wanted(request: web.Request) -> Scope | None:
    """The scope that a request needs; None where anybody may ask."""
    call = call_of(request)
    if call is not None:
        return call.scope
    return Scope.READ if {request.method, method_of(request)} <= SAFE else Scope.WRITE


def _check_scope(caller: Caller | None, wanted: Scope) -> None:
    if caller is None:
        raise HttpRefusal(401, "SignInNeeded", "this needs a token.", SignInNeeded.default_hint, {"WWW-Authenticate": 'Bearer realm="dmc"'})
    if not caller.may(wanted):
        raise NotAllowed(f"the token {caller.name!r} may not {wanted} here.", "Ask for a token with that scope.")


def _split(address: str) -> SplitResult:
    """The parts of an address; all of them empty if it is none."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
