"""What the sync thread knows of the outbox: a slim index over it, kept right with every change, and the one way to change a record.

The outbox holds the truth; this answers "what do we know of this path, of this content, of this result?" without
reading all of it. It belongs to one thread.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dmc.client.outbox import Outbox
from dmc.client.queues import Queues
from dmc.client.records import FOLDER, OutboxRecord, OutboxStatus, decode_path, encode_path
from dmc.client.settle import Signature
from dmc.errors import Conflict

Key = TypeVar("Key")
Index = dict[Key, str | tuple[str, ...]]
"""Ids by a key; nearly always there is one, which then stands there by itself."""

_TRIES = 5
_STAMP = struct.Struct("<QqqQQ")


@dataclass(frozen=True, slots=True)
class Known:
    """The part of a record that is needed without reading it, packed: there is one for each file that was ever taken.

    `stamp` is the signature (as it is where a number does not fit: times may lie beyond 2262), `sha512` and `result_sha512` are the
    bytes of the digests (empty: none), `sidecars` those of what lies beside the result.
    """

    id: str
    status: OutboxStatus
    file_path: str
    stamp: bytes | Signature
    sha512: bytes
    conversion_type: str
    result_path: str | None
    result_sha512: bytes
    sidecars: tuple[bytes, ...] = ()

    @property
    def signature(self) -> Signature:
        return self.stamp if isinstance(self.stamp, Signature) else Signature(*_STAMP.unpack(self.stamp))


def _packed(signature: Signature) -> bytes | Signature:
    try:
        return _STAMP.pack(*signature)
    except struct.error:
        return signature


class Catalog:
    """The index; `queues` is told of every change, so that each stage finds its work without looking through all records."""

    def __init__(self, outbox: Outbox, queues: Queues) -> None:
        self._outbox = outbox
        self.queues = queues
        self._known: dict[str, Known] = {}
        self._paths: Index[str] = {}
        self._contents: Index[bytes] = {}
        self._results: dict[str, str] = {}
        self._result_contents: dict[str, dict[bytes, int]] = {}
        self._sidecars: Index[bytes] = {}
        self._missing: set[str] = set()
        self._in_trash: set[str] = set()
        self._words: dict[str, str] = {}
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
        return [self._known[known] for known in _ids_at(self._paths, encode_path(path))]

    def with_content(self, sha512: str, conversion_type: str) -> list[Known]:
        """What was taken from observed folders with this content for this conversion, oldest first."""
        found = (self._known[known] for known in _ids_at(self._contents, bytes.fromhex(sha512)))
        return [known for known in found if known.conversion_type == conversion_type]

    def owner_of_result(self, path: Path | str) -> str | None:
        """The record whose result lies, or will lie, at `path`."""
        return self._results.get(encode_path(path))

    def is_own_result(self, sha512: str, conversion_type: str) -> bool:
        """Whether this content is a result that this client put somewhere for the same conversion."""
        return bytes.fromhex(sha512) in self._result_contents.get(conversion_type, ())

    def is_own_sidecar(self, path: Path | str, sha512: str) -> bool:
        """Whether this content was put, or will be put, beside a result in the folder of `path`."""
        owners = (self._known[known].result_path for known in _ids_at(self._sidecars, bytes.fromhex(sha512)))
        return any(place is None or decode_path(place).parent == Path(path).parent for place in owners)

    def places(self, status: OutboxStatus) -> list[tuple[str, str, str | None]]:
        """Id and encoded paths of file and result of each record of a status."""
        return [(known.id, known.file_path, known.result_path) for known in self._known.values() if known.status is status]

    def missing(self) -> frozenset[str]:
        """Ids of the records whose file and result were both missed at the last look."""
        return frozenset(self._missing)

    def in_trash(self) -> list[str]:
        """The records whose originals lie in a trash, oldest first."""
        return sorted(self._in_trash)

    def trashed_from(self, folder: Path) -> list[str]:
        """Names that originals had in `folder` before they were moved to the trash."""
        start = encode_path(folder).rstrip("/") + "/"
        paths = (self._known[known].file_path for known in self._in_trash)
        return [decode_path(path).name for path in paths if path.startswith(start) and "/" not in path[len(start) :]]

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
        """Forget a record of which nothing was sent, or nothing is left."""
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
            self._file(record, record_id)

    def _file(self, record: OutboxRecord, record_id: str | None = None) -> None:
        """`record_id`: the same id as the outbox holds it, so that there is one string of it."""
        before = self._known.get(record.id)
        if before is not None:
            self._drop_keys(before)
        home = record.result is not None and record.result_path is not None
        known = Known(
            record_id or record.id,
            record.status,
            record.file_path,
            _packed(record.signature),
            bytes.fromhex(record.sha512),
            self._words.setdefault(record.conversion_type, record.conversion_type),
            record.result_path,
            bytes.fromhex(record.result.sha512_checksum) if home and record.result else b"",
            tuple(bytes.fromhex(sidecar.sha512_checksum) for sidecar in record.result.sidecars) if record.result else (),
        )
        self._known[known.id] = known
        if record.missing_since is None:
            self._missing.discard(known.id)
        else:
            self._missing.add(known.id)
        if record.destination == FOLDER:
            _add(self._paths, known.file_path, known.id)
            _add(self._contents, known.sha512, known.id)
        if known.result_path:
            self._results[known.result_path] = known.id
        if known.result_sha512:
            results = self._result_contents.setdefault(known.conversion_type, {})
            results[known.result_sha512] = results.get(known.result_sha512, 0) + 1
        for digest in set(known.sidecars):
            _add(self._sidecars, digest, known.id)
        if record.trash is not None:
            self._in_trash.add(known.id)
        self.queues.file(record)

    def _unfile(self, record_id: str) -> None:
        known = self._known.pop(record_id, None)
        self._missing.discard(record_id)
        if known is not None:
            self._drop_keys(known)
        self.queues.forget(record_id)

    def _drop_keys(self, known: Known) -> None:
        _take_out(self._paths, known.file_path, known.id)
        _take_out(self._contents, known.sha512, known.id)
        if known.result_path and self._results.get(known.result_path) == known.id:
            del self._results[known.result_path]
        if known.result_sha512:
            results = self._result_contents[known.conversion_type]
            results[known.result_sha512] -= 1
            if not results[known.result_sha512]:
                del results[known.result_sha512]
        for digest in set(known.sidecars):
            _take_out(self._sidecars, digest, known.id)
        self._in_trash.discard(known.id)


def _ids_at(index: Index[Key], key: Key) -> tuple[str, ...]:
    found = index.get(key, ())
    return (found,) if isinstance(found, str) else found


def _add(index: Index[Key], key: Key, record_id: str) -> None:
    before = _ids_at(index, key)
    index[key] = tuple(sorted([*before, record_id])) if before else record_id


def _take_out(index: Index[Key], key: Key, record_id: str) -> None:
    left = tuple(known for known in _ids_at(index, key) if known != record_id)
    if left:
        index[key] = left if len(left) > 1 else left[0]
    else:
        index.pop(key, None)
