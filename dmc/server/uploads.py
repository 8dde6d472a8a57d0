"""tus 1.0 over HTTP: create, ask, send, delete. Says what the headers mean and answers; the bytes are moved by receiving.py.

Every answer about an offset is given while the upload is held, so it is the truth at that moment. An upload that has
become an item goes on answering for as long as the item exists: its last answer may have been lost.
"""

import json
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from dmc.broker.ledger import Ledger
from dmc.conversions import check_options
from dmc.errors import BadRequest, DiskFault, NotAllowed, NotFound, TooLarge, UnknownItem, WholeFileMismatch
from dmc.items import Item
from dmc.protocol import ITEM_HEADER, OFFSET_TYPE, TUS_EXTENSIONS, TUS_VERSION, UPLOADS
from dmc.server.auth import Caller, caller_of
from dmc.server.offload import Offload
from dmc.server.open_uploads import OpenUploads
from dmc.server.policy import Announcement, ServerLimits, settle_conversion
from dmc.server.ranges import to_http_date
from dmc.server.receiving import Ending, PlainBody, Receiver, expect_later, proceed
from dmc.server.replies import HttpRefusal
from dmc.server.tus_headers import (
    format_metadata,
    label_of,
    metadata_text,
    parse_length,
    parse_metadata,
    parse_number,
    parse_repr_digest,
    parse_sha512,
)
from dmc.server.upload import Upload

MOST_OPTIONS = 4096
MOST_KEY = 200


class Uploads:
    """The tus endpoints."""

    def __init__(self, *, uploads: OpenUploads, ledger: Ledger, offload: Offload, limits: ServerLimits, room: Callable[[], None]) -> None:
        self._uploads = uploads
        self._ledger = ledger
        self._offload = offload
        self._limits = limits
        self._room = room

    def add_routes(self, app: web.Application) -> None:
        # Any method, since X-HTTP-Method-Override names the one that is meant.
        app.router.add_route("*", UPLOADS, self._collection, expect_handler=expect_later)
        app.router.add_route("*", UPLOADS + "/{item_id}", self._single, expect_handler=expect_later)

    async def _collection(self, request: web.Request) -> web.StreamResponse:
        return await _dispatch(request, {"OPTIONS": self._options, "POST": self._create})

    async def _single(self, request: web.Request) -> web.StreamResponse:
        known: dict[str, Handler] = {"OPTIONS": self._options, "HEAD": self._head, "PATCH": self._patch, "DELETE": self._delete}
        return await _dispatch(request, known)

    async def _options(self, _: web.Request) -> web.Response:
        headers = {"Tus-Version": TUS_VERSION, "Tus-Extension": ",".join(TUS_EXTENSIONS), "Tus-Max-Size": str(self._limits.max_file_size)}
        return web.Response(status=204, headers=headers)

    # --- Creation ---

    async def _create(self, request: web.Request) -> web.StreamResponse:
        length = parse_length(request.headers)
        if length is None:
            raise BadRequest("this server does not take uploads of unknown length.", "Send Upload-Length.")
        announced = self._announced(request, caller_of(request), length)
        made = await self._uploads.create(announced)
        if isinstance(made, Item):
            return self._answer_item(made, 201)
        if length == 0:
            async with self._uploads.held(made):
                return self._answer_item(await self._uploads.complete(made), 201)
        if request.can_read_body and request.content_type == OFFSET_TYPE:
            return await self._first_bytes(request, made)
        return self._answer_open(made, 201)

    async def _first_bytes(self, request: web.Request, upload: Upload) -> web.StreamResponse:
        """creation-with-upload: the body of the creation is the first part."""
        async with self._uploads.held(upload):
            if upload.file.offset:
                return self._answer_open(upload, 201)  # The same creation again; its first part is here already.
            return await self._receive(request, upload, 201)

    def _announced(self, request: web.Request, caller: Caller, length: int | None) -> Announcement:
        field = request.headers.get("Upload-Metadata", "")
        found = parse_metadata(field)
        claimed = metadata_text(found, "client_id")
        if claimed not in (None, caller.client_id):
            raise NotAllowed(f"this token is for the client {caller.client_id!r}, not for {claimed!r}.", "Leave client_id out.")
        label = label_of(found.get("filename") or found.get("name"))
        key = metadata_text(found, "idempotency_key")
        if key is not None and len(key) > MOST_KEY:
            raise BadRequest(f"an idempotency_key has at most {MOST_KEY} characters.")
        conversion_type = settle_conversion(metadata_text(found, "conversion_type"), label, self._limits)
        options = parse_options(metadata_text(found, "options"))
        check_options(conversion_type, options)
        return Announcement(
            client_id=caller.client_id,
            label=label,
            length=length,
            conversion_type=conversion_type,
            options=options,
            sha512=parse_sha512(metadata_text(found, "sha512")) or parse_repr_digest(request.headers.get("Repr-Digest")),
            idempotency_key=key,
            metadata=field,
        )

    # --- Asking and deleting ---

    async def _head(self, request: web.Request) -> web.StreamResponse:
        upload = self._open(request)
        if upload is None:
            return self._answer_item(await self._item(request), 200)
        async with self._uploads.held(upload):
            if self._uploads.find(upload.record.item_id) is None:
                return self._answer_item(await self._item(request), 200)
            if upload.record.length == upload.file.offset:
                return self._answer_item(await self._completed_late(upload), 200)
            reply = self._answer_open(upload, 200)
            reply.headers["Upload-Offset"] = str(upload.file.offset)
            return reply

    async def _completed_late(self, upload: Upload) -> Item:
        """All bytes are here, but the process ended, or the disk was full, before it became an item."""
        try:
            return await self._uploads.complete(upload)
        except WholeFileMismatch:
            raise _no_such_upload() from None

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        upload = self._open(request)
        if upload is None:
            item = await self._item(request)
            raise HttpRefusal(409, "WrongStatus", "this upload is an item already.", f"Cancel or delete the item {item.item_id}.")
        async with self._uploads.held(upload):
            if self._uploads.find(upload.record.item_id) is None:
                raise _no_such_upload()
            await self._uploads.drop(upload)
        return web.Response(status=204)

    # --- Sending ---

    async def _patch(self, request: web.Request) -> web.StreamResponse:
        if request.content_type != OFFSET_TYPE:
            raise HttpRefusal(415, "BadRequest", f"the body of a PATCH must be {OFFSET_TYPE}.")
        offset = parse_number(request.headers.get("Upload-Offset"), "Upload-Offset")
        upload = self._open(request)
        if upload is None:
            return await self._patch_item(request, offset)
        async with self._uploads.held(upload):
            if self._uploads.find(upload.record.item_id) is None:
                return await self._patch_item(request, offset)
            if offset != upload.file.offset:
                raise _wrong_offset(upload.file.offset)
            if request.content_length is not None and request.content_length > upload.missing:
                raise TooLarge("the body goes beyond the length of this upload.", "Ask with HEAD where it stands.")
            if request.content_length == 0 and not upload.missing:
                return self._answer_item(await self._uploads.complete(upload), 204)
            return await self._receive(request, upload, 204)

    async def _patch_item(self, request: web.Request, offset: int) -> web.StreamResponse:
        """The last answer was lost: the same end of the upload may be sent once more, without bytes."""
        item = await self._item(request)
        if offset != item.file_size:
            raise _wrong_offset(item.file_size)
        if request.content_length != 0:
            raise TooLarge("this upload is complete.")
        return self._answer_item(item, 204)

    async def _receive(self, request: web.Request, upload: Upload, status: int) -> web.StreamResponse:
        """Take the body into an upload that is held, and answer for what is stored then."""
        try:
            with self._uploads.receiving(upload) as interrupt:
                await self._offload.quick(self._room)
                await self._offload.disk(upload.file.open)
                await proceed(request)
                receiver = Receiver(upload.file, self._offload, self._limits, interrupt, self._room)
                ending = await receiver.receive(PlainBody(request.content), upload.missing)
        except (DiskFault, NotFound):
            # What was promised may be lost; an upload never goes back, so it is gone.
            await self._uploads.drop(upload)
            raise
        if ending is not Ending.COMPLETE:
            raise ended_early(ending, upload.file.offset)
        if upload.missing:
            return self._answer_open(upload, status)
        return self._answer_item(await self._uploads.complete(upload), status)

    # --- Answers ---

    def _open(self, request: web.Request) -> Upload | None:
        """The open upload that the path names, if this caller may know of it."""
        item_id = request.match_info["item_id"]
        upload = self._uploads.find(item_id)
        if upload is not None and caller_of(request).sees(upload.record.client_id):
            return upload
        if upload is None and self._uploads.has_expired(item_id):
            raise HttpRefusal(410, "UploadExpired", "this upload was not finished in time and is gone.", "Send the file again.")
        return None

    async def _item(self, request: web.Request) -> Item:
        """The item that the upload has become; raises UnknownItem."""
        item = await self._offload.quick(self._ledger.get, request.match_info["item_id"])
        if item is None or not caller_of(request).sees(item.client_id):
            raise _no_such_upload()
        return item

    def _answer_open(self, upload: Upload, status: int) -> web.Response:
        record = upload.record
        headers = {
            "Cache-Control": "no-store",
            "Upload-Offset": str(upload.file.offset),
            "Upload-Expires": to_http_date(self._uploads.expires_at(upload)),
        }
        if status == 201:
            headers["Location"] = f"{UPLOADS}/{record.item_id}"
        if status == 200:
            headers["Upload-Length"] = str(record.length)
            if record.metadata:
                headers["Upload-Metadata"] = record.metadata
        return web.Response(status=status, headers=headers)

    def _answer_item(self, item: Item, status: int) -> web.Response:
        headers = {"Cache-Control": "no-store", "Upload-Offset": str(item.file_size), ITEM_HEADER: item.item_id}
        if status == 201:
            headers["Location"] = f"{UPLOADS}/{item.item_id}"
        if status == 200:
            known = {"filename": item.original_file_name, "conversion_type": item.conversion_type, "sha512": item.sha512_checksum}
            headers |= {"Upload-Length": str(item.file_size), "Upload-Metadata": format_metadata(known)}
        return web.Response(status=status, headers=headers)


async def _dispatch(request: web.Request, known: dict[str, Handler]) -> web.StreamResponse:
    method = request.headers.get("X-HTTP-Method-Override", request.method).upper()
    handler = known.get(method)
    if handler is None:
        raise HttpRefusal(405, "MethodNotAllowed", f"{method[:20]} means nothing here.", "", {"Allow": ", ".join(sorted(known))})
    if method != "OPTIONS" and request.headers.get("Tus-Resumable") != TUS_VERSION:
        raise HttpRefusal(412, "WrongTusVersion", f"Tus-Resumable must be {TUS_VERSION}.", "", {"Tus-Version": TUS_VERSION})
    return await handler(request)


def parse_options(text: str | None) -> dict[str, Any]:
    """Options of the conversion, a JSON object; empty where there are none."""
    if text is None:
        return {}
    try:
        found = json.loads(text) if len(text) <= MOST_OPTIONS else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadRequest(f"options must be a JSON object of at most {MOST_OPTIONS} characters.")
    return found


def ended_early(ending: Ending, offset: int) -> HttpRefusal:
    """What to say when a body did not come to its end; most of the time nobody is there to hear it."""
    headers = {"Upload-Offset": str(offset)}
    status, code, message = {
        Ending.CUT: (400, "UploadInterrupted", "the body was cut short; what arrived is kept."),
        Ending.OVERLONG: (413, "TooLarge", "the body goes beyond the length of this upload; what fits is kept."),
        Ending.IDLE: (408, "UploadStalled", "nothing arrived for too long; what came is kept."),
        Ending.SLOW: (408, "UploadStalled", "the body came too slowly; what came is kept."),
        Ending.TAKEN_OVER: (423, "UploadTakenOver", "another request continues this upload."),
        Ending.SHUTDOWN: (503, "ServerStopping", "the server is stopping; what arrived is kept."),
    }[ending]
    return HttpRefusal(status, code, message, "Ask with HEAD where it stands and go on from there.", headers)


def _wrong_offset(offset: int) -> HttpRefusal:
    return HttpRefusal(409, "WrongOffset", f"this upload stands at {offset}.", "Go on from there.", {"Upload-Offset": str(offset)})


def _no_such_upload() -> UnknownItem:
    return UnknownItem("there is no such upload.", "Start a new one.")
