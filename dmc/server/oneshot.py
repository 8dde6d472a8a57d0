"""A whole file in one request, for curl and plain forms: `PUT /items/{file_name}`, `POST /items`.

It goes the way of every upload (same checks, same file, same commit), but what is cut short leaves nothing behind.
"""

import contextlib
from collections.abc import AsyncIterator, Callable

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from dmc.conversions import check_options
from dmc.errors import BadRequest
from dmc.items import Item
from dmc.protocol import ITEM_HEADER, ITEMS, ItemView
from dmc.server.announcing import MOST_KEY, parse_options
from dmc.server.auth import caller_of
from dmc.server.calls import BYTES, Call, Parameter, add
from dmc.server.offload import Offload
from dmc.server.open_uploads import OpenUploads
from dmc.server.outside import Outside
from dmc.server.policy import Announcement, ServerLimits, settle_conversion
from dmc.server.receiving import Ending, PartBody, PlainBody, Receiver, expect_later, proceed
from dmc.server.replies import json_reply
from dmc.server.tokens import Scope
from dmc.server.tus_answers import ended_early
from dmc.server.tus_headers import label_of, parse_repr_digest, parse_sha512
from dmc.server.upload import Upload
from dmc.server.views import Views

MOST_FIELD = 4096
MOST_FIELDS = 16


_SENT_WITH = (
    Parameter("conversion_type", "What the file shall become; default: by its medium"),
    Parameter("options", "Options of the conversion type, as a JSON object"),
    Parameter("sha512", "Of the file, 128 hex digits: it is only taken if it fits"),
)
_KEY = Parameter("Idempotency-Key", "The same key again is answered with the same item")


class OneShot:
    """The endpoints that take a file whole."""

    def __init__(
        self, *, uploads: OpenUploads, views: Views, outside: Outside, offload: Offload, limits: ServerLimits, room: Callable[[], None]
    ) -> None:
        self._uploads = uploads
        self._views = views
        self._outside = outside
        self._offload = offload
        self._limits = limits
        self._room = room

    def add_routes(self, app: web.Application) -> None:
        refuses = (400, 408, 409, 413, 415, 417, 423, 460, 507)
        put = Call("Send a file whole", Scope.WRITE, ItemView, 201, BYTES, _SENT_WITH, (_KEY,), {200: ItemView}, refuses)
        add(app, "PUT", ITEMS + "/{file_name}", self._put, put, expect=expect_later)
        name = Parameter("file_name", "What the file is called; needed where the body is the file")
        kinds = ("multipart/form-data", BYTES)
        post = Call("Send a form with a file", Scope.WRITE, ItemView, 201, kinds, (name, *_SENT_WITH), (_KEY,), {200: ItemView}, refuses)
        add(app, "POST", ITEMS, self._post, post, expect=expect_later)

    async def _put(self, request: web.Request) -> web.Response:
        return await self._whole_body(request, request.match_info["file_name"])

    async def _post(self, request: web.Request) -> web.Response:
        if request.content_type == "multipart/form-data":
            return await self._form(request)
        file_name = request.query.get("file_name")
        if not file_name:
            raise BadRequest("say how the file is called: ?file_name=… is missing.", "Or send a multipart form with one file in it.")
        return await self._whole_body(request, file_name)

    async def _whole_body(self, request: web.Request, file_name: str) -> web.Response:
        announced = self._announced(request, file_name, dict(request.query), request.content_length)
        body = PlainBody(request.content)  # From here on it is read ahead: more of it is there once the upload is.
        async with self._upload(announced) as made:
            if isinstance(made, Item):
                return self._answer(await self._offload.quick(self._views.one, made), 200)
            await proceed(request)
            await self._receive(made, body)
            return self._answer(await self._uploads.complete_as(made, self._views.one), 201)

    async def _form(self, request: web.Request) -> web.Response:
        """One file in the form; fields stand before it. The item is only made once the whole form was there."""
        fields = dict(request.query)
        await proceed(request)
        try:
            reader = await request.multipart()
        except ValueError as problem:
            raise BadRequest("the form does not say what stands between its parts.") from problem
        while True:
            part = await _next_part(reader.next)
            if part is None:
                raise BadRequest("there is no file in this form.")
            if part.filename is not None:
                break
            await _read_field(part, fields)
        announced = self._announced(request, part.filename, fields, None)
        async with self._upload(announced) as made:
            if isinstance(made, Item):
                return self._answer(await self._offload.quick(self._views.one, made), 200)
            await self._receive(made, PartBody(part))
            if await _next_part(reader.next) is not None:
                raise BadRequest("there is something after the file in this form.", "Send one file per form, its fields before it.")
            return self._answer(await self._uploads.complete_as(made, self._views.one), 201)

    def _announced(self, request: web.Request, file_name: str, fields: dict[str, str], length: int | None) -> Announcement:
        label = label_of(file_name.encode("utf-8", "surrogateescape"))
        key = request.headers.get("Idempotency-Key")
        if key is not None and (len(key) > MOST_KEY or not key.isascii()):
            raise BadRequest(f"an Idempotency-Key has at most {MOST_KEY} characters, all of them ASCII.")
        conversion_type = settle_conversion(fields.get("conversion_type"), label, self._limits)
        options = parse_options(fields.get("options"))
        check_options(conversion_type, options, self._limits.conversions)
        return Announcement(
            client_id=caller_of(request).client_id,
            label=label,
            length=length,
            conversion_type=conversion_type,
            options=options,
            sha512=parse_sha512(fields.get("sha512")) or parse_repr_digest(request.headers.get("Repr-Digest")),
            idempotency_key=key,
        )

    @contextlib.asynccontextmanager
    async def _upload(self, announced: Announcement) -> AsyncIterator[Upload | Item]:
        """An upload that is gone afterwards, unless it has become an item."""
        made = await self._uploads.create(announced, resumable=False)
        if isinstance(made, Item):
            yield made
            return
        async with self._uploads.held(made):
            try:
                yield made
            finally:
                if self._uploads.find(made.record.item_id) is made:
                    await self._uploads.drop(made)

    async def _receive(self, upload: Upload, body: PlainBody | PartBody) -> None:
        length = upload.record.length
        with self._uploads.receiving(upload) as interrupt:
            receiver = Receiver(upload.file, self._offload, self._limits, interrupt, self._room, durable=False)
            ending = await receiver.receive(body, self._limits.max_file_size if length is None else length)
        if ending is not Ending.COMPLETE:
            raise ended_early(ending, 0)
        if length is not None and upload.missing:
            raise ended_early(Ending.CUT, 0)

    def _answer(self, view: ItemView, status: int) -> web.Response:
        headers = {"Location": self._outside.path(f"{ITEMS}/{view.item_id}"), ITEM_HEADER: view.item_id}
        return json_reply(view, status=status, headers=headers)


async def _next_part(read: Callable[[], object]) -> BodyPartReader | None:
    """The next part of the form; raises BadRequest for a form that is cut, or that holds another form."""
    try:
        part = await read()  # type: ignore[misc]
    except (ValueError, web.RequestPayloadError, HttpProcessingError) as problem:
        raise BadRequest("the form is cut short or malformed.") from problem
    if part is not None and not isinstance(part, BodyPartReader):
        raise BadRequest("a form inside a form is not taken.")
    return part


async def _read_field(part: BodyPartReader, fields: dict[str, str]) -> None:
    text = b""
    try:
        while not part.at_eof() and len(text) <= MOST_FIELD:  # A chunk ends where a packet does, not where the field does.
            text += await part.read_chunk(MOST_FIELD + 1)
    except (ValueError, AssertionError, web.RequestPayloadError) as problem:
        raise BadRequest("the form is cut short or malformed.") from problem
    if len(text) > MOST_FIELD or len(fields) >= MOST_FIELDS or not part.name:
        raise BadRequest(f"a form has at most {MOST_FIELDS} fields of {MOST_FIELD} bytes before its file.")
    fields[part.name] = text.decode("utf-8", "replace")
