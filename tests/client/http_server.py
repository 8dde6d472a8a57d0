"""A small HTTP server with the face of dmc's, over a `MemoryServer`: its faults happen on a real wire, by the same names.

Further faults: `unframed` (results end with the connection), `redirects`, `portal` (a sign-in page for every request),
`misplaced` (a part that was not asked for), `swapped` (another file under the same address), `gzip` (a coded result).
"""

import asyncio
import json
import re
import threading
from base64 import b64decode
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from dmc.client.transport import Parcel
from dmc.client.transport_memory import MemoryServer, MemoryTransport, Upload
from dmc.errors import DmcError, ServerUnreachable, UnknownItem
from dmc.protocol import CHECK, ITEM_HEADER, ITEMS, SERVER, UPLOADS, CheckReply, CheckRequest, ItemPage, ItemView, http_status
from tests.patience import PATIENCE_S

ETAG = '"the result"'
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

INNER_ORIGIN = "http://inner.example:1"
"""What the server takes itself for, as one does behind a proxy."""


class HttpServer:
    """Runs in a thread of its own; `url` is its address."""

    def __init__(self, server: MemoryServer, token: str | None = None) -> None:
        self.server = server
        self.memory = MemoryTransport(server)
        self.token = token
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.unframed = self.redirects = self.portal = self.misplaced = self.swapped = self.gzip = False
        self.retry_after: str | None = None
        self.status: int | None = None
        self.cut_results_after: int | None = None
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._main(),))
        self._thread.start()
        assert self._ready.wait(PATIENCE_S)

    async def _main(self) -> None:
        app = web.Application(middlewares=[self._middleware], client_max_size=1 << 24)
        app.router.add_get(SERVER, self._identity)
        app.router.add_post(CHECK, self._check)
        app.router.add_post(UPLOADS, self._create)
        app.router.add_route("*", UPLOADS + "/{id}", self._upload)
        app.router.add_get(ITEMS, self._items)
        app.router.add_get(ITEMS + "/{id}", self._item)
        app.router.add_get(ITEMS + "/{id}/result", self._result)
        app.router.add_get(ITEMS + "/{id}/receipt", self._receipt)
        app.router.add_post(ITEMS + "/{id}/{what}", self._wish)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()
        # A connection that was cut in the middle may have a handler that has not seen its end yet.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.seen.append((request.method, request.path, dict(request.headers)))
        if self.portal:
            return web.Response(text="<html>Please sign in to the guest network", content_type="text/html")
        if self.redirects:
            return web.Response(status=302, headers={"Location": "http://portal.example/"})
        if self.status is not None:
            headers = {"Retry-After": self.retry_after} if self.retry_after else {}
            return web.json_response({"error": {"code": "Busy", "message": "not now"}}, status=self.status, headers=headers)
        if self.token is not None and request.path != SERVER and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"error": {"code": "SignInNeeded", "message": "who are you?"}}, status=401)
        try:
            self.server.meet()
            return await handler(request)
        except ServerUnreachable:
            assert request.transport is not None
            request.transport.abort()
            raise asyncio.CancelledError from None
        except DmcError as problem:
            body = {"error": {"code": problem.code, "message": problem.message, "hint": problem.hint, "request_id": "1"}}
            return web.json_response(body, status=http_status(problem))

    async def _identity(self, request: web.Request) -> web.Response:
        return _json(self.memory.reach())

    async def _check(self, request: web.Request) -> web.Response:
        asked = CheckRequest.model_validate_json(await request.read())
        return _json(CheckReply(files=self.memory.check(asked.files)))

    async def _create(self, request: web.Request) -> web.Response:
        assert request.headers["Tus-Resumable"] == "1.0.0"
        pairs = (pair.split(" ") for pair in request.headers["Upload-Metadata"].split(","))
        values = {key: b64decode(value).decode() for key, value in pairs}
        parcel = Parcel(
            path=Path("/nowhere"),
            label=values["filename"],
            file_size=int(request.headers["Upload-Length"]),
            sha512=values["sha512"],
            conversion_type=values["conversion_type"],
            key=values["idempotency_key"],
            options=json.loads(values.get("options", "{}")),
        )
        opened = self.server.open_upload(parcel)
        if isinstance(opened, Upload) and parcel.file_size == 0:
            opened = self.server.complete(opened)
        self.server.answer()
        return _stand(opened, 201)

    async def _upload(self, request: web.Request) -> web.Response:
        item_id = request.match_info["id"]
        upload: Upload | ItemView | None = self.server.uploads.get(item_id) or self.server.items.get(item_id)
        if upload is None:
            raise UnknownItem("there is no such upload.")
        if request.method == "DELETE":
            self.memory.abandon(request.path)
            return web.Response(status=204)
        if request.method == "HEAD" or isinstance(upload, ItemView):
            return _stand(upload, 200)
        if int(request.headers["Upload-Offset"]) != len(upload.data):
            return web.json_response({"error": {"code": "Conflict", "message": "offset"}}, status=409)
        async for part in request.content.iter_any():
            self.server.receive(upload, part)
        if len(upload.data) < upload.parcel.file_size:
            return _stand(upload, 204)
        item = self.server.complete(upload)
        self.server.answer()
        return _stand(item, 204)

    async def _items(self, request: web.Request) -> web.Response:
        found = self.memory.progress(request.query.getall("id"))
        views = [view for view in found.values() if view is not None]
        return _json(ItemPage(items=views, deleted=[item_id for item_id, view in found.items() if view is None]))

    async def _item(self, request: web.Request) -> web.Response:
        return _json(self.memory._item(request.match_info["id"]))

    async def _receipt(self, request: web.Request) -> web.Response:
        return web.json_response(self.memory.receipt(request.match_info["id"]))

    async def _wish(self, request: web.Request) -> web.Response:
        item_id = request.match_info["id"]
        if request.match_info["what"] == "acknowledge":
            self.memory.acknowledge(item_id, (await request.json())["sha512"])
        else:
            getattr(self.memory, request.match_info["what"])(item_id)
        return web.json_response({}, status=202)

    async def _result(self, request: web.Request) -> web.StreamResponse:
        item = self.memory._item(request.match_info["id"])
        data = self.server.results.get(item.item_id)
        if data is None or item.result is None:
            raise UnknownItem("there is no result.")
        if self.swapped:
            data = bytes(len(data))
        etag = ETAG if not self.swapped else '"another"'
        start, headers, status = 0, {"ETag": etag}, 200
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        if asked and request.headers.get("If-Range") == etag:
            start, status = int(asked[1]), 206
            shown = start - 1 if self.misplaced else start
            headers["Content-Range"] = f"bytes {shown}-{len(data) - 1}/{len(data)}"
        if self.gzip:
            headers["Content-Encoding"] = "gzip"
        reply = web.StreamResponse(status=status, headers=headers)
        if self.unframed:
            assert isinstance(request.transport, asyncio.Transport)
            request.transport.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + data)
            request.transport.close()
            raise asyncio.CancelledError
        reply.content_length = len(data) - start
        await reply.prepare(request)
        end = len(data) if self.cut_results_after is None else min(len(data), start + self.cut_results_after)
        await reply.write(data[start:end])
        if end < len(data):
            self.cut_results_after = None
            assert request.transport is not None
            request.transport.close()
        return reply


def _json(model: object) -> web.Response:
    return web.Response(body=model.model_dump_json().encode(), content_type="application/json")  # type: ignore[attr-defined]


def _stand(upload: Upload | ItemView, status: int) -> web.Response:
    headers = {"Tus-Resumable": "1.0.0", "Cache-Control": "no-store", "Location": f"{INNER_ORIGIN}{UPLOADS}/{upload.item_id}"}
    if isinstance(upload, ItemView):
        headers |= {"Upload-Offset": str(upload.file_size), ITEM_HEADER: upload.item_id}
    else:
        headers |= {"Upload-Offset": str(len(upload.data))}
    return web.Response(status=status, headers=headers)
