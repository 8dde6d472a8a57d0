"""Deleting items over HTTP, and taking that back: DELETE puts into the trash, from where an item can be restored for some days."""

from aiohttp import web

from dmc.broker.ledger import Ledger
from dmc.broker.wishes import delete, restore, trash
from dmc.clock import Clock
from dmc.errors import UnknownItem
from dmc.items import Item
from dmc.protocol import API, ITEMS, ItemPage, ItemView
from dmc.server.asked import PAGED_BY, limit_of
from dmc.server.auth import caller_of
from dmc.server.calls import Call, Parameter, add
from dmc.server.offload import Offload
from dmc.server.overview import Overview
from dmc.server.replies import json_reply
from dmc.server.tokens import Scope
from dmc.server.views import Views

TRASH = f"{API}/trash"
FOR_GOOD = Parameter("for_good", "Do not put it into the trash; also empties it of this item", {"enum": ["true"]})


class Trash:
    """The endpoints; `days`: how long the trash keeps, 0: there is none."""

    def __init__(self, *, ledger: Ledger, overview: Overview, views: Views, clock: Clock, offload: Offload, days: float) -> None:
        self._ledger = ledger
        self._overview = overview
        self._views = views
        self._clock = clock
        self._offload = offload
        self._days = days

    def add_routes(self, app: web.Application) -> None:
        told = Call("Put an item into the trash, or delete it for good", Scope.WRITE, ItemView, 202, query=(FOR_GOOD,), refuses=(404, 409))
        add(app, "DELETE", ITEMS + "/{item_id}", self._delete, told)
        told = Call("Take an item out of the trash", Scope.WRITE, ItemView, 202, refuses=(404, 409))
        add(app, "POST", ITEMS + "/{item_id}/restore", self._restore, told)
        add(app, "GET", TRASH, self._list, Call("What lies in the trash, the newest first", reply=ItemPage, query=PAGED_BY, refuses=(400,)))

    async def _delete(self, request: web.Request) -> web.Response:
        def gone() -> ItemView:
            item = self._item(request)
            if self._days and request.query.get("for_good") != "true":
                return self._views.one(trash(self._ledger, self._clock, item.item_id))
            return self._views.one(delete(self._ledger, self._clock, item.item_id))

        return json_reply(await self._offload.quick(gone), status=202)

    async def _restore(self, request: web.Request) -> web.Response:
        def back() -> ItemView:
            return self._views.one(restore(self._ledger, self._item(request).item_id))

        return json_reply(await self._offload.quick(back), status=202)

    async def _list(self, request: web.Request) -> web.Response:
        caller, limit = caller_of(request), limit_of(request)
        before = request.query.get("cursor", "")

        def page() -> ItemPage:
            ids, total = self._overview.trashed(None if caller.is_admin else caller.client_id, before, limit + 1)
            found = [item for item_id in ids[:limit] if (item := self._ledger.get(item_id)) is not None]
            return ItemPage(items=self._views.many(found), cursor=ids[limit - 1] if len(ids) > limit else None, total=total)

        return json_reply(await self._offload.quick(page))

    def _item(self, request: web.Request) -> Item:
        """The item that the path names, in the trash or not; raises UnknownItem."""
        item = self._ledger.get(request.match_info["item_id"])
        if item is None or not caller_of(request).sees(item.client_id):
            raise UnknownItem("there is no such item.", "It may have been deleted, or belong to another client.")
        return item
