"""A look at a few records of a journalled document without reading all of it: for a short command on a large ledger.

The base line of the journal tells where the sections of the snapshot stand and how many records each has. Records are sorted
by id, one per line, so a place in a section is found by halving, and only the lines that are asked for are read, with all
lines of the journal on top. What does not fit each other (somebody folds, something is damaged, the files are of another
hand) is not interpreted here: then the answer is None, and the caller reads everything, as `journal.py` does.
"""

import json
import time
from collections.abc import Callable, Iterator
from heapq import merge
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from dmc.files import Disk
from dmc.journal_lines import Entry, Layout, Line, scan
from dmc.journal_load import JournalSource
from dmc.journal_snapshot import HEADER, SNAPSHOT_LINE

Answer = TypeVar("Answer")
Record = tuple[str, Entry]

_TRIES = 20
_PAUSE_S = 0.005
_HEADER_BYTES = 80
_PROBE_BYTES = 2048
_CHUNK_BYTES = 64 * 1024


class _Unfit(Exception):
    """What was read does not go together; it may in a moment."""


class _Never(Exception):
    """These files cannot be read so."""


def glance(disk: Disk, files: JournalSource, schema: int, ask: "Callable[[Glance], Answer]") -> Answer | None:
    """What `ask` finds out from one state of the document; None if that is not to be had so cheaply. Takes no lock."""
    for _ in range(_TRIES):
        try:
            before = _generation(disk, files)
            answer = ask(Glance(disk, files, schema))
            if before == _generation(disk, files):
                return answer
        except (_Never, FileNotFoundError):
            return None
        except _Unfit:
            pass
        time.sleep(_PAUSE_S)  # Somebody folds, which takes a moment.
    return None


def _generation(disk: Disk, files: JournalSource) -> list[int]:
    found = (disk.stat(files.snapshot), disk.stat(files.journal))
    return [0 if one is None else one.st_ino for one in found]


class Glance:
    """One state of a document; see the top of this file."""

    def __init__(self, disk: Disk, files: JournalSource, schema: int) -> None:
        journal = disk.read(files.journal)
        found = scan(journal)
        if found.damaged or not _is_a_chain(found.lines):
            raise _Never
        disk.sync_file(files.journal)  # What a dying process wrote and never synced must not be told as if it were there to stay.
        disk.sync_folder(files.journal.parent)
        layout = _layout_in(journal)
        _check_snapshot(disk, files.snapshot, schema, found.lines[0])
        self._counts = {name: count for name, (_, _, count) in layout.items()}
        self._sections = {name: _Section(disk, files.snapshot, name, start, stop) for name, (start, stop, _) in layout.items()}
        self._changed: dict[str, Entry | None] = {}
        self._new: set[str] = set()
        for line in found.lines:
            for key, entry in line.changes:
                if key not in self._changed and entry is not None and entry.version == 1:
                    self._new.add(key)
                self._changed[key] = entry

    def records(self, section: str | None, after: str) -> Iterator[Record]:
        """Records with ids above `after`, sorted, of one section or of all; read as they are taken."""
        chosen = [one for name, one in self._sections.items() if section in (None, name)]
        changed = [
            (key, entry)
            for key, entry in sorted(self._changed.items(), key=lambda change: change[0])
            if entry is not None and key > after and section in (None, entry.section)
        ]
        folded = (record for record in merge(*(one.records(after) for one in chosen), key=_key) if record[0] not in self._changed)
        return merge(folded, changed, key=_key)

    def counts(self) -> dict[str, int]:
        """Records per section."""
        counts = dict(self._counts)
        for key, entry in self._changed.items():
            before = None if key in self._new else next((name for name, one in self._sections.items() if one.has(key)), None)
            if before is not None:
                counts[before] -= 1
            if entry is not None:
                counts[entry.section] += 1
        return counts


def _key(record: Record) -> str:
    return record[0]


def _is_a_chain(lines: tuple[Line, ...]) -> bool:
    """Whether it begins with a base line, and every line follows the one before."""
    if not lines or lines[0].op != "base":
        return False
    return all(line.prev == before.crc and line.seq == before.seq + (line.mark is None) for before, line in pairwise(lines))


def _layout_in(journal: bytes) -> Layout:
    """What the base line says about the sections; that of a snapshot from another hand says nothing."""
    found = json.loads(journal[: journal.index(b"\n")])
    if "sections" not in found:
        raise _Never
    return {name: (start, stop, count) for name, (start, stop, count) in found["sections"].items()}


def _check_snapshot(disk: Disk, path: Path, schema: int, base: Line) -> None:
    """Whether the snapshot is the one of the base line, as far as its length, its schema and its number tell."""
    found, header = disk.stat(path), HEADER.match(disk.read_from(path, 0, _HEADER_BYTES))
    if found is None or header is None or base.mark is None or found.st_size != base.mark.size:
        raise _Unfit
    if (int(header[1]), int(header[2])) != (schema, base.seq):
        raise _Unfit


class _Section:
    """The lines of one section: bytes `start` to `stop` of the snapshot."""

    def __init__(self, disk: Disk, path: Path, name: str, start: int, stop: int) -> None:
        self._disk = disk
        self._path = path
        self._name = name
        self._start = start
        self._stop = stop

    def has(self, key: str) -> bool:
        at = self._first(lambda found: found >= key)
        return at < self._stop and self._key_at(at) == key

    def records(self, after: str) -> Iterator[Record]:
        """Records above `after`, in order."""
        at, rest = (self._first(lambda found: found > after) if after else self._start), b""
        while at < self._stop:
            chunk = self._disk.read_from(self._path, at, min(_CHUNK_BYTES, self._stop - at))
            at += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield self._record(line)
            if not chunk:
                raise _Unfit

    def _record(self, line: bytes) -> Record:
        found = SNAPSHOT_LINE.fullmatch(line)
        if found is None:
            raise _Unfit
        return found[1].decode(), Entry(self._name, int(found[3]), found[2])

    def _first(self, fits: Callable[[str], bool]) -> int:
        """Where the first line begins whose id `fits`; ids are sorted, so all later ones do too."""
        low, high = self._start, self._stop
        while low < high:
            middle = (low + high) // 2
            line = self._line_from(middle)
            if line >= self._stop or fits(self._key_at(line)):
                high = middle
            else:
                low = line + 1
        return self._line_from(low)

    def _line_from(self, offset: int) -> int:
        """Where the first line begins at or after `offset`."""
        if offset <= self._start:
            return self._start
        at = offset - 1
        while at < self._stop:
            probe = self._disk.read_from(self._path, at, _PROBE_BYTES)
            found = probe.find(b"\n")
            if found >= 0:
                return min(at + found + 1, self._stop)
            if not probe:
                raise _Unfit
            at += len(probe)
        return self._stop

    def _key_at(self, offset: int) -> str:
        parts = self._disk.read_from(self._path, offset, 256).split(b'"', 2)
        if len(parts) < 3:
            raise _Unfit
        return parts[1].decode()
