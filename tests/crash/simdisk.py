"""A disk that forgets: what a process sees, what would survive a power cut, and every state in between.

The model: file content is durable after a sync of that file, a name after a sync of its folder; until then content may be
absent, present, torn or full of zeros, and changes of names may be there up to any point, or one missing, or one alone. A
rename is atomic. A change of a name is never durable without those of the same name before it.
"""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from random import Random

from dmc.broker.storage_memory import ROOT, Entry, MemoryDisk

Names = tuple[Entry, ...]
"""One operation on names: all of it happens, or nothing."""


class SimDisk(MemoryDisk):
    """See the top of this file. `on_step` is called after every operation that changes or syncs something."""

    def __init__(self) -> None:
        super().__init__()
        self.safe_files: dict[int, bytes] = {}
        self.safe_folders: dict[int, dict[str, int]] = {ROOT: {}}
        self.pending: list[Names] = []
        self.on_step: Callable[[], None] = lambda: None
        self.fault: Callable[[str, Path], OSError | None] = lambda verb, path: None
        self.steps = 0
        self.lies: set[int] = set()
        """Files of which a sync has failed: the kernel marked their pages clean, so later syncs succeed and keep nothing."""

    # --- What a process does ---------------------------------------------------------------------------------------

    def _assign(self, changes: Sequence[Entry]) -> None:
        super()._assign(changes)
        self.pending.append(tuple(changes))
        self._stepped()

    def _fill(self, number: int, content: bytes) -> None:
        super()._fill(number, content)
        self._stepped()

    def _stepped(self) -> None:
        self.steps += 1
        self.on_step()

    def write(self, path: Path, data: bytes) -> None:
        self._may_fail("write", path)
        if (found := self._find(path)) is not None:
            self.lies.discard(found)
        if self.fault("short-write", path):
            super().write(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        super().write(path, data)

    def append_synced(self, path: Path, data: bytes) -> None:
        self._may_fail("append", path)
        with self._lock:
            number, before = self._file(path), self.read(path)
            half = len(data) // 2
            self._fill(number, before + data[:half])  # A process may be killed in the middle of a write.
            if self.fault("short-write", path):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            self._fill(number, before + data)
            self.sync_file(path)

    def sync_file(self, path: Path) -> None:
        number = self._file(path)
        problem = self.fault("sync", path)
        if problem is not None:
            self.lies.add(number)
            raise problem
        if self.safe_files.get(number) != self.files[number] and number not in self.lies:
            self.safe_files[number] = self.files[number]
            self._stepped()

    def sync_folder(self, path: Path) -> None:
        number = self._folder(path)
        self._may_fail("sync", path)
        self._settle([any(folder == number for folder, _, _ in names) for names in self.pending])

    def truncate(self, path: Path, size: int) -> None:
        self._may_fail("truncate", path)
        super().truncate(path, size)

    def rename(self, source: Path, target: Path) -> None:
        self._may_fail("rename", target)
        super().rename(source, target)

    def link(self, source: Path, target: Path) -> None:
        self._may_fail("link", target)
        super().link(source, target)

    def unlink(self, path: Path) -> None:
        self._may_fail("unlink", path)
        super().unlink(path)

    def make_folder(self, path: Path) -> None:
        self._may_fail("make-folder", path)
        super().make_folder(path)

    def _may_fail(self, verb: str, path: Path) -> None:
        problem = self.fault(verb, path)
        if problem is not None:
            raise problem

    def _settle(self, chosen: list[bool]) -> None:
        """Make the chosen pending operations durable, and with each those before it on the same names."""
        if not any(chosen):
            return
        chosen = with_earlier(self.pending, chosen)
        for names, is_chosen in zip(self.pending, chosen, strict=True):
            if is_chosen:
                assign(self.safe_folders, names)
        self.pending = [names for names, is_chosen in zip(self.pending, chosen, strict=True) if not is_chosen]
        self._stepped()

    def has_unsynced(self, path: Path) -> bool:
        """Whether the content of this file would not survive a power cut as it is."""
        number = self._find(path)
        return number is not None and self.safe_files.get(number) != self.files[number]

    def settle_all(self) -> None:
        """Everything durable, as after `sync`."""
        self.safe_files = dict(self.files)
        self._settle([True] * len(self.pending))

    # --- What a crash leaves ---------------------------------------------------------------------------------------

    def after_kill(self) -> "SimDisk":
        """The process is dead, the machine lives on: everything written is seen, nothing more is durable."""
        copy = SimDisk()
        copy.files, copy.folders = dict(self.files), {number: dict(names) for number, names in self.folders.items()}
        copy.safe_files, copy.safe_folders = dict(self.safe_files), {n: dict(names) for n, names in self.safe_folders.items()}
        copy.lies = set(self.lies)
        copy.pending, copy._numbers, copy._ticks = list(self.pending), _count_from(self), _count_from(self)
        return copy

    def after_power_cuts(self) -> "Iterator[tuple[str, SimDisk]]":
        """Every disk that a power cut may leave now, each once, with a word on how it came to be."""
        seen = set()
        for how, chosen in self._choices():
            for fate in FATES:
                image = self._cut(chosen, fate)
                key = image.picture()
                if key not in seen:
                    seen.add(key)
                    yield f"{how}, unsynced data {fate}", image

    def some_power_cuts(self, draw: Random, most: int) -> "Iterator[tuple[str, SimDisk]]":
        """A few of them, drawn evenly."""
        choices = [(how, chosen, fate) for how, chosen in self._choices() for fate in FATES]
        for how, chosen, fate in draw.sample(choices, min(most, len(choices))):
            yield f"{how}, unsynced data {fate}", self._cut(chosen, fate)

    def _cut(self, chosen: list[bool], fate: str) -> "SimDisk":
        folders = {number: dict(names) for number, names in self.safe_folders.items()}
        for names, is_chosen in zip(self.pending, chosen, strict=True):
            if is_chosen:
                assign(folders, names)
        return _image(folders, {number: self._content(number, fate) for number in self.files}, self)

    def _choices(self) -> Iterator[tuple[str, list[bool]]]:
        total = len(self.pending)
        for length in range(total, -1, -1):
            yield f"{length} of {total} names", [index < length for index in range(total)]
        for index in range(total):
            alone = with_earlier(self.pending, [other == index for other in range(total)])
            yield f"name {index} alone", alone
            yield f"name {index} dropped", without_later(self.pending, index)

    def _content(self, number: int, fate: str) -> bytes:
        live, safe = self.files[number], self.safe_files.get(number, b"")
        if live == safe or fate == "present":
            return live
        if fate == "absent" or not live.startswith(safe):
            return safe if fate == "absent" else live[: len(live) // 2]
        fresh = live[len(safe) :]
        return safe + (fresh[: len(fresh) // 2] if fate == "torn" else bytes(len(fresh)))

    def picture(self) -> int:
        """The same for two disks that look the same from the outside."""
        return hash(frozenset(self._paths(ROOT, "")))

    def _paths(self, folder: int, prefix: str) -> Iterator[tuple[str, bytes | None]]:
        for name, number in self.folders[folder].items():
            if number in self.folders:
                yield f"{prefix}/{name}", None
                yield from self._paths(number, f"{prefix}/{name}")
            else:
                yield f"{prefix}/{name}", self.files[number]


FATES = ("present", "absent", "torn", "zeroed")


def assign(folders: dict[int, dict[str, int]], names: Names) -> None:
    for folder, name, number in names:
        entries = folders.setdefault(folder, {})
        if number is None:
            entries.pop(name, None)
        else:
            entries[name] = number


def with_earlier(pending: list[Names], chosen: list[bool]) -> list[bool]:
    """`chosen`, and what came before it on the same names."""
    chosen, keys = list(chosen), set()
    for index in reversed(range(len(pending))):
        mine = {(folder, name) for folder, name, _ in pending[index]}
        if chosen[index] or mine & keys:
            chosen[index] = True
            keys |= mine
    return chosen


def without_later(pending: list[Names], dropped: int) -> list[bool]:
    """Everything but one operation, and what came after it on the same names."""
    chosen, keys = [], set()
    for index, names in enumerate(pending):
        mine = {(folder, name) for folder, name, _ in names}
        if index == dropped or mine & keys:
            keys |= mine
            chosen.append(False)
        else:
            chosen.append(True)
    return chosen


def _image(folders: dict[int, dict[str, int]], files: dict[int, bytes], source: SimDisk) -> SimDisk:
    """A disk on which all this is durable; what has no name any more is gone."""
    image = SimDisk()
    reached = [ROOT]
    for number in reached:
        names = folders.get(number, {}) if number in source.folders else {}
        image.folders[number] = dict(names)
        for child in names.values():
            if child in source.folders:
                reached.append(child)
            else:
                image.files[child] = files[child]
    image.safe_files, image.safe_folders = dict(image.files), {n: dict(names) for n, names in image.folders.items()}
    image._numbers, image._ticks = _count_from(source), _count_from(source)
    return image


def _count_from(source: SimDisk) -> Iterator[int]:
    return count(max([ROOT, *source.files, *source.folders]) + 1000)
