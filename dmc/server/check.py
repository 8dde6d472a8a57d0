"""`POST /api/v1/check`: which of these files does the server have already, which are on their way, which does it want?

Answers for the asking client alone. Equal content of two clients is converted once, but the second client sends its bytes
all the same: who merely knows a digest must not get somebody else's file, nor learn that the server has it. What is shared
is the conversion, see twins.py of the broker.
"""

from aiohttp import web
from pydantic import ValidationError

from dmc.broker.ledger import Ledger
from dmc.errors import BadRequest
from dmc.items import Item, Status, Wish
from dmc.protocol import CHECK, CHECK_LIMIT, UPLOADS, CheckAnswer, CheckEntry, CheckReply, CheckRequest
from dmc.server.auth import caller_of
from dmc.server.calls import Call, add
from dmc.server.offload import Offload
from dmc.server.open_uploads import OpenUploads
from dmc.server.outside import Outside
from dmc.server.replies import json_reply
from dmc.server.tokens import Scope
from dmc.server.views import Views


class Check:
    """The dedupe endpoint. The key is content, size, conversion type and options; never a name or a time."""

    def __init__(self, *, ledger: Ledger, uploads: OpenUploads, views: Views, offload: Offload, outside: Outside) -> None:
        self._ledger = ledger
        self._uploads = uploads
        self._views = views
        self._outside = outside
        self._offload = offload

    def add_routes(self, app: web.Application) -> None:
        told = Call("Which of these files are here already", Scope.WRITE, CheckReply, body=CheckRequest, refuses=(400, 413))
        add(app, "POST", CHECK, self._check, told)

    async def _check(self, request: web.Request) -> web.Response:
        try:
            asked = CheckRequest.model_validate_json(await request.read())
        except ValidationError as problem:
            raise BadRequest(f"the question does not fit: {problem.errors()[0]['msg']}.", f"Ask for at most {CHECK_LIMIT} files.") from None
        client_id = caller_of(request).client_id
        found = await self._offload.quick(self._find, asked.files, client_id)
        for upload in self._uploads.of_client(client_id):
            record = upload.record
            key = _key(record.sha512 or "", record.length or 0, record.conversion_type, record.options)
            found.setdefault(key, CheckAnswer(state="uploading", url=self._outside.path(f"{UPLOADS}/{record.item_id}")))
        return json_reply(CheckReply(files=[found.get(_key_of(entry), CheckAnswer(state="want")) for entry in asked.files]))

    def _find(self, wanted: list[CheckEntry], client_id: str) -> dict[str, CheckAnswer]:
        """The newest item of the client for each wanted key. Costs by what is asked, not by what the client has."""
        found: dict[str, Item] = {}
        for entry in wanted:
            key = _key_of(entry)
            if key not in found and (item := self._newest(entry.sha512, key, client_id)) is not None:
                found[key] = item
        views = self._views.many(found.values())
        return {key: CheckAnswer(state="have", item=view) for key, view in zip(found, views, strict=True)}

    def _newest(self, sha512: str, key: str, client_id: str) -> Item | None:
        """The client's newest item of this key that is not being deleted."""
        newest: Item | None = None
        for status in Status:
            for item in self._ledger.with_content(sha512, status):
                mine = item.client_id == client_id and item.wish is not Wish.DELETE and item.trashed_at is None
                if mine and _key(item.sha512_checksum, item.file_size, item.conversion_type, item.options) == key:
                    newest = item if newest is None or item.item_id > newest.item_id else newest
                    break
        return newest


def _key_of(entry: CheckEntry) -> str:
    return _key(entry.sha512, entry.file_size, entry.conversion_type, entry.options)


def _key(sha512: str, size: int, conversion_type: str, options: dict[str, object]) -> str:
    return f"{sha512} {size} {conversion_type} {sorted(options.items())!r}"
