"""The end of a journal: following what others append to it, and appending to it oneself.

Remembers the last good line and where it ends. That line, compared byte for byte, is what tells whether a file found later
is still the same journal. It knows lines, not records.
"""

import contextlib
import time
from pathlib import Path

from dmc.files import Disk, SyncFailed
from dmc.journal_lines import Line, scan
from dmc.journal_load import JournalSource, Loaded, crc_of_line

Stamp = tuple[int, int, int]


class Tail:
    """Where this process stands in the journal of `files`. Raises OSErrors as the disk does."""

    def __init__(self, disk: Disk, files: JournalSource) -> None:
        self._disk = disk
        self._files = files
        self._line = b""
        self._end = 0
        self._stamp: Stamp | None = None  # The journal as it was when all of it was read; None: look into it.
        self.sync_s = 0.0
        """What an append costs, in seconds, smoothed."""

    @property
    def _journal(self) -> Path:
        return self._files.journal

    @property
    def is_known(self) -> bool:
        """Whether a journal has been read at all."""
        return bool(self._line)

    @property
    def end(self) -> int:
        """Bytes of the journal up to the last good line."""
        return self._end

    @property
    def has_changes(self) -> bool:
        return self._end > len(self._line)

    @property
    def crc(self) -> str:
        return crc_of_line(self._line)

    def look(self) -> Stamp | None:
        """What tells one state of the journal from another at a glance; None if there is none."""
        found = self._disk.stat(self._journal)
        return None if found is None else (found.st_ino, found.st_size, found.st_mtime_ns)

    def stands_at(self, stamp: Stamp | None) -> bool:
        return stamp is not None and stamp == self._stamp

    def move_to(self, loaded: Loaded, stamp: Stamp | None) -> None:
        """Stand at the end of what was loaded; `stamp` was taken before that."""
        self._line, self._end = loaded.tail, loaded.end
        self._stamp = stamp if stamp is not None and stamp[1] == loaded.end else None

    def read_on(self, stamp: Stamp) -> tuple[Line, ...] | None:
        """The lines that follow the last one known, durable; None if this is another journal, or a damaged one: read everything."""
        if not self._line or stamp[1] < self._end:
            return None
        fresh = self._disk.read_from(self._journal, self._end - len(self._line))
        if not fresh.startswith(self._line):
            return None
        found = scan(fresh[len(self._line) :])
        if found.damaged or (found.lines and found.lines[0].prev != self.crc):
            return None
        if found.lines:
            self.make_durable()
            self._line, self._end = found.tail, self._end + found.end
        self._stamp = stamp if self._end == stamp[1] else None
        return found.lines

    def make_durable(self) -> None:
        """Sync what was just read, and the names under which it was found."""
        with contextlib.suppress(FileNotFoundError):  # A snapshot alone was synced before it got its name.
            self._disk.sync_file(self._journal)
        self._disk.sync_folder(self._journal.parent)

    def cut(self) -> None:
        """Under the lock: cut a torn end off. Its writer died and nobody was told of it."""
        stamp = self.look()
        if stamp is not None and stamp[1] > self._end:
            self._disk.truncate(self._journal, self._end)

    def append(self, line: bytes) -> None:
        """Under the lock: write and sync a line after the last good one. What fails is taken back as far as the disk lets us."""
        self.cut()
        started = time.perf_counter()
        try:
            self._disk.append_synced(self._journal, line)
        except OSError as problem:
            with contextlib.suppress(OSError):  # What stays of it is a torn end, or the sync that failed is told anyway.
                self._disk.truncate(self._journal, self._end)
            if isinstance(problem, SyncFailed):
                self._line = b""
            raise
        took = time.perf_counter() - started
        self.sync_s = took if not self.sync_s else 0.8 * self.sync_s + 0.2 * took
        self._line, self._end = line, self._end + len(line)
        self._stamp = self.look()
