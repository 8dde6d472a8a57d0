"""Bytes of items over HTTP: result, original, previews, receipt and log, with ranges, preconditions and digests.

What is served never changes under its ETag, which is the content's SHA-512; no compressed sibling is ever sent instead.
If fewer bytes go out than were announced the connection is cut: a client must never take the next answer for this one.
"""

import asyncio
import errno
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from aiohttp import web

from dmc.broker.ledger import Ledger
from dmc.broker.storage import Storage
from dmc.errors import DiskFault, NotFound
from dmc.files import safe_name
from dmc.items import Item
from dmc.log import Log
from dmc.products import Preview
from dmc.protocol import ITEMS
from dmc.server.calls import Call, add, bytes_call
from dmc.server.items import find_item
from dmc.server.offload import Offload
from dmc.server.ranges import Answer, Span, decide
from dmc.server.representation import IMMUTABLE, Representation, headers_of
from dmc.server.shelf import Shelf
from dmc.server.tus_headers import digest_field
from dmc.server.views import result_label, sidecar_label

SLICE = 4 * 1024 * 1024
SLICE_S = 300.0
"""A client gets this long to take one slice: about 14 KB/s at least."""

BIG_SLICE = 64 * 1024 * 1024
QUICK_S = 0.25
"""Who takes a slice in this time gets twice as much next, up to the big one, for which there is more time in proportion."""

SMALL = 256 * 1024
"""Parts up to this size get a digest of their own (Content-Digest)."""

MOST_READ = 4 * 1024 * 1024
"""Of a longer log the end is shown. Receipts are far shorter."""

_CONDITIONAL = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Range")

log = Log("server")


_PREVIEWS = {
    "poster": "One picture of it",
    "sprite": "Many small pictures of it, for a look ahead",
    "waveform": "The loudness of its sound over time",
}


class Downloads:
    """The endpoints that serve what stands in an item's folder."""

    def __init__(self, *, ledger: Ledger, storage: Storage, shelf: Shelf, offload: Offload) -> None:
        self._ledger = ledger
        self._storage = storage
        self._shelf = shelf
        self._offload = offload
        self.bytes_sent = 0

    def add_routes(self, app: web.Application) -> None:
        item = ITEMS + "/{item_id}"
        add(app, "GET", item + "/result", self._result, bytes_call("The result's bytes"))
        add(app, "GET", item + "/sidecars/{name}", self._sidecar, bytes_call("A file beside the result"))
        add(app, "GET", item + "/original", self._original, bytes_call("The original's bytes"))
        for name, words in _PREVIEWS.items():
            add(app, "GET", f"{item}/{name}", self._previewing(name), bytes_call(words))
        receipt = Call("What was kept, changed and lost, and how it was verified", reply="application/json", refuses=(404,))
        add(app, "GET", item + "/receipt", self._receipt, receipt)
        add(app, "GET", item + "/log", self._log, Call("What the conversion said", reply="text/plain", refuses=(404,)))

    async def _result(self, request: web.Request) -> web.StreamResponse:
        item = await self._offload.quick(find_item, self._ledger, request)
        facts = item.result
        if facts is None:
            reason = "This item needs none: its original stays as it is." if item.outcome else f"Its status is {item.status}."
            raise NotFound("there is no result.", reason)
        made = _moment(item.finished_at or item.created_at)
        label = safe_name(result_label(item))
        return await self._send(
            request, Representation(facts.file_size, facts.sha512_checksum, made, label, self._opener(item, "out", facts.file_name))
        )

    async def _sidecar(self, request: web.Request) -> web.StreamResponse:
        item = await self._offload.quick(find_item, self._ledger, request)
        name = request.match_info["name"]
        told = next((one for one in item.result.sidecars if one.file_name == name), None) if item.result else None
        if told is None:
            raise NotFound("there is no such file beside the result.", "The item's result lists them under sidecars.")
        made, label = _moment(item.finished_at or item.created_at), safe_name(sidecar_label(item, told))
        return await self._send(
            request, Representation(told.file_size, told.sha512_checksum, made, label, self._opener(item, "out", told.file_name))
        )

    async def _original(self, request: web.Request) -> web.StreamResponse:
        item = await self._offload.quick(find_item, self._ledger, request)
        made, label = _moment(item.created_at), safe_name(item.original_file_name)
        return await self._send(
            request, Representation(item.file_size, item.sha512_checksum, made, label, self._opener(item, item.current_file_name))
        )

    def _previewing(self, name: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handler(request: web.Request) -> web.StreamResponse:
            item = await self._offload.quick(find_item, self._ledger, request)
            products = await self._offload.quick(self._shelf.of, item)
            preview: Preview | None = getattr(products, name, None)
            if preview is None:
                raise NotFound(f"there is no {name} of this item.", "Previews are made with the result, as far as its medium has them.")
            of_url = request.query.get("v") == preview.sha512_checksum[:16]
            return await self._send(
                request,
                Representation(
                    preview.file_size,
                    preview.sha512_checksum,
                    _moment(item.finished_at or item.created_at),
                    preview.file_name,
                    self._opener(item, "out", preview.file_name),
                    IMMUTABLE if of_url else "private, no-cache",
                ),
            )

        return handler

    async def _receipt(self, request: web.Request) -> web.StreamResponse:
        text = await self._small_file(request, "out", "receipt.json")
        item = await self._offload.quick(find_item, self._ledger, request)
        return web.Response(
            body=_named(text, item.original_file_name), content_type="application/json", headers={"Cache-Control": "no-cache"}
        )

    async def _log(self, request: web.Request) -> web.StreamResponse:
        text = await self._small_file(request, "log.txt")
        return web.Response(body=text, content_type="text/plain", charset="utf-8", headers={"Cache-Control": "no-cache"})

    async def _small_file(self, request: web.Request, *parts: str) -> bytes:
        item = await self._offload.quick(find_item, self._ledger, request)

        def read() -> bytes:
            with self._opener(item, *parts)() as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - MOST_READ))
                return file.read(MOST_READ)

        try:
            return await self._offload.disk(read)
        except DiskFault:
            raise NotFound(f"this item has no {parts[-1]} yet.", f"Its status is {item.status}.") from None

    def _opener(self, item: Item, *parts: str) -> Callable[[], BinaryIO]:
        """Opens a file of the item wherever its folder stands; the broker may move it between looking and opening, so it looks again."""

        def open_it() -> BinaryIO:
            for _ in range(3):
                folder: Path | None = self._storage.folder(item.item_id)
                try:
                    if folder is not None:
                        return open(folder.joinpath(*parts), "rb", buffering=0, opener=_plainly)
                except FileNotFoundError:
                    continue
            raise DiskFault(f"{parts[-1]} of this item is not where it should be.", "On the server, run: dmc broker verify")

        return open_it

    # --- Sending ---

    async def _send(self, request: web.Request, bytes_: Representation) -> web.StreamResponse:
        conditions = {name: ", ".join(request.headers.getall(name)) for name in _CONDITIONAL if name in request.headers}
        answer = decide(request.method, conditions, etag=bytes_.etag, last_modified=bytes_.last_modified, size=bytes_.size)
        headers = headers_of(bytes_)
        if answer.status in (304, 412, 416):
            if answer.status == 416:
                headers["Content-Range"] = f"bytes */{bytes_.size}"
            headers.pop("Content-Disposition")
            return web.Response(status=answer.status, headers=headers)
        if request.method == "HEAD":
            return _bare(bytes_, headers)
        file = await self._offload.disk(bytes_.open)
        try:
            if os.fstat(file.fileno()).st_size != bytes_.size:
                raise DiskFault("the file of this item has another size than it should.", "On the server, run: dmc broker verify")
            return await self._send_file(request, bytes_, file, answer, headers)
        finally:
            file.close()

    async def _send_file(
        self, request: web.Request, bytes_: Representation, file: BinaryIO, answer: Answer, headers: dict[str, str]
    ) -> web.StreamResponse:
        spans = answer.spans or ((Span(0, bytes_.size),) if bytes_.size else ())
        reply = web.StreamResponse(status=answer.status, headers=headers)
        reply.content_type = bytes_.content_type
        borders = [b""] * (len(spans) + 1)
        if len(answer.spans) == 1:
            reply.headers["Content-Range"] = f"bytes {spans[0].start}-{spans[0].stop - 1}/{bytes_.size}"
            if spans[0].length <= SMALL:
                part = await self._offload.disk(os.pread, file.fileno(), spans[0].length, spans[0].start)
                reply.headers["Content-Digest"] = digest_field(hashlib.sha512(part).digest())
        elif len(answer.spans) > 1:
            boundary = secrets.token_hex(16)
            reply.headers["Content-Type"] = f"multipart/byteranges; boundary={boundary}"
            borders = _borders(boundary, spans, bytes_)
        reply.content_length = sum(span.length for span in spans) + sum(len(border) for border in borders)
        await reply.prepare(request)
        for border, span in zip(borders, spans, strict=False):
            if border:
                await reply.write(border)
            if not await self._send_span(request, file, span):
                return reply
        if borders[-1]:
            await reply.write(borders[-1])
        await reply.write_eof()
        return reply

    async def _send_span(self, request: web.Request, file: BinaryIO, span: Span) -> bool:
        """Hand `span` to the kernel slice by slice; False if the connection had to be cut or was lost."""
        loop = asyncio.get_running_loop()
        at, most = span.start, SLICE
        while at < span.stop:
            if request.transport is None:
                return False
            count, began = min(most, span.stop - at), loop.time()
            try:
                async with asyncio.timeout(SLICE_S * most / SLICE):
                    sent = await loop.sendfile(request.transport, file, at, count)
            except (TimeoutError, OSError, RuntimeError):
                _cut(request)
                return False
            self.bytes_sent += sent
            if sent != count:
                log.error("a file became shorter while it was sent", path=request.path)
                _cut(request)
                return False
            at += sent
            most = min(2 * most, BIG_SLICE) if loop.time() - began < QUICK_S else SLICE
        return True


def _plainly(path: str, flags: int) -> int:
    """Open a plain file. While a worker is at work out/ is its own: no link there is followed, and no pipe waited for."""
    try:
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as problem:
        raise FileNotFoundError(problem.errno, problem.strerror, path) if problem.errno == errno.ELOOP else problem from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise FileNotFoundError(errno.ENOENT, "no plain file", path)
    return fd


def _bare(bytes_: Representation, headers: dict[str, str]) -> web.StreamResponse:
    """The answer to HEAD: all fields, no body."""
    reply = web.Response(headers=headers)
    reply.content_type = bytes_.content_type
    reply.headers["Content-Length"] = str(bytes_.size)
    return reply


def _named(receipt: bytes, label: str) -> bytes:
    """The receipt under the item's own name: the file may be shared with a twin (see twins.py), whose name is nobody else's business."""
    try:
        told = json.loads(receipt)
        told["source"]["file_name"] = label
    except (ValueError, KeyError, TypeError):
        return receipt
    return json.dumps(told, indent=2, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _borders(boundary: str, spans: tuple[Span, ...], bytes_: Representation) -> list[bytes]:
    """What stands before each part of a multipart/byteranges body, and after the last one."""
    heads = [
        f"\r\n--{boundary}\r\nContent-Type: {bytes_.content_type}\r\n"
        f"Content-Range: bytes {span.start}-{span.stop - 1}/{bytes_.size}\r\n\r\n"
        for span in spans
    ]
    return [part.encode() for part in (*heads, f"\r\n--{boundary}--\r\n")]


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
