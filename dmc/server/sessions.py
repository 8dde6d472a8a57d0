"""Page sessions: a browser signs in by a one-time code or a token, asks who it is, and signs out. They survive a restart."""

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from dmc.errors import BadRequest, SignInNeeded
from dmc.protocol import API
from dmc.server.auth import Auth, check_from_page
from dmc.server.calls import ANYBODY, Call, add
from dmc.server.offload import Offload
from dmc.server.peers import Peers
from dmc.server.rates import Rates
from dmc.server.replies import json_reply
from dmc.server.tokens import SESSION_VALID_S, Token, Tokens, csrf_of

SESSION = f"{API}/session"


class SignIn(BaseModel):
    """What the page sends to sign in: a one-time code or a token."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    code: str | None = None
    token: str | None = None


class SessionView(BaseModel):
    """Who is signed in; the page sends `csrf` along with every write, in `X-Dmc-Csrf`."""

    client_id: str
    name: str
    scopes: list[str]
    csrf: str


class Sessions:
    """The endpoints of page sessions."""

    def __init__(self, *, tokens: Tokens, auth: Auth, rates: Rates, peers: Peers, offload: Offload, cookie_path: str) -> None:
        self._tokens = tokens
        self._auth = auth
        self._rates = rates
        self._peers = peers
        self._offload = offload
        self._cookie_path = cookie_path

    def add_routes(self, app: web.Application) -> None:
        sign_in = Call("Sign a browser in", ANYBODY, body=SignIn, reply=SessionView, refuses=(400, 401))
        add(app, "POST", SESSION, self._sign_in, sign_in)
        add(app, "GET", SESSION, self._who, Call("Who is signed in here", ANYBODY, SessionView, also={204: None}), head=False)
        add(app, "DELETE", SESSION, self._sign_out, Call("Sign out", ANYBODY, status=204))

    async def _sign_in(self, request: web.Request) -> web.Response:
        try:
            asked = SignIn.model_validate_json(await request.read())
        except ValidationError:
            raise BadRequest("send a JSON object with either `code` or `token`.") from None
        self._rates.check_sign_in(request)
        opened = None
        if asked.code:
            opened = await self._offload.quick(self._tokens.sign_in, asked.code)
        elif asked.token:
            await self._offload.quick(self._tokens.refresh)
            opened = await self._offload.quick(self._tokens.open_session, asked.token.strip())
        if opened is None:
            self._rates.note_failure(request)
            raise SignInNeeded("this code or token is not valid.", "A sign-in link works once; make a new one, or paste a token.")
        secret, token = opened
        reply = json_reply(_view(token, secret))
        reply.set_cookie(
            self._auth.cookie,
            secret,
            max_age=SESSION_VALID_S,
            httponly=True,
            samesite="Strict",
            path=self._cookie_path,
            secure=self._peers.is_tls(request),
        )
        return reply

    async def _who(self, request: web.Request) -> web.Response:
        """204 for nobody, which is no error of a page that asks."""
        session = await self._auth.session_of(request)
        return web.Response(status=204) if session is None else json_reply(_view(session[1], session[0]))

    async def _sign_out(self, request: web.Request) -> web.Response:
        secret = request.cookies.get(self._auth.cookie, "")
        if secret:
            check_from_page(request, secret)
            await self._offload.quick(self._tokens.end_session, secret)
        reply = web.Response(status=204)
        reply.del_cookie(self._auth.cookie, path=self._cookie_path, httponly=True, samesite="Strict")
        return reply


def _view(token: Token, secret: str) -> SessionView:
    return SessionView(client_id=token.client_id, name=token.name, scopes=sorted(token.scopes), csrf=csrf_of(secret))
