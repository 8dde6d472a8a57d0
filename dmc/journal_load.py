"""The files of a journalled document as found on disk: which of them make up the truth. Writes nothing.

A snapshot (`index.json`), a journal of what changed since (`index.journal`), and the generation before (`….prev`, hard links).
At every moment one snapshot and the journals' lines after its `seq` are the whole truth; damage is told, never guessed over.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmc.errors import Refused, TornLedger
from dmc.files import Disk
from dmc.journal_lines import NO_LINE, Entry, Line, Scan, encode_record, mark_of, scan
from dmc.journal_snapshot import Snapshot, decode_snapshot, encode_snapshot

Step = Callable[[dict[str, Any]], dict[str, Any]]
"""Makes a record of the next schema out of one of this schema."""


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is wrong with the files: `kind` is a word, `detail` a sentence, `id` may be empty."""

    kind: str
    detail: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The truth as found on disk. `tail` is the journal's last good line, `end` where it ends, `size` the whole journal in bytes."""

    schema: int
    seq: int
    entries: dict[str, Entry]
    tail: bytes
    end: int
    size: int
    snapshot_bytes: int
    damage: tuple[Damage, ...] = ()


def crc_of_line(line: bytes) -> str:
    """The crc that a journal line ends with, `prev` of the next one."""
    return line[-11:-3].decode() if line else NO_LINE


class JournalSource:
    """The files beside `path`; see the top of this file. Raises OSErrors as the disk does."""

    def __init__(self, disk: Disk, path: Path, sections: Sequence[str], schema: int, steps: Mapping[int, Step]) -> None:
        self._disk = disk
        self._schema = schema
        self._steps = steps
        self.sections = tuple(sections)
        self.snapshot = path
        self.journal = path.with_suffix(".journal")
        self._old_snapshot = path.with_name(path.name + ".prev")
        self._old_journal = self.journal.with_name(self.journal.name + ".prev")

    def load(self) -> Loaded | None:
        """The truth on disk, or None if there is none of these files. Writes nothing.

        Raises TornLedger if no snapshot can be read, Refused if the files are of a newer schema.
        """
        data, journal = self._read(self.snapshot), self._read(self.journal)
        if data is None and journal is None and self._read(self._old_snapshot) is None:
            return None
        found = scan(journal or b"")
        size = len(journal or b"")
        if data is None:
            data = self._empty()  # A power cut may leave the first journal without the first snapshot.
        alone = journal is None and self._read(self._old_journal) is None
        if alone and (snapshot := self._decode(data, trusted=False)) is not None:
            return self._replayed(snapshot, len(data), [found], size, [])  # Without any journal a snapshot is all there is.
        if mark_of(data) in _marks(found):
            return self._replayed(self._decode(data, trusted=True), len(data), [found], size, [])
        return self._from_previous(found, size) or self._best_effort(data, journal, found, size)

    def newest_seq(self) -> int:
        """The largest sequence number that any readable part of the files tells."""
        lines = [*scan(self._read(self.journal) or b"").lines, *scan(self._read(self._old_journal) or b"").lines]
        return max((line.seq for line in lines), default=0)

    def _from_previous(self, found: Scan, size: int) -> Loaded | None:
        """The previous snapshot and all lines since, if that is complete."""
        old = self._read(self._old_snapshot)
        before = scan(self._read(self._old_journal) or b"")
        if old is None or mark_of(old) not in _marks(before) | _marks(found):
            return None
        snapshot = self._decode(old, trusted=True)
        if snapshot is not None and snapshot.schema != self._schema:
            return None  # Lines of two schemas cannot be told apart.
        note = Damage("odd-snapshot", f"{self.snapshot.name} is not the one that the journal names; the generation before it was replayed.")
        loaded = self._replayed(snapshot, len(old), [before, found], size, [note])
        return loaded if not any(damage.kind == "gap" for damage in loaded.damage) else None

    def _best_effort(self, data: bytes, journal: bytes | None, found: Scan, size: int) -> Loaded:
        """Any snapshot that can be read and every good line after it."""
        for path, content in ((self.snapshot, data), (self._old_snapshot, self._read(self._old_snapshot))):
            snapshot = None if content is None else self._decode(content, trusted=False)
            if snapshot is not None and content is not None and (path == self.snapshot or snapshot.schema == self._schema):
                before = scan(self._read(self._old_journal) or b"")
                what = "there is no journal" if journal is None else "its journal names another one"
                note = Damage("degraded", f"{path.name} was taken as it is: {what}.")
                return self._replayed(snapshot, len(content), [before, found], size, [note])
        raise TornLedger(f"{self.snapshot.name} cannot be read, nor the generation before it.", "Make it anew with: dmc broker rebuild")

    def _replayed(self, snapshot: Snapshot | None, snapshot_bytes: int, scans: list[Scan], size: int, damage: list[Damage]) -> Loaded:
        if snapshot is None:
            raise TornLedger(f"{self.snapshot.name} carries the right checksum, but cannot be read.")
        entries, seq = snapshot.entries, snapshot.seq
        for found in scans:
            damage += [Damage("bad-line", f"{stop - start} bytes of a journal are damaged.") for start, stop in found.damaged]
            seq = _replay(entries, seq, found.lines, damage)
        last = scans[-1]
        for schema in range(snapshot.schema, self._schema):
            damage.append(Damage("older-schema", f"schema {schema} becomes {schema + 1}."))
            entries = {key: self._stepped(schema, entry) for key, entry in entries.items()}
        return Loaded(snapshot.schema, seq, entries, last.tail, last.end, size, snapshot_bytes, tuple(damage))

    def _decode(self, data: bytes, *, trusted: bool) -> Snapshot | None:
        snapshot = decode_snapshot(data, self.sections, trusted=trusted)
        if snapshot is not None and snapshot.schema > self._schema:
            raise Refused(
                f"{self.snapshot.name} was written by a newer dmc (schema {snapshot.schema}, this one knows {self._schema}).", "Update dmc."
            )
        return snapshot

    def _stepped(self, schema: int, entry: Entry) -> Entry:
        record = self._steps[schema](json.loads(entry.raw))
        return Entry(entry.section, entry.version, encode_record(record))

    def _empty(self) -> bytes:
        return self._encode({}, 0)

    def _encode(self, entries: dict[str, Entry], seq: int) -> bytes:
        by_section: dict[str, list[tuple[str, bytes]]] = {name: [] for name in self.sections}
        for key in sorted(entries):
            by_section[entries[key].section].append((key, entries[key].raw))
        return encode_snapshot(self._schema, seq, by_section.items())

    def _read(self, path: Path) -> bytes | None:
        try:
            return self._disk.read(path)
        except FileNotFoundError:
            return None


def _marks(found: Scan) -> set[object]:
    return {line.mark for line in found.lines if line.mark is not None}


def _replay(entries: dict[str, Entry], seq: int, lines: Iterable[Line], damage: list[Damage]) -> int:
    """Apply every line after `seq`; a missing one is a gap. Returns the new seq."""
    crc = None
    for line in lines:
        crc, before = line.crc, crc
        if line.mark is not None or line.seq <= seq:
            continue
        if line.seq != seq + 1:
            damage.append(Damage("gap", f"changes {seq + 1} to {line.seq - 1} are lost."))
        elif before not in (None, line.prev):
            damage.append(Damage("foreign-line", f"change {line.seq} does not follow the line before it."))
        seq = line.seq
        for key, entry in line.changes:
            if entry is None:
                entries.pop(key, None)
            else:
                entries[key] = entry
    return seq
