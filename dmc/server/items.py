"""Items over HTTP: one, several, all of a client in pages; and the wishes somebody may have of them.

It reads the ledger and leaves wishes; statuses are the broker's. An item of somebody else does not exist here (404),
unless the caller is an admin.
"""

from collections.abc import Callable
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from dmc.broker.ledger import Ledger
from dmc.broker.storage import Storage
from dmc.broker.wishes import acknowledge, wish
from dmc.clock import Clock
from dmc.errors import BadRequest, NotAllowed, UnknownItem
from dmc.items import Item, Wish
from dmc.protocol import ITEMS, PAGE_LIMIT, AcknowledgeRequest, ItemPage, ItemView
from dmc.server.asked import LISTED_BY, asked_of, limit_of
from dmc.server.auth import Caller, caller_of
from dmc.server.calls import Call, Parameter, add
from dmc.server.offload import Offload
from dmc.server.overview import Asked, Overview, is_shown
from dmc.server.replies import json_reply
from dmc.server.tokens import Scope
from dmc.server.views import Views

IF_NONE_MATCH = Parameter("If-None-Match", "The ETag of what is known already")

_WISHES = (
    ("POST", "/cancel", Wish.CANCEL, "Stop a conversion, or do not begin it"),
    ("POST", "/retry", Wish.RETRY, "Convert anew what failed or was cancelled"),
)


class Items:
    """The item endpoints that carry no bytes."""

    def __init__(self, *, ledger: Ledger, storage: Storage, overview: Overview, views: Views, clock: Clock, offload: Offload) -> None:
        self._ledger = ledger
        self._storage = storage
        self._overview = overview
        self._views = views
        self._clock = clock
        self._offload = offload

    def add_routes(self, app: web.Application) -> None:
        add(app, "GET", ITEMS, self._list, Call("Items, the newest first", reply=ItemPage, query=LISTED_BY, refuses=(400,)))
        one = Call("One item", reply=ItemView, headers=(IF_NONE_MATCH,), also={304: None}, refuses=(404,))
        add(app, "GET", ITEMS + "/{item_id}", self._one, one)
        for method, path, what, words in _WISHES:
            told = Call(words, Scope.WRITE, ItemView, 202, refuses=(404, 409))
            add(app, method, ITEMS + "/{item_id}" + path, self._wishing(what), told)
        told = Call("Say that the result is safe", Scope.WRITE, ItemView, 202, body=AcknowledgeRequest, refuses=(400, 404, 409, 460))
        add(app, "POST", ITEMS + "/{item_id}/acknowledge", self._acknowledge, told)

    async def _list(self, request: web.Request) -> web.Response:
        caller, query = caller_of(request), request.query
        client_id = query.get("client_id")
        if not caller.is_admin:
            if client_id not in (None, caller.client_id):
                raise NotAllowed(f"this token is for the client {caller.client_id!r}.", "Only the admin scope sees other clients.")
            client_id = caller.client_id
        if "id" in query:
            return json_reply(await self._offload.quick(self._named, query.getall("id"), caller))
        asked, limit = asked_of(request, client_id), limit_of(request)
        return json_reply(await self._offload.quick(self._page, asked, query.get("cursor", ""), limit))

    def _named(self, ids: list[str], caller: Caller) -> ItemPage:
        if len(ids) > PAGE_LIMIT:
            raise BadRequest(f"at most {PAGE_LIMIT} ids at once.")
        found, deleted = [], []
        for item_id in ids:
            item = self._ledger.get(item_id)
            owner = self._storage.owner_of_deleted(item_id) if item is None else item.client_id
            if owner is None or not caller.sees(owner):
                continue
            if item is not None and is_shown(item):
                found.append(item)
            else:
                deleted.append(item_id)
        return ItemPage(items=self._views.many(found), total=len(found), deleted=deleted)

    def _page(self, asked: Asked, before: str, limit: int) -> ItemPage:
        ids, total = self._overview.ids(asked, before, limit + 1)
        found = [item for item_id in ids[:limit] if (item := self._ledger.get(item_id)) is not None]
        return ItemPage(items=self._views.many(found), cursor=ids[limit - 1] if len(ids) > limit else None, total=total)

    async def _one(self, request: web.Request) -> web.StreamResponse:
        view = await self._offload.quick(lambda: self._views.one(find_item(self._ledger, request)))
        etag = _etag(view)
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        return json_reply(view, headers={"ETag": etag, "Cache-Control": "no-cache"})

    def _wishing(self, what: Wish) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            def leave() -> ItemView:
                return self._views.one(wish(self._ledger, find_item(self._ledger, request).item_id, what))

            return json_reply(await self._offload.quick(leave), status=202)

        return handler

    async def _acknowledge(self, request: web.Request) -> web.Response:
        try:
            body = AcknowledgeRequest.model_validate_json(await request.read())
        except ValidationError:
            raise BadRequest('send {"sha512": "<128 hex digits>"}: of the result, or of the original where there is none.') from None

        def note() -> ItemView:
            item = find_item(self._ledger, request)
            return self._views.one(acknowledge(self._ledger, self._clock, item.item_id, body.sha512))

        return json_reply(await self._offload.quick(note), status=202)


def find_item(ledger: Ledger, request: web.Request) -> Item:
    """The item that the path names, if the caller may see it; raises UnknownItem. Blocking."""
    item = ledger.get(request.match_info["item_id"])
    if item is None or item.trashed_at is not None or not caller_of(request).sees(item.client_id):
        raise UnknownItem("there is no such item.", "It may have been deleted, or belong to another client.")
    return item


def _etag(view: ItemView) -> str:
    """Weak: the same version may show another progress or place in the queue."""
    progress = "" if view.progress is None else f"-{view.progress.fraction:.4f}"
    place = "" if view.queue_position is None else f"-q{view.queue_position}"
    return f'W/"{view.version}{progress}{place}"'
