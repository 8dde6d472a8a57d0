"""The reading side of a journalled document: records in memory, kept up to what processes write into the files.

It takes no lock file and never waits for a writer. Nothing that was read is believed before it is durable: a line that a
dying process wrote and never synced must not be acted upon while a power cut could still take it back.
"""

import contextlib
import threading
import time
from collections.abc import Iterator

from dmc.errors import DiskFault
from dmc.files import Disk, SyncFailed, translate
from dmc.journal_lines import Entry
from dmc.journal_load import JournalSource, Loaded
from dmc.journal_table import Table
from dmc.journal_tail import Stamp, Tail

_READ_TRIES = 40
_READ_PAUSE_S = 0.005
_LOOK_EVERY_S = 0.25


class Reader:
    """See the top of this file. All methods may be called from any thread."""

    def __init__(self, files: JournalSource, disk: Disk) -> None:
        self._files = files
        self._table = Table()
        self._tail = Tail(disk, files)
        self._busy = threading.Lock()  # One thread of this process works on the files.
        self._snapshot_bytes = 0
        self._needs_mending = False
        self._fault: DiskFault | None = None

    # --- Reading, from memory --------------------------------------------------------------------------------------

    @property
    def seq(self) -> int:
        """The number of the last change seen by this process."""
        return self._table.seq

    def get(self, key: str) -> Entry | None:
        self._check()
        return self._table.get(key)

    def ids(self, section: str | None = None, after: str = "", limit: int | None = None) -> list[str]:
        """Ids above `after`, sorted."""
        self._check()
        return self._table.ids(section, after, limit)

    def moment(self) -> tuple[int, dict[str, Entry]]:
        """The sequence number, and all records as they are with it."""
        self._check()
        return self._table.moment()

    def counts(self) -> dict[str, int]:
        """Records per section that has any."""
        self._check()
        return self._table.counts()

    def find(self, prefix: str, limit: int = 2) -> list[str]:
        """Up to `limit` ids that start with `prefix`."""
        self._check()
        return self._table.find(prefix, limit)

    def newest_id(self) -> str | None:
        """The largest id; None in an empty document."""
        self._check()
        return self._table.newest()

    def changes_since(self, seq: int) -> list[tuple[int, str, Entry | None]] | None:
        """What changed after `seq`, in order; None if that is no longer known.

        Of several changes that another process made to one record, only the last may be told.
        """
        self._check()
        return self._table.changes_since(seq)

    def watch(self, seq: int, timeout_s: float) -> int:
        """Wait until the document is past `seq`, at most `timeout_s`; returns the sequence number then.

        A change made through this object is seen at once, one of another process within a quarter of a second.
        """
        deadline = time.monotonic() + timeout_s
        while self.refresh() <= seq:
            left = deadline - time.monotonic()
            if left <= 0 or self._table.wait(seq, min(left, _LOOK_EVERY_S)):
                break
        return self.seq

    # --- Seeing what others wrote ----------------------------------------------------------------------------------

    def refresh(self) -> int:
        """Take in what other processes wrote; takes no lock file and does not wait for a change under way in this one."""
        self._check()
        if self._busy.acquire(blocking=False):
            try:
                with self._translated("reading the index"):
                    self._catch_up(locked=False)
            finally:
                self._busy.release()
        return self.seq

    def _catch_up(self, *, locked: bool) -> None:
        stamp = self._tail.look()
        if self._tail.stands_at(stamp):
            return
        lines = None if stamp is None else self._tail.read_on(stamp)
        if lines is None:
            self._read_all(locked=locked)
        for line in lines or ():
            if line.mark is None:
                self._table.apply(line.seq, line.changes)

    def _read_all(self, *, locked: bool) -> None:
        """Read all files anew. Without the lock somebody may fold meanwhile; then they do not fit each other for a moment."""
        for tries_left in reversed(range(1 if locked else _READ_TRIES)):
            stamp = self._tail.look()
            loaded = self._files.load()
            if loaded is None:
                return
            if loaded.damage and tries_left:
                time.sleep(_READ_PAUSE_S)
                continue
            self._tail.make_durable()
            self._take(loaded, stamp)
            return

    def _take(self, loaded: Loaded, stamp: Stamp | None) -> None:
        """Make what was loaded the state in memory."""
        if self._tail.is_known:
            self._table.become(loaded.seq, loaded.entries)
        else:
            self._table.begin(loaded.seq, loaded.entries)
        self._stand_at(loaded, stamp)

    def _stand_at(self, loaded: Loaded, stamp: Stamp | None) -> None:
        self._snapshot_bytes = loaded.snapshot_bytes
        self._needs_mending = bool(loaded.damage)
        self._tail.move_to(loaded, stamp)

    # --- Faults ----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except SyncFailed as problem:
            self._fault = DiskFault(
                f"{doing}: the disk could not make {self._files.journal.name} durable ({problem.strerror}).",
                "Nothing more is read or written until dmc is started anew; look at the disk and at the system log.",
            )
            raise self._fault from problem
        except OSError as problem:
            raise translate(problem, doing) from problem

    def _check(self) -> None:
        if self._fault is not None:
            raise DiskFault(self._fault.message, self._fault.hint)
