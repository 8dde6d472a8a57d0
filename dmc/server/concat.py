"""The concatenation extension of tus: a final upload is made of the bytes of finished partial ones, in the order named.

The parts stay until they expire: a client whose answer was lost may ask again.
"""

import contextlib
from urllib.parse import urlsplit

from aiohttp import web

from dmc.errors import BadRequest
from dmc.items import Item
from dmc.protocol import UPLOADS
from dmc.server.announcing import announce
from dmc.server.auth import caller_of
from dmc.server.lookup import Lookup
from dmc.server.offload import Offload
from dmc.server.open_uploads import OpenUploads
from dmc.server.outside import outside_of
from dmc.server.policy import ServerLimits
from dmc.server.tus_answers import answer_item
from dmc.server.upload import Upload

MOST_PARTS = 100


class Concatenation:
    """Makes final uploads."""

    def __init__(self, *, uploads: OpenUploads, lookup: Lookup, offload: Offload, limits: ServerLimits) -> None:
        self._uploads = uploads
        self._lookup = lookup
        self._offload = offload
        self._limits = limits

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Handles a POST with `Upload-Concat: final;<urls>`: 201 once the item is made."""
        field = request.headers["Upload-Concat"]
        if "Upload-Length" in request.headers or "Upload-Defer-Length" in request.headers:
            raise BadRequest("the length of a final upload is that of its parts; leave Upload-Length out.")
        parts = [self._part(request, url) for url in field.partition(";")[2].split()]
        if not 1 <= len(parts) <= MOST_PARTS:
            raise BadRequest(f"a final upload names 1 to {MOST_PARTS} parts.")
        announced = announce(request.headers, caller_of(request), sum(part.file.offset for part in parts), self._limits)
        made = await self._uploads.create(announced, resumable=False)
        if isinstance(made, Item):
            return answer_item(request, made, 201, field)
        try:
            async with contextlib.AsyncExitStack() as hold:
                # Sorted, so that two final uploads of the same parts never wait for each other.
                for upload in sorted({*parts, made}, key=lambda upload: upload.record.item_id):
                    await hold.enter_async_context(self._uploads.held(upload))
                if not all(self._lookup.is_open(part) for part in parts):
                    raise BadRequest("a part was deleted meanwhile.", "Send it again.")
                item = await self._join(made, parts)
        finally:
            if self._lookup.is_open(made):
                await self._uploads.drop(made)
        self._lookup.note_parts(item.item_id, field)
        return answer_item(request, item, 201, field)

    def _part(self, request: web.Request, url: str) -> Upload:
        path = outside_of(request.app).inner(urlsplit(url).path)
        upload = self._lookup.open(request, path.rpartition("/")[2]) if path.startswith(f"{UPLOADS}/") else None
        if upload is None or not upload.record.partial:
            raise BadRequest(f"{url[:200]} is no partial upload of yours.", "Parts are created with Upload-Concat: partial.")
        if not upload.is_complete:
            raise BadRequest(f"the part {url[:200]} is not complete yet.", "Finish it first.")
        return upload

    async def _join(self, made: Upload, parts: list[Upload]) -> Item:
        await self._offload.disk(_copy, made, parts)
        return await self._uploads.complete(made)


def _copy(made: Upload, parts: list[Upload]) -> None:
    """Append the parts' bytes, durably. In a thread."""
    made.file.open()
    for part in parts:
        made.file.append(part.file.blocks())
    made.file.sync()
