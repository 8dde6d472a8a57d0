"""Who is asking: bearer tokens, page sessions by cookie, and the host names this server answers to.

Everything needs a token but what `OPEN_PATHS` and `OPEN_PREFIX` name. A cookie only counts for writes together with the
page's own header and origin, since browsers send cookies along for anybody. Reads tokens.py; holds no secrets itself.
"""

import hmac
import ipaddress
import platform
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import BaseModel, ConfigDict, ValidationError

from dmc.errors import BadRequest, DmcError, NotAllowed, SignInNeeded
from dmc.protocol import API, SERVER
from dmc.server.offload import Offload
from dmc.server.replies import HttpRefusal, json_reply
from dmc.server.tokens import SESSION_VALID_S, Scope, Token, Tokens, csrf_of

SESSION = f"{API}/session"
CSRF_HEADER = "X-Dmc-Csrf"
OPEN_PATHS = frozenset({"/", "/livez", "/readyz", SERVER, SESSION, "/favicon.ico"})
OPEN_PREFIX = "/web/"
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


class SignIn(BaseModel):
    """What the page sends to sign in: a one-time code or a token."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    code: str | None = None
    token: str | None = None


class Auth:
    """The middleware that knows callers, and the handlers of page sessions."""

    def __init__(self, tokens: Tokens, offload: Offload, *, instance_id: str, allowed_hosts: tuple[str, ...] = ()) -> None:
        self._tokens = tokens
        self._offload = offload
        # Cookies do not tell ports apart, so two servers on one machine need two names.
        self._cookie = f"dmc_{instance_id[:8]}"
        self._hosts = frozenset(host.lower() for host in allowed_hosts) | {"localhost", *_own_names()}

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post(SESSION, self._sign_in)
        app.router.add_get(SESSION, self._who, allow_head=False)
        app.router.add_delete(SESSION, self._sign_out)

    @property
    def middleware(self) -> Middleware:
        """Puts the caller into the request, or refuses it."""

        @web.middleware
        async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
            caller = await self._caller(request)
            if request.path not in TOLD_TO_ANYBODY and "Authorization" not in request.headers:
                self._check_host(request)
            if caller is not None:
                request[CALLER] = caller
            if request.path not in OPEN_PATHS and not request.path.startswith(OPEN_PREFIX):
                _check_scope(request, caller)
            return await handler(request)

        return identify

    def _check_host(self, request: web.Request) -> None:
        """Refuse names that are not ours: a page elsewhere may have pointed its own name at this address (DNS rebinding).

        Not for who shows a token: such a page has none.
        """
        host = _split(f"//{request.headers.get('Host', '')}").hostname or ""
        if host in self._hosts or _is_address(host):
            return
        raise HttpRefusal(403, "HostNotAllowed", f"this server does not answer to the name {host[:100]!r}.", "Name it in allowed_hosts.")

    async def _caller(self, request: web.Request) -> Caller | None:
        authorization = request.headers.get("Authorization")
        if authorization is not None:
            kind, _, secret = authorization.partition(" ")
            token = await self._known(self._tokens.find, secret.strip()) if kind.lower() == "bearer" else None
            if token is None and request.path not in OPEN_PATHS:
                raise SignInNeeded("the token is not known here, or was revoked.")
            return await self._noted(token)
        secret = request.cookies.get(self._cookie, "")
        token = await self._known(self._tokens.session, secret) if secret else None
        if token is not None and request.path not in OPEN_PATHS and _scope_of(request) is not Scope.READ:
            _check_same_origin(request, secret)
        return await self._noted(token)

    async def still_known(self, request: web.Request) -> bool:
        """Whether the caller of a request that goes on and on is who it was, and may still read."""
        try:
            caller = await self._caller(request)
        except DmcError:
            return False
        return caller is not None and caller == request.get(CALLER)

    async def _known(self, look: Callable[[str], Token | None], secret: str) -> Token | None:
        await self._offload.quick(self._tokens.refresh)
        return look(secret)

    async def _noted(self, token: Token | None) -> Caller | None:
        if token is None:
            return None
        if self._tokens.needs_note(token):
            await self._offload.quick(self._tokens.note_use, token.name)
        return Caller(token.name, token.client_id, token.scopes)

    async def _sign_in(self, request: web.Request) -> web.Response:
        try:
            asked = SignIn.model_validate_json(await request.read())
        except ValidationError:
            raise BadRequest("send a JSON object with either `code` or `token`.") from None
        opened = None
        if asked.code:
            opened = await self._offload.quick(self._tokens.sign_in, asked.code)
        elif asked.token:
            await self._offload.quick(self._tokens.refresh)
            opened = await self._offload.quick(self._tokens.open_session, asked.token.strip())
        if opened is None:
            raise SignInNeeded("this code or token is not valid.", "A sign-in link works once; make a new one, or paste a token.")
        secret, token = opened
        reply = json_reply(_session_view(token, secret))
        reply.set_cookie(
            self._cookie, secret, max_age=SESSION_VALID_S, httponly=True, samesite="Strict", path="/", secure=request.scheme == "https"
        )
        return reply

    async def _who(self, request: web.Request) -> web.Response:
        """Who is signed in here; 204 for nobody, which is no error of a page that asks."""
        secret = request.cookies.get(self._cookie, "")
        token = await self._known(self._tokens.session, secret) if secret else None
        if token is None:
            return web.Response(status=204)
        return json_reply(_session_view(token, secret))

    async def _sign_out(self, request: web.Request) -> web.Response:
        secret = request.cookies.get(self._cookie, "")
        if secret:
            _check_same_origin(request, secret)
            await self._offload.quick(self._tokens.end_session, secret)
        reply = web.Response(status=204)
        reply.del_cookie(self._cookie, path="/", httponly=True, samesite="Strict")
        return reply


def _own_names() -> set[str]:
    """What this machine calls itself, with and without the ending of the local network. Nobody outside can own these."""
    name = platform.node().lower()
    return {name, f"{name.partition('.')[0]}.local"} if name else set()


def caller_of(request: web.Request) -> Caller:
    """Who a request comes from; only for paths that need a token."""
    return request[CALLER]


def _scope_of(request: web.Request) -> Scope:
    method = request.headers.get("X-HTTP-Method-Override", request.method).upper()
    return Scope.READ if {method, request.method} <= {"GET", "HEAD", "OPTIONS"} else Scope.WRITE


def _check_scope(request: web.Request, caller: Caller | None) -> None:
    if caller is None:
        raise HttpRefusal(401, "SignInNeeded", "this needs a token.", SignInNeeded.default_hint, {"WWW-Authenticate": 'Bearer realm="dmc"'})
    wanted = _scope_of(request)
    if not caller.may(wanted):
        raise NotAllowed(f"the token {caller.name!r} may not {wanted} here.", "Ask for a token with that scope.")


def _check_same_origin(request: web.Request, session_secret: str) -> None:
    origin = _split(request.headers.get("Origin", "")).netloc
    sent = request.headers.get(CSRF_HEADER, "")
    if origin != request.host or not hmac.compare_digest(sent.encode(), csrf_of(session_secret).encode()):
        raise HttpRefusal(403, "NotFromThePage", "a page session may only write from this server's own page.", "Reload the page.")


def _session_view(token: Token, secret: str) -> dict[str, object]:
    return {"client_id": token.client_id, "name": token.name, "scopes": sorted(token.scopes), "csrf": csrf_of(secret)}


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
