"""A server inside the process, and the way to it: obeys the law of `transport.py`. For tests of the client, and for trying it out.

`MemoryServer` holds uploads and items, and is told by the test what becomes of them (`start`, `finish`, `fail`, …) and which
faults to have. Several transports may lead to one server.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dmc.client.transport import Interrupted, Parcel, SourceChanged, Transport, never
from dmc.errors import DmcError, ServerUnreachable, UnknownItem, VerificationFailed, WholeFileMismatch, WrongStatus
from dmc.files import sha512_of
from dmc.items import ItemIds, Outcome, Status
from dmc.jobs import ErrorNote, MadeFile
from dmc.protocol import ITEMS, PROTOCOL, SERVICE, UPLOADS, CheckAnswer, CheckEntry, Identity, ItemView, ResultView, SidecarView

_CREATED = "2026-01-01T00:00:00.000000Z"


@dataclass(slots=True)
class Upload:
    """An upload that is not complete."""

    parcel: Parcel
    item_id: str
    data: bytearray = field(default_factory=bytearray)

    @property
    def url(self) -> str:
        return f"{UPLOADS}/{self.item_id}"


class MemoryServer:
    """Uploads, items, results, and faults by name.

    `down`: nothing gets through. `cut_after`: so many bytes get through, then the line is cut, once. `lose_answers`: the answers to
    that many calls that change something are lost after the change. `refusal`: what every upload is answered. `knows_check`: whether
    `POST /check` exists.
    """

    def __init__(self, instance: str = "memory", *, part: int = 64 * 1024) -> None:
        self.instance = instance
        self.part = part
        self.accepting = True
        self.ledger_seq = 0
        self.down = False
        self.cut_after: int | None = None
        self.lose_answers = 0
        self.refusal: DmcError | None = None
        self.knows_check = True
        self.received = 0
        self.uploads: dict[str, Upload] = {}
        self.items: dict[str, ItemView] = {}
        self.trash: dict[str, ItemView] = {}
        self.originals: dict[str, bytes] = {}
        self.results: dict[str, bytes] = {}
        self.sidecars: dict[tuple[str, str], bytes] = {}
        self.acknowledged: list[tuple[str, str]] = []
        self.keys: dict[str, str] = {}
        self._ids = ItemIds()

    # --- What becomes of items -------------------------------------------------------------------------------------

    def start(self, item_id: str) -> None:
        self._change(item_id, status=Status.IN_PROGRESS)

    def finish(self, item_id: str, result: bytes, file_name: str = "result.mkv", beside: Mapping[str, bytes] | None = None) -> None:
        """The item is converted to `result`, with files `beside` it."""
        self.results[item_id] = result
        self.sidecars |= {(item_id, name): data for name, data in (beside or {}).items()}
        shown = ResultView(
            file_name=file_name,
            file_size=len(result),
            sha512_checksum=hashlib.sha512(result).hexdigest(),
            url=f"{ITEMS}/{item_id}/result",
            receipt_url=f"{ITEMS}/{item_id}/receipt",
            sidecars=[_sidecar(item_id, name, data) for name, data in (beside or {}).items()],
        )
        self._change(item_id, status=Status.FINISHED_SUCCESSFUL, outcome=Outcome.CONVERTED, result=shown)

    def keep(self, item_id: str, outcome: Outcome, reason: str) -> None:
        """The item ends without a result, and that is no error."""
        self._change(item_id, status=Status.FINISHED_SUCCESSFUL, outcome=outcome, reason=reason)

    def fail(self, item_id: str, code: str, message: str = "it did not work.") -> None:
        self._change(item_id, status=Status.FINISHED_WITH_ERRORS, errors=[ErrorNote(code=code, message=message)])

    def delete(self, item_id: str) -> None:
        """Somebody deletes the item, which is put into the trash."""
        self.trash[item_id] = self.items[item_id]
        self.forget(item_id)

    def restore(self, item_id: str) -> None:
        """Somebody takes the item out of the trash."""
        self.items[item_id] = self.trash.pop(item_id)

    def forget(self, item_id: str) -> None:
        """The item went by its days, or a backup from before it was restored."""
        self.items.pop(item_id, None)
        self.keys = {key: known for key, known in self.keys.items() if known != item_id}

    def waiting(self) -> list[ItemView]:
        return [item for item in self.items.values() if not item.status.is_finished]

    def _change(self, item_id: str, **fields: Any) -> None:
        item = self.items[item_id]
        self.ledger_seq += 1
        self.items[item_id] = item.model_copy(update=fields | {"version": item.version + 1})

    # --- What the transport may do ---------------------------------------------------------------------------------

    def meet(self) -> None:
        if self.down:
            raise ServerUnreachable("the server is down.")

    def answer(self) -> None:
        """The change is made; its answer may be lost."""
        if self.lose_answers:
            self.lose_answers -= 1
            raise ServerUnreachable("the answer was lost.")

    def open_upload(self, parcel: Parcel) -> Upload | ItemView:
        known = self.keys.get(parcel.key)
        if known in self.items:
            return self.items[known or ""]
        if known in self.uploads:
            return self.uploads[known or ""]
        if self.refusal is not None:
            raise self.refusal
        upload = Upload(parcel, self._ids.next())
        self.uploads[upload.item_id] = upload
        self.keys[parcel.key] = upload.item_id
        return upload

    def receive(self, upload: Upload, part: bytes) -> None:
        if self.cut_after is not None:
            kept, self.cut_after = part[: self.cut_after], self.cut_after - len(part)
            if self.cut_after < 0:
                self.cut_after = None
                upload.data += kept
                self.received += len(kept)
                raise ServerUnreachable("the line was cut.")
        upload.data += part
        self.received += len(part)

    def complete(self, upload: Upload) -> ItemView:
        parcel = upload.parcel
        del self.uploads[upload.item_id]
        if hashlib.sha512(upload.data).hexdigest() != parcel.sha512:
            del self.keys[parcel.key]
            raise WholeFileMismatch("the bytes that arrived are not those that were announced.")
        self.ledger_seq += 1
        self.originals[upload.item_id] = bytes(upload.data)
        item = ItemView(
            item_id=upload.item_id,
            client_id="memory",
            status=Status.TO_DO,
            version=1,
            created_at=_CREATED,
            conversion_type=parcel.conversion_type,
            options=parcel.options,
            file_name=parcel.label,
            file_size=parcel.file_size,
            sha512_checksum=parcel.sha512,
        )
        self.items[item.item_id] = item
        return item


class MemoryTransport(Transport):
    """The way to a `MemoryServer`."""

    def __init__(self, server: MemoryServer) -> None:
        self._server = server

    def reach(self, instance: str | None = None) -> Identity:
        self._server.meet()
        if instance is not None and instance != self._server.instance:
            raise ServerUnreachable(f"another server answers: {self._server.instance}.")
        server = self._server
        return Identity(
            service=SERVICE, protocol=PROTOCOL, instance=server.instance, accepting=server.accepting, ledger_seq=server.ledger_seq
        )

    def check(self, files: Sequence[CheckEntry]) -> list[CheckAnswer]:
        self._server.meet()
        return [self._check(entry) for entry in files]

    def _check(self, entry: CheckEntry) -> CheckAnswer:
        if self._server.knows_check:
            for item in self._server.items.values():
                mine = (item.sha512_checksum, item.file_size, item.conversion_type, item.options)
                if mine == (entry.sha512, entry.file_size, entry.conversion_type, entry.options):
                    return CheckAnswer(state="have", item=item)
        return CheckAnswer(state="want")

    def send(
        self, parcel: Parcel, on_url: Callable[[str], None], on_progress: Callable[[int], None], stop: Callable[[], bool] = never
    ) -> ItemView:
        server = self._server
        server.meet()
        opened = server.open_upload(parcel)
        if isinstance(opened, ItemView):
            return opened
        server.answer()
        on_url(opened.url)
        try:
            with parcel.path.open("rb") as file:
                file.seek(len(opened.data))
                while len(opened.data) < parcel.file_size:
                    server.meet()
                    if stop():
                        raise Interrupted("the client is stopping.")
                    part = file.read(min(server.part, parcel.file_size - len(opened.data)))
                    if not part:
                        raise SourceChanged("the file is shorter than it was.")
                    server.receive(opened, part)
                    on_progress(len(opened.data))
        except FileNotFoundError:
            raise SourceChanged("the file is gone.") from None
        item = server.complete(opened)
        server.answer()
        return item

    def abandon(self, upload_url: str) -> None:
        self._server.meet()
        upload = self._server.uploads.pop(upload_url.rpartition("/")[2], None)
        if upload is not None:
            self._server.keys.pop(upload.parcel.key, None)

    def progress(self, item_ids: list[str]) -> dict[str, ItemView | None]:
        self._server.meet()
        items, trash = self._server.items, self._server.trash
        return {item_id: items.get(item_id) for item_id in item_ids if item_id in items or item_id in trash}

    def fetch(self, item_id: str, result: MadeFile, temp: Path, stop: Callable[[], bool] = never, beside: bool = False) -> None:
        self._server.meet()
        self._item(item_id)
        data = self._server.sidecars.get((item_id, result.file_name)) if beside else self._server.results.get(item_id)
        if data is None:
            raise WrongStatus("there is no result.")
        with temp.open("ab") as file:
            while (at := file.tell()) < len(data):
                self._server.meet()
                if stop():
                    raise Interrupted("the client is stopping.")
                file.write(data[at : at + self._server.part])
        if temp.stat().st_size != result.file_size or sha512_of(temp) != result.sha512_checksum:
            temp.unlink()
            raise VerificationFailed("what was fetched is not the result.")

    def acknowledge(self, item_id: str, sha512: str) -> None:
        self._server.meet()
        item = self._item(item_id)
        right = item.result.sha512_checksum if item.result else item.sha512_checksum
        if not item.status.is_finished:
            raise WrongStatus("there is nothing to acknowledge yet.")
        if sha512 != right:
            raise WholeFileMismatch("this is not the checksum of what the server holds.")
        self._server.acknowledged.append((item_id, sha512))
        self._server.answer()

    def cancel(self, item_id: str) -> None:
        self._server.meet()
        if self._item(item_id).status.is_finished:
            raise WrongStatus("it is already finished.")
        self._server.fail(item_id, "cancelled", "cancelled on request")

    def retry(self, item_id: str) -> None:
        self._server.meet()
        if self._item(item_id).status is not Status.FINISHED_WITH_ERRORS:
            raise WrongStatus("only what failed can be tried again.")
        self._server._change(item_id, status=Status.TO_DO, errors=[])

    def receipt(self, item_id: str) -> dict[str, Any]:
        self._server.meet()
        if item_id not in self._server.results:
            raise UnknownItem("there is no receipt.")
        return {"schema": "dmc.receipt/1", "item_id": item_id}

    def close(self) -> None:
        pass

    def _item(self, item_id: str) -> ItemView:
        if item_id not in self._server.items:
            raise UnknownItem(f"there is no item {item_id}.")
        return self._server.items[item_id]


def _sidecar(item_id: str, name: str, data: bytes) -> SidecarView:
    digest = hashlib.sha512(data).hexdigest()
    return SidecarView(file_name=name, file_size=len(data), sha512_checksum=digest, url=f"{ITEMS}/{item_id}/sidecars/{name}")
