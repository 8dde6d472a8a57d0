"""PATCH, and the body of a creation: the next part of an upload, with or without a checksum of its own."""

import contextlib
import hashlib
from collections.abc import Callable

from aiohttp import web

from dmc.errors import DiskFault, NotFound, TooLarge
from dmc.protocol import OFFSET_TYPE
from dmc.server.lookup import Lookup
from dmc.server.offload import Offload
from dmc.server.open_uploads import OpenUploads
from dmc.server.policy import ServerLimits
from dmc.server.receiving import Ending, Interrupt, PlainBody, Receiver, proceed
from dmc.server.replies import HttpRefusal
from dmc.server.tus_answers import answer_item, answer_open, ended_early, wrong_offset
from dmc.server.tus_headers import Checksum, parse_checksum, parse_number
from dmc.server.upload import Upload


class Parts:
    """Takes parts in. What arrived is kept, however the request ends; a part with a checksum is kept whole or not at all."""

    def __init__(self, *, uploads: OpenUploads, lookup: Lookup, offload: Offload, limits: ServerLimits, room: Callable[[], None]) -> None:
        self._uploads = uploads
        self._lookup = lookup
        self._offload = offload
        self._limits = limits
        self._room = room

    async def patch(self, request: web.Request) -> web.StreamResponse:
        """Handles PATCH."""
        if request.content_type != OFFSET_TYPE:
            raise HttpRefusal(415, "BadRequest", f"the body of a PATCH must be {OFFSET_TYPE}.")
        offset = parse_number(request.headers.get("Upload-Offset"), "Upload-Offset")
        upload = self._lookup.open(request, request.match_info["item_id"])
        if upload is None:
            return await self._patch_item(request, offset)
        async with self._uploads.held(upload):
            if not self._lookup.is_open(upload):
                return await self._patch_item(request, offset)
            if offset != upload.file.offset:
                raise wrong_offset(upload.file.offset)
            if "Upload-Length" in request.headers:
                await self._uploads.set_length(upload, parse_number(request.headers["Upload-Length"], "Upload-Length"))
            return await self.receive(request, upload, 204)

    async def _patch_item(self, request: web.Request, offset: int) -> web.StreamResponse:
        """The last answer was lost: the same end of the upload may be sent once more, without bytes."""
        item = await self._lookup.item(request)
        if self._lookup.parts_of(item) is not None:
            raise HttpRefusal(403, "NotAllowed", "an upload that is made of parts takes no bytes.")
        if offset != item.file_size:
            raise wrong_offset(item.file_size)
        if request.content_length != 0:
            raise TooLarge("this upload is complete.")
        return answer_item(request, item, 204)

    async def receive(self, request: web.Request, upload: Upload, status: int) -> web.StreamResponse:
        """Take the body into an upload that the caller holds, and answer for what is stored then."""
        checksum = parse_checksum(request.headers.get("Upload-Checksum"))
        most = self._limits.max_file_size - upload.file.offset if upload.record.length is None else upload.missing
        if request.content_length is not None and request.content_length > most:
            raise TooLarge("the body goes beyond the length of this upload.", "Ask with HEAD where it stands.")
        if most and request.content_length != 0:
            try:
                with self._uploads.receiving(upload) as interrupt:
                    await self._take(request, upload, interrupt, most, checksum)
            except (DiskFault, NotFound):
                # What was promised may be lost; an upload never goes back, so it is gone.
                await self._uploads.drop(upload)
                raise
        if upload.is_complete and not upload.record.partial:
            return answer_item(request, await self._uploads.complete(upload), status)
        return answer_open(request, upload, status, self._uploads.expires_at(upload))

    async def _take(self, request: web.Request, upload: Upload, interrupt: Interrupt, most: int, checksum: Checksum | None) -> None:
        await self._offload.quick(self._room)
        await self._offload.disk(upload.file.open)
        await proceed(request)
        receiver = Receiver(upload.file, self._offload, self._limits, interrupt, self._room)
        body = PlainBody(request.content)
        if checksum is not None:
            await self._take_verified(receiver, body, upload, most, checksum)
        elif (ending := await receiver.receive(body, most)) is not Ending.COMPLETE:
            raise ended_early(ending, upload.file.offset)

    async def _take_verified(self, receiver: Receiver, body: PlainBody, upload: Upload, most: int, checksum: Checksum) -> None:
        """Keep the part if it came whole and hashes to `checksum`, else none of it."""
        part = hashlib.new(checksum.algorithm, usedforsecurity=False)
        await self._offload.disk(upload.file.begin_part)
        async with contextlib.AsyncExitStack() as otherwise:
            otherwise.push_async_callback(self._offload.disk, upload.file.drop_part)
            ending = await receiver.receive(body, most, part)
            if ending is not Ending.COMPLETE:
                raise ended_early(ending, upload.file.trusted)
            if part.digest() != checksum.digest:
                raise HttpRefusal(460, "ChecksumMismatch", "this part arrived damaged; none of it is kept.", "Send it again.")
            otherwise.pop_all()
            await self._offload.disk(upload.file.keep_part)
