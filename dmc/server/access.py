"""Who has access, for admins: tokens without their secrets, revoking one, and when each client was here last."""

from aiohttp import web
from pydantic import BaseModel

from dmc.clock import rfc3339
from dmc.protocol import API
from dmc.server.auth import Auth
from dmc.server.calls import Call, add
from dmc.server.offload import Offload
from dmc.server.replies import json_reply
from dmc.server.tokens import Scope, Token, Tokens

TOKENS = f"{API}/tokens"
CLIENTS = f"{API}/clients"


class TokenView(BaseModel):
    """A token as it may be shown."""

    name: str
    client_id: str
    scopes: list[str]
    created_at: str
    last_used_at: str | None


class TokenList(BaseModel):
    tokens: list[TokenView]


class ClientView(BaseModel):
    """A client, which may have several tokens. `last_seen_at`: to the second while the server runs, else to the hour; None: never."""

    client_id: str
    tokens: list[str]
    last_seen_at: str | None


class ClientList(BaseModel):
    clients: list[ClientView]


class Access:
    """The endpoints of tokens and clients."""

    def __init__(self, *, tokens: Tokens, auth: Auth, offload: Offload) -> None:
        self._tokens = tokens
        self._auth = auth
        self._offload = offload

    def add_routes(self, app: web.Application) -> None:
        add(app, "GET", TOKENS, self._list, Call("List the tokens, without their secrets", Scope.ADMIN, TokenList))
        revoke = Call("End a token and the page sessions that came from it", Scope.ADMIN, status=204, refuses=(404,))
        add(app, "DELETE", TOKENS + "/{name}", self._revoke, revoke)
        add(app, "GET", CLIENTS, self._clients, Call("List the clients, and when each was here last", Scope.ADMIN, ClientList))

    async def _list(self, _: web.Request) -> web.Response:
        return json_reply(TokenList(tokens=[_view(token) for token in await self._offload.quick(self._tokens.list)]))

    async def _revoke(self, request: web.Request) -> web.Response:
        await self._offload.quick(self._tokens.revoke, request.match_info["name"])
        return web.Response(status=204)

    async def _clients(self, _: web.Request) -> web.Response:
        return json_reply(ClientList(clients=await self._offload.quick(self.clients)))

    def clients(self) -> list[ClientView]:
        """Every client that has a token, by name. Blocking."""
        by_client: dict[str, list[Token]] = {}
        for token in self._tokens.list():
            by_client.setdefault(token.client_id, []).append(token)
        return [self._client(client_id, tokens) for client_id, tokens in sorted(by_client.items())]

    def _client(self, client_id: str, tokens: list[Token]) -> ClientView:
        seen = [token.last_used_at for token in tokens if token.last_used_at is not None]
        here = self._auth.last_seen(client_id)
        if here is not None:
            seen.append(rfc3339(here))
        return ClientView(client_id=client_id, tokens=[token.name for token in tokens], last_seen_at=max(seen, default=None))


def _view(token: Token) -> TokenView:
    return TokenView(
        name=token.name,
        client_id=token.client_id,
        scopes=sorted(token.scopes),
        created_at=token.created_at,
        last_used_at=token.last_used_at,
    )
