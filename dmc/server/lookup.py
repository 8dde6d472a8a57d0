"""Finding what a tus path names, for one caller: an open upload, or the item that it has become."""

from aiohttp import web

from dmc.broker.ledger import Ledger
from dmc.items import Item
from dmc.server.auth import caller_of
from dmc.server.offload import Offload
from dmc.server.open_uploads import OpenUploads
from dmc.server.replies import HttpRefusal
from dmc.server.tus_answers import no_such_upload
from dmc.server.upload import Upload

REMEMBERED = 1000


class Lookup:
    """Nothing of another client is ever found, unless the caller is an admin."""

    def __init__(self, uploads: OpenUploads, ledger: Ledger, offload: Offload) -> None:
        self._uploads = uploads
        self._ledger = ledger
        self._offload = offload
        self._made_of_parts: dict[str, str] = {}

    def note_parts(self, item_id: str, field: str) -> None:
        """Remember that an item was made of parts, and its Upload-Concat field; known until the next restart."""
        self._made_of_parts[item_id] = field
        while len(self._made_of_parts) > REMEMBERED:
            del self._made_of_parts[next(iter(self._made_of_parts))]

    def parts_of(self, item: Item) -> str | None:
        """The Upload-Concat field of an item that was made of parts."""
        return self._made_of_parts.get(item.item_id)

    def open(self, request: web.Request, item_id: str) -> Upload | None:
        """The open upload of that id; None if there is none. Raises 410 for one that has expired."""
        upload = self._uploads.find(item_id)
        if upload is not None and caller_of(request).sees(upload.record.client_id):
            return upload
        if upload is None and self._uploads.has_expired(item_id):
            raise HttpRefusal(410, "UploadExpired", "this upload was not finished in time and is gone.", "Send the file again.")
        return None

    def is_open(self, upload: Upload) -> bool:
        """Whether it still is one; it may have ended while somebody waited for it."""
        return self._uploads.find(upload.record.item_id) is upload

    async def item(self, request: web.Request) -> Item:
        """The item that the upload named by the path has become; raises UnknownItem."""
        item = await self._offload.quick(self._ledger.get, request.match_info["item_id"])
        if item is None or not caller_of(request).sees(item.client_id):
            raise no_such_upload()
        return item
