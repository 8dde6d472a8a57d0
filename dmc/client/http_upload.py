"""Sends one file by tus 1.0: find out where it stands, send the rest, learn the item. Bytes come from the disk as the network takes them.

The server keeps every byte that arrived, so a cut costs nothing; the next call asks where it stands. Nothing is
believed complete before the server named the item.
"""

import asyncio
import json
import os
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from pydantic import ValidationError

from dmc.client.http_calls import TRANSFER, Calls, Reply, not_ours
from dmc.client.transport import Interrupted, LocalFault, Parcel, SourceChanged
from dmc.errors import Busy, DmcError, ServerUnreachable
from dmc.files import CHUNK
from dmc.protocol import ITEM_HEADER, ITEMS, LAG_HEADER, OFFSET_TYPE, TUS_VERSION, UPLOADS, ItemView

MOST_TURNS = 4
"""Requests in a row that may end without a byte more at the server."""

_TUS = {"Tus-Resumable": TUS_VERSION}


@dataclass(frozen=True, slots=True)
class Stand:
    """Where an upload stands: bytes at the server, and the item once it is complete."""

    url: str
    offset: int
    item_id: str | None


class HttpUpload:
    """The sending of one parcel."""

    def __init__(
        self, calls: Calls, parcel: Parcel, on_url: Callable[[str], None], on_progress: Callable[[int], None], stop: Callable[[], bool]
    ) -> None:
        self._calls = calls
        self._parcel = parcel
        self._on_url = on_url
        self._on_progress = on_progress
        self._stop = stop

    async def run(self) -> ItemView:
        stand = await self._begin()
        turns = 0
        while stand.item_id is None:
            if turns >= MOST_TURNS:
                raise Busy("the server takes no more of this file for now.")
            before = stand.offset
            stand = await self._send_rest(stand)
            turns = 0 if stand.offset > before else turns + 1
        return await self._item(stand.item_id)

    async def _begin(self) -> Stand:
        if self._parcel.upload_url is not None:
            stand = await self._ask(self._parcel.upload_url)
            if stand is not None:
                return stand
        return await self._create()

    async def _ask(self, url: str) -> Stand | None:
        """Where an upload stands; None if the server does not know it any more."""
        reply = await self._calls.call("HEAD", url, headers=_TUS, fine=(404, 410))
        return None if reply.status in (404, 410) else _stand(url, reply)

    async def _create(self) -> Stand:
        parcel = self._parcel
        values = {
            "filename": parcel.label,
            "conversion_type": parcel.conversion_type,
            "sha512": parcel.sha512,
            "idempotency_key": parcel.key,
        }
        if parcel.options:
            values["options"] = json.dumps(parcel.options, sort_keys=True)
        headers = _TUS | {"Upload-Length": str(parcel.file_size), "Upload-Metadata": _metadata(values)}
        if parcel.lag_s is not None:
            headers[LAG_HEADER] = f"{parcel.lag_s:.3f}"
        reply = await self._calls.call("POST", UPLOADS, headers=headers)
        location = reply.headers.get("Location")
        if location is None:
            raise not_ours("a new upload has no address")
        url = self._calls.path_of(location)
        self._on_url(url)
        if "Upload-Offset" in reply.headers or ITEM_HEADER in reply.headers:
            return _stand(url, reply)
        stand = await self._ask(url)
        if stand is None:
            raise ServerUnreachable("the server lost a new upload at once.")
        return stand

    async def _send_rest(self, stand: Stand) -> Stand:
        headers = _TUS | {
            "Upload-Offset": str(stand.offset),
            "Content-Type": OFFSET_TYPE,
            "Content-Length": str(self._parcel.file_size - stand.offset),
        }
        body = Blocks(self._parcel, stand.offset, self._on_progress, self._stop)
        try:
            async with self._calls.opened("PATCH", stand.url, data=body, headers=headers, within=TRANSFER, fine=(409,)) as answer:
                reply = Reply(answer.status, answer.headers, b"")
        except ServerUnreachable:
            if body.ended is not None:
                raise body.ended from None
            raise
        if reply.status == 409:
            asked = await self._ask(stand.url)
            if asked is None:
                raise ServerUnreachable("the server lost this upload.")
            return asked
        return _stand(stand.url, reply)

    async def _item(self, item_id: str) -> ItemView:
        reply = await self._calls.call("GET", f"{ITEMS}/{item_id}")
        try:
            item = ItemView.model_validate(reply.json())
        except ValidationError:
            raise not_ours("it is no item") from None
        if item.sha512_checksum != self._parcel.sha512 or item.file_size != self._parcel.file_size:
            raise not_ours("it has another file than the one that was sent")
        return item


class Blocks:
    """The file from `offset` to its announced end. `ended` keeps a reason to stop, since the network layer hides it.

    The file is opened for each block, so that nothing is left open however the request ends; that it stays the same file is what the
    digest proves.
    """

    def __init__(self, parcel: Parcel, offset: int, on_progress: Callable[[int], None], stop: Callable[[], bool]) -> None:
        self.ended: DmcError | None = None
        self._parcel = parcel
        self._offset = offset
        self._on_progress = on_progress
        self._stop = stop

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._offset >= self._parcel.file_size:
            raise StopAsyncIteration
        try:
            if self._stop():
                raise Interrupted("the client is stopping.")
            block = await asyncio.to_thread(_read, self._parcel, self._offset)
        except DmcError as problem:
            self.ended = problem
            raise
        self._offset += len(block)
        self._on_progress(self._offset)
        return block


def _read(parcel: Parcel, offset: int) -> bytes:
    try:
        fd = os.open(parcel.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if os.fstat(fd).st_size == parcel.file_size and (block := os.pread(fd, min(CHUNK, parcel.file_size - offset), offset)):
                return block
        finally:
            os.close(fd)
    except FileNotFoundError:
        raise SourceChanged("the file is gone.") from None
    except OSError as problem:
        raise LocalFault(f"the file cannot be read: {problem.strerror}.") from None
    raise SourceChanged("the file has another size than it had.")


def _stand(url: str, reply: Reply) -> Stand:
    item_id = reply.headers.get(ITEM_HEADER)
    offset = reply.headers.get("Upload-Offset", "")
    if item_id is None and not (offset.isascii() and offset.isdigit()):
        raise not_ours("it does not say where the upload stands")
    return Stand(url, int(offset) if offset.isdigit() else 0, item_id)


def _metadata(values: dict[str, str]) -> str:
    return ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in values.items())
