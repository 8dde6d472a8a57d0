"""What the sync thread knows of the outbox: a slim index over it, kept right with every change, and the one way to change a record.

The outbox holds the truth; this answers "what do we know of this path, of this content, of this result?" without
reading all of it. It belongs to one thread.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dmc.client.outbox import Outbox
from dmc.client.queues import Queues
from dmc.client.records import FOLDER, OutboxRecord, OutboxStatus, encode_path
from dmc.client.settle import Signature
from dmc.errors import Conflict

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Known:
    """The part of a record that is needed without reading it."""

    id: str
    status: OutboxStatus
    file_path: str
    signature: Signature
    sha512: str
    conversion_type: str
    result_path: str | None
    result_sha512: str | None


class Catalog:
    """The index; `queues` is told of every change, so that each stage finds its work without looking through all records."""

    def __init__(self, outbox: Outbox, queues: Queues) -> None:
        self._outbox = outbox
        self.queues = queues
        self._known: dict[str, Known] = {}
        self._paths: dict[str, list[str]] = {}
        self._contents: dict[str, list[str]] = {}
        self._results: dict[str, str] = {}
        self._result_contents: dict[str, int] = {}
        self._new: list[OutboxRecord] | None = None
        for record_id in outbox.ids():
            self._read_again(record_id)
        outbox.refresh()

    def __len__(self) -> int:
        return len(self._known)

    # --- Questions -------------------------------------------------------------------------------------------------

    def get(self, record_id: str) -> OutboxRecord | None:
        return self._outbox.get(record_id)

    def at_path(self, path: Path | str) -> list[Known]:
        """What was taken from `path` on behalf of an observed folder, oldest first."""
        return [self._known[known] for known in self._paths.get(encode_path(path), ())]

    def with_content(self, sha512: str, conversion_type: str) -> list[Known]:
        """What was taken from observed folders with this content for this conversion, oldest first."""
        found = (self._known[known] for known in self._contents.get(sha512, ()))
        return [known for known in found if known.conversion_type == conversion_type]

    def owner_of_result(self, path: Path | str) -> str | None:
        """The record whose result lies, or will lie, at `path`."""
        return self._results.get(encode_path(path))

    def is_own_result(self, sha512: str, conversion_type: str) -> bool:
        """Whether this content is a result that this client put somewhere for the same conversion."""
        return f"{conversion_type}:{sha512}" in self._result_contents

    def counts(self) -> dict[OutboxStatus, int]:
        return self._outbox.counts()

    # --- Changes ---------------------------------------------------------------------------------------------------

    def create(self, record: OutboxRecord) -> None:
        """Store a new record; durable on return, or at the end of `together`."""
        if self._new is None:
            self._outbox.put([record])
        else:
            self._new.append(record)
        self._file(record)

    @contextmanager
    def together(self) -> Iterator[None]:
        """New records of this block become durable in one step at its end. Nothing may be begun for them before."""
        self._new = []
        try:
            yield
            if self._new:
                self._outbox.put(self._new)
        finally:
            self._new = None

    def update(self, record_id: str, change: Callable[[OutboxRecord], OutboxRecord | None]) -> OutboxRecord | None:
        """Store what `change` makes of the record as it is now; None from it, or no such record: nothing happens.

        When another process was faster, `change` is asked again about the newer record.
        """
        for _ in range(_TRIES):
            record = self._outbox.get(record_id)
            after = change(record) if record is not None else None
            if after is None:
                return None
            try:
                self._outbox.put([after])
            except Conflict:
                self.refresh()
                continue
            self._file(after)
            return after
        raise Conflict(f"the record {record_id} is being changed by others all the time.")

    def update_all(self, record_ids: Iterable[str], change: Callable[[OutboxRecord], OutboxRecord | None]) -> int:
        """The same for many records in one durable step; returns how many changed."""
        found = (self._outbox.get(known) for known in record_ids)
        changed = [after for record in found if record is not None and (after := change(record)) is not None]
        if not changed:
            return 0
        try:
            self._outbox.put(changed)
        except Conflict:
            self.refresh()
            return sum(self.update(after.id, change) is not None for after in changed)
        for after in changed:
            self._file(after)
        return len(changed)

    def remove(self, record: OutboxRecord) -> None:
        """Forget a record of which nothing was sent."""
        self._outbox.remove(record)
        self._unfile(record.id)

    def refresh(self) -> None:
        """See what other processes wrote into the outbox."""
        changed = self._outbox.refresh()
        for record_id in list(self._known) if changed is None else changed:
            self._read_again(record_id)
        if changed is None:
            for record_id in self._outbox.ids():
                self._read_again(record_id)

    # --- Keeping the index -----------------------------------------------------------------------------------------

    def _read_again(self, record_id: str) -> None:
        record = self._outbox.get(record_id)
        if record is None:
            self._unfile(record_id)
        else:
            self._file(record)

    def _file(self, record: OutboxRecord) -> None:
        before = self._known.get(record.id)
        if before is not None:
            self._drop_keys(before)
        known = Known(
            record.id,
            record.status,
            record.file_path,
            record.signature,
            record.sha512,
            record.conversion_type,
            record.result_path,
            record.result.sha512_checksum if record.result and record.result_path else None,
        )
        self._known[record.id] = known
        if record.destination == FOLDER:
            _add(self._paths, known.file_path, known.id)
            _add(self._contents, known.sha512, known.id)
        if known.result_path:
            self._results[known.result_path] = known.id
        if known.result_sha512:
            key = f"{known.conversion_type}:{known.result_sha512}"
            self._result_contents[key] = self._result_contents.get(key, 0) + 1
        self.queues.file(record)

    def _unfile(self, record_id: str) -> None:
        known = self._known.pop(record_id, None)
        if known is not None:
            self._drop_keys(known)
        self.queues.forget(record_id)

    def _drop_keys(self, known: Known) -> None:
        _take_out(self._paths, known.file_path, known.id)
        _take_out(self._contents, known.sha512, known.id)
        if known.result_path and self._results.get(known.result_path) == known.id:
            del self._results[known.result_path]
        if known.result_sha512:
            key = f"{known.conversion_type}:{known.result_sha512}"
            left = self._result_contents[key] - 1
            if left:
                self._result_contents[key] = left
            else:
                del self._result_contents[key]


def _add(index: dict[str, list[str]], key: str, record_id: str) -> None:
    ids = index.setdefault(key, [])
    ids.append(record_id)
    ids.sort()


def _take_out(index: dict[str, list[str]], key: str, record_id: str) -> None:
    ids = index.get(key)
    if ids is not None and record_id in ids:
        ids.remove(record_id)
        if not ids:
            del index[key]
