"""`POST /api/v1/check`: which of these files does the server have already, which are on their way, which does it want?

Answers for the asking client alone. Equal content of two clients is converted once, but the second client sends its bytes
all the same: who merely knows a digest must not get somebody else's file, nor learn that the server has it. What is shared
is the conversion, see twins.py of the broker.
"""

from aiohttp import web
from pydantic import ValidationError

from dmc.broker.ledger import Ledger
from dmc.errors import BadRequest
from dmc.items import Item, Wish
from dmc.protocol import CHECK, CHECK_LIMIT, UPLOADS, CheckAnswer, CheckEntry, CheckReply, CheckRequest
from dmc.server.auth import caller_of
from dmc.server.offload import Offload
from dmc.server.open_uploads import OpenUploads
from dmc.server.replies import json_reply
from dmc.server.views import Views

PAGE = 1000


class Check:
    """The dedupe endpoint. The key is content, size, conversion type and options; never a name or a time."""

    def __init__(self, *, ledger: Ledger, uploads: OpenUploads, views: Views, offload: Offload) -> None:
        self._ledger = ledger
        self._uploads = uploads
        self._views = views
        self._offload = offload

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post(CHECK, self._check)

    async def _check(self, request: web.Request) -> web.Response:
        try:
            asked = CheckRequest.model_validate_json(await request.read())
        except ValidationError as problem:
            raise BadRequest(f"the question does not fit: {problem.errors()[0]['msg']}.", f"Ask for at most {CHECK_LIMIT} files.") from None
        client_id = caller_of(request).client_id
        found = await self._offload.quick(self._find, asked.files, client_id)
        return json_reply(CheckReply(files=[self._answer(entry, found, client_id) for entry in asked.files]))

    def _find(self, wanted: tuple[CheckEntry, ...] | list[CheckEntry], client_id: str) -> dict[str, CheckAnswer]:
        """The newest item of the client for each wanted key; one walk over the client's items."""
        keys = {_key(entry.sha512, entry.file_size, entry.conversion_type, entry.options) for entry in wanted}
        found: dict[str, Item] = {}
        after = ""
        while page := self._ledger.select(None, client_id, after, PAGE):
            for item in page:
                key = _key(item.sha512_checksum, item.file_size, item.conversion_type, item.options)
                if key in keys and item.wish is not Wish.DELETE:
                    found[key] = item
            after = page[-1].item_id
        views = self._views.many(found.values())
        return {key: CheckAnswer(state="have", item=view) for key, view in zip(found, views, strict=True)}

    def _answer(self, entry: CheckEntry, found: dict[str, CheckAnswer], client_id: str) -> CheckAnswer:
        key = _key(entry.sha512, entry.file_size, entry.conversion_type, entry.options)
        if key in found:
            return found[key]
        for upload in self._uploads.of_client(client_id):
            record = upload.record
            if _key(record.sha512 or "", record.length or 0, record.conversion_type, record.options) == key:
                return CheckAnswer(state="uploading", url=f"{UPLOADS}/{record.item_id}")
        return CheckAnswer(state="want")


def _key(sha512: str, size: int, conversion_type: str, options: dict[str, object]) -> str:
    return f"{sha512} {size} {conversion_type} {sorted(options.items())!r}"
