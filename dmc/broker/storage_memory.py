"""Item folders in memory: the same rules over a disk that is a dictionary. For tests and for trying things out.

Files of items come and go through the disk; nothing of it can be opened by path.
"""

import errno
import os
import stat
import threading
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from dmc.broker.storage_dirs import StorageDirs

ROOT = 1
Entry = tuple[int, str, int | None]
"""A change of a folder: its number, a name, and the number that stands under it from now on; None: nothing."""


class MemoryDisk:
    """A Disk (files.py) that is gone with the process: numbered files and folders, and every sync succeeds.

    All changes pass through `_assign` (names) and `_fill` (content), which a disk that can fail or forget overrides.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._numbers = count(ROOT + 1)
        self._ticks = count(1)
        self.files: dict[int, bytes] = {}
        self.folders: dict[int, dict[str, int]] = {ROOT: {}}
        self.changed_at: dict[int, int] = {}

    # --- The two changes -------------------------------------------------------------------------------------------

    def _assign(self, changes: Sequence[Entry]) -> None:
        """Change names; all of `changes` at once."""
        for folder, name, number in changes:
            if number is None:
                del self.folders[folder][name]
            else:
                self.folders[folder][name] = number

    def _fill(self, number: int, content: bytes) -> None:
        """Change what a file holds."""
        self.files[number] = content
        self.changed_at[number] = next(self._ticks)

    # --- Disk ------------------------------------------------------------------------------------------------------

    def read(self, path: Path) -> bytes:
        with self._lock:
            return self.files[self._file(path)]

    def read_from(self, path: Path, offset: int, most: int = -1) -> bytes:
        return self.read(path)[offset:] if most < 0 else self.read(path)[offset : offset + most]

    def write(self, path: Path, data: bytes) -> None:
        with self._lock:
            if self._find(path) is None:
                self._create(path)
            self._fill(self._file(path), data)

    def append_synced(self, path: Path, data: bytes) -> None:
        with self._lock:
            self._fill(self._file(path), self.read(path) + data)
            self.sync_file(path)

    def truncate(self, path: Path, size: int) -> None:
        with self._lock:
            self._fill(self._file(path), self.read(path)[:size])

    def sync_file(self, path: Path) -> None:
        self._file(path)

    def sync_folder(self, path: Path) -> None:
        self._folder(path)

    def rename(self, source: Path, target: Path) -> None:
        with self._lock:
            number, there = self._node(source), self._find(target)
            if there == number:
                return
            if there is not None:
                self._check_replaceable(number, there, target)
            self._assign([(self._folder(source.parent), source.name, None), (self._folder(target.parent), target.name, number)])

    def link(self, source: Path, target: Path) -> None:
        with self._lock:
            number = self._file(source)
            self._check_free(target)
            self._assign([(self._folder(target.parent), target.name, number)])

    def unlink(self, path: Path) -> None:
        with self._lock:
            self._file(path)
            self._assign([(self._folder(path.parent), path.name, None)])

    def make_folder(self, path: Path) -> None:
        with self._lock:
            self._check_free(path)
            number = next(self._numbers)
            self.folders[number] = {}
            self._assign([(self._folder(path.parent), path.name, number)])

    def remove_folder(self, path: Path) -> None:
        with self._lock:
            if self.folders[self._folder(path)]:
                raise _error(errno.ENOTEMPTY, path)
            self._assign([(self._folder(path.parent), path.name, None)])

    def names(self, path: Path) -> list[str]:
        with self._lock:
            return [] if self._find(path) is None else sorted(self.folders[self._folder(path)])

    def stat(self, path: Path) -> os.stat_result | None:
        with self._lock:
            number = self._find(path)
            if number is None:
                return None
            mode = stat.S_IFDIR if number in self.folders else stat.S_IFREG
            tick = self.changed_at.get(number, 0)
            size = len(self.files.get(number, b""))
            return os.stat_result((mode | 0o600, number, 1, 1, 0, 0, size, tick, tick, tick))

    # --- Finding ---------------------------------------------------------------------------------------------------

    def _create(self, path: Path) -> None:
        number = next(self._numbers)
        self.files[number] = b""
        self._assign([(self._folder(path.parent), path.name, number)])

    def _find(self, path: Path) -> int | None:
        number = ROOT
        try:
            for part in path.parts[1:]:
                number = self.folders[number][part]
        except KeyError:
            return None  # No such name, or a file on the way to it.
        return number

    def _node(self, path: Path) -> int:
        number = self._find(path)
        if number is None:
            raise _error(errno.ENOENT, path)
        return number

    def _file(self, path: Path) -> int:
        number = self._node(path)
        if number in self.folders:
            raise _error(errno.EISDIR, path)
        return number

    def _folder(self, path: Path) -> int:
        number = self._node(path)
        if number not in self.folders:
            raise _error(errno.ENOTDIR, path)
        return number

    def _check_free(self, path: Path) -> None:
        if self._find(path) is not None:
            raise _error(errno.EEXIST, path)

    def _check_replaceable(self, number: int, there: int, path: Path) -> None:
        if (number in self.folders) != (there in self.folders):
            raise _error(errno.EISDIR if there in self.folders else errno.ENOTDIR, path)
        if self.folders.get(there):
            raise _error(errno.ENOTEMPTY, path)


class StorageMemory(StorageDirs):
    """See the seam, storage.py. `disk` is where a test puts originals and finds results."""

    def __init__(self, data: Path = Path("/data"), free: int = 1 << 40) -> None:
        self.disk = MemoryDisk()
        self.disk.make_folder(data)
        super().__init__(data, self.disk)
        self.free = free
        self.prepare()

    def free_bytes(self) -> int:
        return self.free


def _error(code: int, path: Path) -> OSError:
    return OSError(code, os.strerror(code), str(path))
