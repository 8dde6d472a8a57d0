"""Writing the files of a journalled document: in which order a new generation takes the place of the old one.

The old pair of snapshot and journal stays the truth until the new snapshot has its name, and from there the new one is; what
is odd is kept aside, never overwritten. Locks are the caller's business, and so is what the records mean.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dmc.files import Disk
from dmc.journal_lines import NO_LINE, Entry, crc_hex, encode_mark, mark_of
from dmc.journal_load import JournalSource, Loaded, Step, crc_of_line
from dmc.journal_snapshot import layout_of


class JournalFiles(JournalSource):
    """The files beside `path`; see the top of this file. Raises OSErrors as the disk does."""

    def __init__(
        self, disk: Disk, path: Path, sections: Sequence[str], schema: int, steps: Mapping[int, Step], *, reserve_bytes: int
    ) -> None:
        super().__init__(disk, path, sections, schema, steps)
        self._reserve_bytes = reserve_bytes
        self.reserve = path.with_suffix(".reserve")
        self.lock = path.with_suffix(".lock")
        self._new_snapshot = path.with_name(path.name + ".tmp")
        self._new_journal = self.journal.with_name(self.journal.name + ".tmp")

    def create(self) -> Loaded:
        """The first generation, empty and durable."""
        self._disk.write(self._new_snapshot, self._empty())
        self._disk.sync_file(self._new_snapshot)
        self._disk.rename(self._new_snapshot, self.snapshot)
        return self._begin_journal({}, 0, NO_LINE, self._empty())

    def replace(self, entries: dict[str, Entry], seq: int, prev: str, *, keep_previous: bool = True) -> Loaded:
        """Fold: a new snapshot of `entries` and an empty journal; durable on return. `prev` is the crc of the journal's last line.

        The old pair stays the truth until the snapshot is renamed, and from there the journal's fold line names the new one.
        `keep_previous` False: what stands there is odd and must not push out the previous generation, which may be the truth.
        """
        data = self._encode(entries, seq)
        self._disk.write(self._new_snapshot, data)
        self._disk.sync_file(self._new_snapshot)
        if self._disk.stat(self.journal) is not None:
            line = encode_mark(seq, prev, "fold", mark_of(data))
            self._disk.append_synced(self.journal, line)
            prev = crc_of_line(line)
        if keep_previous:
            self._keep(self.snapshot, self._old_snapshot)
            self._keep(self.journal, self._old_journal)
        self._disk.rename(self._new_snapshot, self.snapshot)
        self._disk.sync_folder(self.snapshot.parent)  # Before the journal with all the lines may go.
        return self._begin_journal(entries, seq, prev, data)

    def _keep(self, path: Path, old: Path) -> None:
        if self._disk.stat(path) is None:
            return
        self._forget(old)
        self._disk.link(path, old)

    def _begin_journal(self, entries: dict[str, Entry], seq: int, prev: str, snapshot: bytes) -> Loaded:
        base = encode_mark(seq, prev, "base", mark_of(snapshot), layout_of(snapshot, self.sections))
        self._put_journal(base)
        return Loaded(self._schema, seq, entries, base, len(base), len(base), len(snapshot))

    def _put_journal(self, content: bytes) -> None:
        self._disk.write(self._new_journal, content)
        self._disk.sync_file(self._new_journal)
        self._disk.rename(self._new_journal, self.journal)
        self._disk.sync_folder(self.journal.parent)

    def renew(self, loaded: Loaded) -> Loaded:
        """Put the journal's good lines onto new blocks: what a dead process left unsynced becomes durable before it is acted upon."""
        content = self._read(self.journal)
        if content is None:
            return self._begin_journal(loaded.entries, loaded.seq, NO_LINE, self._disk.read(self.snapshot))
        if loaded.size > loaded.end:
            self._set_aside("torn", content[loaded.end :])
        self._put_journal(content[: loaded.end])
        return replace(loaded, size=loaded.end)

    def begin_anew(self, entries: dict[str, Entry], seq: int) -> Loaded:
        """Let `entries` be the truth, whatever stands there now; copies of that are kept."""
        self._keep_copies()
        data = self._encode(entries, seq)
        self._disk.write(self._new_snapshot, data)
        self._disk.sync_file(self._new_snapshot)
        self._disk.rename(self._new_snapshot, self.snapshot)
        self._disk.sync_folder(self.snapshot.parent)
        loaded = self._begin_journal(entries, seq, NO_LINE, data)
        self._forget(self._old_snapshot)
        self._forget(self._old_journal)
        return loaded

    def mend(self, loaded: Loaded) -> Loaded:
        """Keep copies of files that are damaged or of an older schema, and begin a new generation with what was found in them."""
        self._keep_copies()
        if loaded.size > loaded.end:
            self._disk.truncate(self.journal, loaded.end)
        named = not any(damage.kind in ("odd-snapshot", "degraded") for damage in loaded.damage)
        return self.replace(loaded.entries, loaded.seq, crc_of_line(loaded.tail), keep_previous=named)

    def _keep_copies(self) -> None:
        for path in (self.snapshot, self.journal):
            content = self._read(path)
            if content is not None:
                self._set_aside(f"odd{path.suffix}", content)

    def _set_aside(self, why: str, content: bytes) -> None:
        """Keep something odd beside the index, for a person to look at; the same content is kept once."""
        path = self.snapshot.with_name(f"{self.snapshot.name}.{why}-{crc_hex(content)}")
        self._disk.write(path, content)
        self._disk.sync_file(path)

    def drop_temps(self) -> None:
        """Forget what a cut or failed fold has left."""
        self._forget(self._new_snapshot)
        self._forget(self._new_journal)

    def fill_reserve(self) -> None:
        """Have the ballast stand ready, if there is room for it: dropped on a full disk, it lets what exists still be changed."""
        found = self._disk.stat(self.reserve)
        if found is not None and found.st_size == self._reserve_bytes:
            return
        try:
            self._disk.write(self.reserve, secrets.token_bytes(self._reserve_bytes))  # Random: compression would keep no room.
        except OSError:
            self.drop_reserve()

    def drop_reserve(self) -> bool:
        """Give the ballast's room back; False if there was none."""
        return self._forget(self.reserve)

    def _forget(self, path: Path) -> bool:
        try:
            self._disk.unlink(path)
        except FileNotFoundError:
            return False
        return True
