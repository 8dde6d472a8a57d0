"""What tus answers say: header fields of open uploads and of those that became items, and refusals in words."""

from datetime import datetime

from aiohttp import web

from dmc.errors import UnknownItem
from dmc.items import Item
from dmc.protocol import ITEM_HEADER, UPLOADS
from dmc.server.outside import outside_of
from dmc.server.ranges import to_http_date
from dmc.server.receiving import Ending
from dmc.server.replies import HttpRefusal
from dmc.server.tus_headers import format_metadata
from dmc.server.upload import Upload


def location_of(request: web.Request, item_id: str) -> str:
    """The address of an upload as whoever asks sees the server."""
    return outside_of(request.app).url(request, f"{UPLOADS}/{item_id}")


def answer_open(request: web.Request, upload: Upload, status: int, expires_at: datetime) -> web.Response:
    """Where an open upload stands: 200 to HEAD, 201 to its creation, 204 to a part."""
    record = upload.record
    headers = {"Cache-Control": "no-store", "Upload-Offset": str(upload.file.offset), "Upload-Expires": to_http_date(expires_at)}
    if record.partial:
        headers["Upload-Concat"] = "partial"
    if status == 201:
        headers["Location"] = location_of(request, record.item_id)
    if status == 200:
        headers |= {"Upload-Defer-Length": "1"} if record.length is None else {"Upload-Length": str(record.length)}
        if record.metadata:
            headers["Upload-Metadata"] = record.metadata
    return web.Response(status=status, headers=headers)


def answer_item(request: web.Request, item: Item, status: int, concat: str | None = None) -> web.Response:
    """A complete upload and the item it became; `concat` is its Upload-Concat field, if it was made of parts."""
    headers = {"Cache-Control": "no-store", "Upload-Offset": str(item.file_size), ITEM_HEADER: item.item_id}
    if concat is not None:
        headers["Upload-Concat"] = concat
    if status == 201:
        headers["Location"] = location_of(request, item.item_id)
    if status == 200:
        known = {"filename": item.original_file_name, "conversion_type": item.conversion_type, "sha512": item.sha512_checksum}
        headers |= {"Upload-Length": str(item.file_size), "Upload-Metadata": format_metadata(known)}
    return web.Response(status=status, headers=headers)


def ended_early(ending: Ending, offset: int) -> HttpRefusal:
    """What to say when a body did not come to its end; most of the time nobody is there to hear it."""
    headers = {"Upload-Offset": str(offset)}
    status, code, message, tus = {
        Ending.CUT: (400, "UploadInterrupted", "the body was cut short.", "ERR_UPLOAD_INTERRUPTED"),
        Ending.OVERLONG: (413, "TooLarge", "the body goes beyond the length of this upload.", "ERR_UPLOAD_SIZE_EXCEEDED"),
        Ending.IDLE: (408, "UploadStalled", "nothing arrived for too long.", "ERR_READ_TIMEOUT"),
        Ending.SLOW: (408, "UploadStalled", "the body came too slowly.", "ERR_READ_TIMEOUT"),
        Ending.TAKEN_OVER: (423, "UploadTakenOver", "another request continues this upload.", "ERR_UPLOAD_INTERRUPTED"),
        Ending.SHUTDOWN: (503, "ServerStopping", "the server is stopping.", "ERR_SERVER_SHUTDOWN"),
    }[ending]
    return HttpRefusal(status, code, message, "Ask with HEAD where it stands and go on from there.", headers, tus=tus)


def wrong_offset(offset: int) -> HttpRefusal:
    return HttpRefusal(409, "WrongOffset", f"this upload stands at {offset}.", "Go on from there.", {"Upload-Offset": str(offset)})


def no_such_upload() -> UnknownItem:
    return UnknownItem("there is no such upload.", "Start a new one.")
