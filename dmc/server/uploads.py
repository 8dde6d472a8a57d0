"""tus 1.0 over HTTP: create, ask, delete. Says what the headers mean and answers; parts.py takes the bytes.

Every answer about an offset is given while the upload is held, so it is the truth at that moment. An upload that has
become an item goes on answering for as long as the item exists: its last answer may have been lost.
"""

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from dmc.broker.ledger import Ledger
from dmc.errors import BadRequest, WholeFileMismatch
from dmc.items import Item
from dmc.protocol import LAG_HEADER, OFFSET_TYPE, TUS_EXTENSIONS, TUS_VERSION, UPLOADS
from dmc.server.announcing import announce
from dmc.server.auth import caller_of
from dmc.server.calls import Call, Parameter, add_any
from dmc.server.concat import Concatenation
from dmc.server.lookup import Lookup
from dmc.server.offload import Offload
from dmc.server.open_uploads import OpenUploads
from dmc.server.parts import Parts
from dmc.server.policy import ServerLimits
from dmc.server.receiving import expect_later
from dmc.server.replies import HttpRefusal
from dmc.server.tokens import Scope
from dmc.server.tus_answers import answer_item, answer_open, no_such_upload
from dmc.server.tus_headers import CHECKSUMS, parse_length
from dmc.server.upload import Upload

_VERSION = Parameter("Tus-Resumable", "The version of the protocol", {"const": TUS_VERSION}, required=True)
_OPTIONS = Call("What this server can of tus", status=204)
_OFFSET = Parameter("Upload-Offset", "Where the part begins", {"type": "integer", "minimum": 0}, required=True)
_MADE = (
    _VERSION,
    Parameter("Upload-Length", "Bytes of the file", {"type": "integer", "minimum": 0}),
    Parameter("Upload-Defer-Length", "1: the length is told later", {"const": "1"}),
    Parameter("Upload-Metadata", "filename, conversion_type, client_id, sha512, idempotency_key, options: names and values in base64"),
    Parameter(LAG_HEADER, "Seconds from the last change of the file until its client had noted it", {"type": "number", "minimum": 0}),
    Parameter("Upload-Concat", "`partial`, or `final;` with the addresses of the parts"),
)
_SENT = (400, 403, 404, 408, 409, 410, 412, 413, 415, 417, 423, 460, 507)
_COLLECTION = {
    "OPTIONS": _OPTIONS,
    "POST": Call("Begin an upload", Scope.WRITE, None, 201, OFFSET_TYPE, headers=_MADE, refuses=(*_SENT, 405)),
}
_SINGLE = {
    "OPTIONS": _OPTIONS,
    "HEAD": Call("How far an upload is", headers=(_VERSION,), refuses=(404, 405, 410, 412, 423)),
    "PATCH": Call("Send a part", Scope.WRITE, None, 204, OFFSET_TYPE, headers=(_VERSION, _OFFSET), refuses=(*_SENT, 405)),
    "DELETE": Call("Give an upload up", Scope.WRITE, None, 204, headers=(_VERSION,), refuses=(404, 405, 409, 410, 412, 423)),
}


class Uploads:
    """The tus endpoints."""

    def __init__(self, *, uploads: OpenUploads, ledger: Ledger, offload: Offload, limits: ServerLimits, room: Callable[[], None]) -> None:
        self._uploads = uploads
        self._lookup = Lookup(uploads, ledger, offload)
        self._parts = Parts(uploads=uploads, lookup=self._lookup, offload=offload, limits=limits, room=room)
        self._concatenation = Concatenation(uploads=uploads, lookup=self._lookup, offload=offload, limits=limits)
        self._limits = limits

    def add_routes(self, app: web.Application) -> None:
        # Any method, since X-HTTP-Method-Override names the one that is meant.
        add_any(app, UPLOADS, self._collection, _COLLECTION, expect=expect_later)
        add_any(app, UPLOADS + "/{item_id}", self._single, _SINGLE, expect=expect_later)

    async def _collection(self, request: web.Request) -> web.StreamResponse:
        return await _dispatch(request, {"OPTIONS": self._options, "POST": self._create})

    async def _single(self, request: web.Request) -> web.StreamResponse:
        known: dict[str, Handler] = {"OPTIONS": self._options, "HEAD": self._head, "PATCH": self._parts.patch, "DELETE": self._delete}
        return await _dispatch(request, known)

    async def _options(self, _: web.Request) -> web.Response:
        headers = {
            "Tus-Version": TUS_VERSION,
            "Tus-Extension": ",".join(TUS_EXTENSIONS),
            "Tus-Max-Size": str(self._limits.max_file_size),
            "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
        }
        return web.Response(status=204, headers=headers)

    # --- Creation ---

    async def _create(self, request: web.Request) -> web.StreamResponse:
        concat = request.headers.get("Upload-Concat", "").strip()
        if concat.startswith("final;"):
            return await self._concatenation.create(request)
        if concat not in ("", "partial"):
            raise BadRequest("Upload-Concat must be `partial` or `final;` with the addresses of the parts.")
        length = parse_length(request.headers)
        made = await self._uploads.create(announce(request.headers, caller_of(request), length, self._limits))
        if isinstance(made, Item):
            return answer_item(request, made, 201)
        if length == 0 or (request.can_read_body and request.content_type == OFFSET_TYPE):
            return await self._first_bytes(request, made)
        return answer_open(request, made, 201, self._uploads.expires_at(made))

    async def _first_bytes(self, request: web.Request, upload: Upload) -> web.StreamResponse:
        """creation-with-upload: the body of the creation is the first part. An empty file needs no more than its creation."""
        async with self._uploads.held(upload):
            if upload.file.offset:
                # The same creation again; its first part is here already.
                return answer_open(request, upload, 201, self._uploads.expires_at(upload))
            return await self._parts.receive(request, upload, 201)

    # --- Asking and deleting ---

    async def _head(self, request: web.Request) -> web.StreamResponse:
        upload = self._lookup.open(request, request.match_info["item_id"])
        if upload is None:
            return self._tell_item(request, await self._lookup.item(request))
        async with self._uploads.held(upload):
            if not self._lookup.is_open(upload):
                return self._tell_item(request, await self._lookup.item(request))
            if upload.is_complete and not upload.record.partial:
                return self._tell_item(request, await self._completed_late(upload))
            return answer_open(request, upload, 200, self._uploads.expires_at(upload))

    def _tell_item(self, request: web.Request, item: Item) -> web.Response:
        return answer_item(request, item, 200, self._lookup.parts_of(item))

    async def _completed_late(self, upload: Upload) -> Item:
        """All bytes are here, but the process ended, or the disk was full, before it became an item."""
        try:
            return await self._uploads.complete(upload)
        except WholeFileMismatch:
            raise no_such_upload() from None

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        upload = self._lookup.open(request, request.match_info["item_id"])
        if upload is None:
            item = await self._lookup.item(request)
            raise HttpRefusal(409, "WrongStatus", "this upload is an item already.", f"Cancel or delete the item {item.item_id}.")
        async with self._uploads.held(upload):
            if not self._lookup.is_open(upload):
                raise no_such_upload()
            await self._uploads.drop(upload)
        return web.Response(status=204)


async def _dispatch(request: web.Request, known: dict[str, Handler]) -> web.StreamResponse:
    method = request.headers.get("X-HTTP-Method-Override", request.method).upper()
    handler = known.get(method)
    if handler is None:
        raise HttpRefusal(405, "MethodNotAllowed", f"{method[:20]} means nothing here.", "", {"Allow": ", ".join(sorted(known))})
    if method != "OPTIONS" and request.headers.get("Tus-Resumable") != TUS_VERSION:
        raise HttpRefusal(412, "WrongTusVersion", f"Tus-Resumable must be {TUS_VERSION}.", "", {"Tus-Version": TUS_VERSION})
    return await handler(request)
