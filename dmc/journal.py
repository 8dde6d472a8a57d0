"""A locked JSON document with an append-only journal: many records, each change one line and one fsync.

Used by the server's ledger and the client's outbox. What the records mean is none of its business: it knows an id, a
section, a version to compare, and a line of JSON. Several processes may have it open: writers take the lock file, readers
take no lock. Nothing that was read is believed before it is durable: a line that a dying process wrote and never synced
must not be acted upon while a power cut could still take it back.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from dmc.errors import Conflict
from dmc.files import Disk, SyncFailed
from dmc.journal_files import JournalFiles
from dmc.journal_lines import Edit, Entry, check_id, encode_change, encode_record, version_of
from dmc.journal_load import Damage, Step
from dmc.journal_reader import Reader
from dmc.locks import ProcessLock, Waits
from dmc.log import Log

__all__ = ["Damage", "Document", "Edit", "Entry", "Folding", "encode_record"]

_LOG = Log("journal")

_FOLD_BYTES_PER_S = 60e6
_FOLD_SYNCS = 5


@dataclass(frozen=True, slots=True)
class Folding:
    """When the journal is folded into the snapshot.

    At once while that is estimated to take less than `eager_s`, and folds so far took no more than their `share` of the time: what changes
    many times a second waits. At the latest when the journal is larger than half the snapshot, within `least_bytes` and
    `most_bytes`; else by `checkpoint`.
    """

    eager_s: float = 0.010
    share: float = 1.0
    least_bytes: int = 1024 * 1024
    most_bytes: int = 64 * 1024 * 1024


EVERYDAY = Folding(share=0.01)
NEVER = Folding(eager_s=0.0, least_bytes=1 << 60, most_bytes=1 << 60)
"""Only `checkpoint` folds."""


class Document(Reader):
    """See the top of this file. All methods may be called from any thread; `commit` and `checkpoint` block on the disk."""

    def __init__(self, files: JournalFiles, disk: Disk, lock: ProcessLock, folding: Folding) -> None:
        super().__init__(files, disk)
        self._files: JournalFiles = files
        self._lock = lock
        self._folding = folding
        self._fold_s = self._rests_until = 0.0

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        sections: Sequence[str],
        disk: Disk,
        schema: int = 1,
        recover: bool = True,
        lock_timeout_s: float = 10.0,
        folding: Folding | None = None,
        steps: Mapping[int, Step] | None = None,
        reserve_bytes: int = 1024 * 1024,
        unread: bool = False,
    ) -> Self:
        """Open or make the document at `path` (ends in .json).

        `recover` is for the long-running owner: it takes the lock and puts what a dead process left onto new blocks. Without it
        no lock is taken, nothing is written, and the document may be changed all the same. `steps[n]` makes a record of schema n + 1.
        `unread`: do not even look into the files; only `begin_anew` makes sense then.
        Raises Locked, TornLedger, Refused (written by a newer version), DiskFull, DiskFault.
        """
        files = JournalFiles(disk, path, sections, schema, steps or {}, reserve_bytes=reserve_bytes)
        hint = "A dmc that works on it does so for longer than it should, or hangs."
        self = cls(files, disk, ProcessLock(files.lock, timeout_s=lock_timeout_s, holder_hint=hint), folding or EVERYDAY)
        if unread:
            return self
        if recover:
            with self._exclusive("recovering the index"):
                self._recover()
        else:
            self.refresh()
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # --- Changing --------------------------------------------------------------------------------------------------

    def commit(self, edits: Sequence[Edit], guard: Callable[[], None] | None = None) -> int:
        """Make all of `edits` in one durable line, or none; returns the sequence number.

        `guard` is called under the lock right before; what it raises refuses the change.

        Raises Conflict (nothing written), DiskFull (taken back), Locked, and DiskFault, after which it is unknown whether the change
        will be there after a restart, and this object refuses everything.
        """
        if not edits:
            return self.seq
        for edit in edits:
            _check_edit(edit, self._files.sections)
        with self._exclusive("writing the journal"):
            self._catch_up(locked=True)
            if self._needs_mending or not self._tail.is_known:
                self._recover()
            self._check_versions(edits)
            if guard is not None:
                guard()
            seq = self.seq + 1
            self._append(encode_change(seq, self._tail.crc, edits), may_use_reserve=all(edit.expected_version for edit in edits))
            self._table.apply(seq, [(edit.id, _entry(edit)) for edit in edits])
            if self._fold_is_due():
                self._fold()
            return seq

    def _check_versions(self, edits: Sequence[Edit]) -> None:
        for edit in edits:
            known = self._table.get(edit.id)
            version = known.version if known else 0
            if version != edit.expected_version:
                raise Conflict(f"{edit.id} has changed meanwhile (version {version}, expected {edit.expected_version}).")

    def _append(self, line: bytes, *, may_use_reserve: bool) -> None:
        """Append `line`. On a full disk a change of what exists may use up the reserve; something new may not."""
        try:
            self._tail.append(line)
        except SyncFailed:
            raise
        except OSError:
            if not may_use_reserve or not self._files.drop_reserve():
                raise
            self._tail.append(line)

    def _fold_is_due(self) -> bool:
        rules = self._folding
        estimate = max(self._fold_s, _FOLD_SYNCS * self._tail.sync_s + (self._snapshot_bytes + self._tail.end) / _FOLD_BYTES_PER_S)
        self._fold_s *= 0.9  # So that one slow fold is not held against the disk for ever.
        if estimate < rules.eager_s and time.perf_counter() >= self._rests_until:
            return True
        return self._tail.end > min(rules.most_bytes, max(rules.least_bytes, self._snapshot_bytes // 2))

    def _fold(self) -> None:
        """Fold; where there is no room for it the journal stays, and with it every change."""
        started = time.perf_counter()
        try:
            self._tail.cut()
            loaded = self._files.replace(self._table.entries, self.seq, self._tail.crc)
        except SyncFailed:
            raise
        except OSError as problem:
            _LOG.warning("a fold was put off", file=self._files.snapshot.name, reason=problem)
            self._files.drop_temps()
            self._read_all(locked=True)  # It may have come as far as the fold line.
            return
        self._stand_at(loaded, self._tail.look())
        self._files.fill_reserve()
        ended = time.perf_counter()
        self._fold_s = ended - started
        self._rests_until = ended + self._fold_s * (1 / self._folding.share - 1)

    def checkpoint(self) -> None:
        """Fold the journal into the snapshot now, if it holds any change."""
        with self._exclusive("folding the journal"):
            self._catch_up(locked=True)
            if self._tail.has_changes:
                self._fold()

    # --- Recovery --------------------------------------------------------------------------------------------------

    def _recover(self) -> None:
        """Bring the files in order, under the lock, and make durable what was read. May be cut anywhere and begun again.

        On a full disk the reserve makes room for that.
        """
        try:
            self._put_right()
        except SyncFailed:
            raise
        except OSError:
            self._files.drop_temps()
            if not self._files.drop_reserve():
                raise
            self._put_right()

    def _put_right(self) -> None:
        self._files.drop_temps()
        loaded = self._files.load()
        if loaded is None:
            loaded = self._files.create()
        elif loaded.damage:
            for damage in loaded.damage:
                _LOG.warning("the index is damaged", file=self._files.snapshot.name, kind=damage.kind, detail=damage.detail)
            loaded = self._files.mend(loaded)
        else:
            loaded = self._files.renew(loaded)
        self._files.fill_reserve()
        self._take(loaded, self._tail.look())

    def begin_anew(self, records: Iterable[tuple[str, str, bytes]], after_seq: int = 0) -> int:
        """Let these (id, section, record) be the whole document, whatever it held; copies of the files are kept beside them.

        Returns the sequence number, above `after_seq` and any that is known.
        """
        entries = {}
        for key, section, raw in records:
            check_id(key)
            entries[key] = Entry(section, version_of(raw), raw)
        with self._exclusive("writing the index anew"):
            seq = max(self.seq, self._files.newest_seq(), after_seq) + 1
            self._take(self._files.begin_anew(entries, seq), self._tail.look())
            return seq

    def verify(self) -> list[Damage]:
        """Read the files anew and compare them with each other and with what this process holds."""
        with self._exclusive("checking the index"):
            self._catch_up(locked=True)
            loaded = self._files.load()
            if loaded is None:
                return [] if not self._table.entries else [Damage("missing", "the files of the index are gone.")]
            known, found = self._table.entries, loaded.entries
            odd = sorted(key for key in known.keys() | found.keys() if known.get(key) != found.get(key))
            return [*loaded.damage, *(Damage("differs", "the record on disk is another one than in memory.", key) for key in odd)]

    @property
    def waits(self) -> Waits:
        """How long this process waited for the lock."""
        return self._lock.waits

    def close(self) -> None:
        """Nothing is left to do: every change was durable when it was answered."""

    # --- Locks and faults ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _exclusive(self, doing: str) -> Iterator[None]:
        """Alone among processes and threads, with errors of the disk translated."""
        self._check()
        with self._lock.held(), self._busy, self._translated(doing):
            self._check()
            yield


def _check_edit(edit: Edit, sections: Sequence[str]) -> None:
    check_id(edit.id)
    if edit.raw is None or edit.section is None:
        return
    if edit.section not in sections:
        raise ValueError(f"no section {edit.section!r}")
    if version_of(edit.raw) != edit.expected_version + 1:
        raise ValueError(f"the version in the record of {edit.id} is not {edit.expected_version + 1}")


def _entry(edit: Edit) -> Entry | None:
    return None if edit.raw is None or edit.section is None else Entry(edit.section, edit.expected_version + 1, edit.raw)
