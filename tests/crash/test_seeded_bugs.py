"""Mistakes of the protocol, made on purpose, one at a time: the harness finds each of them. So its silence means something."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from dmc import journal_files, journal_tail
from dmc.broker import storage_dirs
from dmc.broker.keeper import Keeper
from dmc.broker.ledger import Delete, Put
from dmc.broker.recovery import Recovery
from dmc.broker.storage_dirs import StorageDirs
from dmc.broker.workbench import Workbench
from dmc.files import remove_tree
from dmc.items import Status
from dmc.journal import Document
from dmc.journal_files import JournalFiles
from dmc.journal_lines import encode_mark, mark_of
from tests.crash.moments import FOLDINGS, Known, Moment, crashes, lives, recoveries
from tests.crash.simdisk import SimDisk
from tests.crash.story import judge

Patch = pytest.MonkeyPatch
BUGS: dict[str, Callable[[Patch], None]] = {}


def bug(seed: Callable[[Patch], None]) -> Callable[[Patch], None]:
    BUGS[seed.__name__] = seed
    return seed


def without_sync_of(patch: Patch, verb: str, when: Callable[..., bool]) -> None:
    """A disk whose sync of some files or folders is forgotten."""
    real = getattr(SimDisk, verb)
    patch.setattr(SimDisk, verb, lambda self, path: None if when(path) else real(self, path))


@bug
def the_original_is_not_synced(patch):
    without_sync_of(patch, "sync_file", lambda path: path.name == "original.mov")


@bug
def the_ticket_is_not_synced(patch):
    without_sync_of(patch, "sync_file", lambda path: path.parent.parent.name == "incoming" and path.name.startswith(".dmc-"))


@bug
def the_folder_of_what_arrived_is_not_synced(patch):
    without_sync_of(patch, "sync_folder", lambda path: path.parent.name == "incoming")


@bug
def incoming_is_not_synced(patch):
    without_sync_of(patch, "sync_folder", lambda path: path.name == "incoming")


@bug
def the_outcome_is_not_synced(patch):
    without_sync_of(patch, "sync_file", lambda path: path.parent.parent.name == "in_progress" and path.name.startswith(".dmc-"))


@bug
def an_emptied_out_folder_is_not_synced(patch):
    patch.setattr(StorageDirs, "keep_out", lambda self, item_id: None)


@bug
def the_result_is_not_synced(patch):
    without_sync_of(patch, "sync_file", lambda path: path.name == "result.mkv")


@bug
def the_journal_is_not_synced(patch):
    without_sync_of(patch, "sync_file", lambda path: path.name == "index.journal")


@bug
def the_snapshot_is_not_synced(patch):
    without_sync_of(patch, "sync_file", lambda path: path.name == "index.json.tmp")


@bug
def the_new_journal_is_not_synced(patch):
    without_sync_of(patch, "sync_file", lambda path: path.name == "index.journal.tmp")


@bug
def the_folder_of_the_index_is_not_synced(patch):
    without_sync_of(patch, "sync_folder", lambda path: path.name == "data")


@bug
def a_removal_is_not_synced(patch):
    def remove(self, item_id):
        folder = self.folder(item_id)
        if folder is not None:
            remove_tree(self._disk, folder)

    patch.setattr(StorageDirs, "remove", remove)


@bug
def a_twin_takes_the_bytes_away_instead_of_sharing_them(patch):
    def share(self, from_id, from_name, item_id, file_name):
        source, target = self.folder(from_id), self.folder(item_id)
        for name in self._disk.names(source / "out"):
            self._disk.rename(source / "out" / name, target / "out" / name)
        return True

    patch.setattr(StorageDirs, "share", share)


@bug
def the_links_of_a_twin_are_not_synced(patch):
    def keep_out(self, item_id):
        if (self.folder(item_id) / "out" / "result.mkv") not in linked:
            real(self, item_id)

    def link(self, source, target):
        linked.add(target)
        real_link(self, source, target)

    linked: set[Path] = set()
    real, real_link = StorageDirs.keep_out, SimDisk.link
    patch.setattr(StorageDirs, "keep_out", keep_out)
    patch.setattr(SimDisk, "link", link)


@bug
def the_record_goes_before_the_files(patch):
    def remove(self, item):
        self._ledger.change([Delete(item.item_id, item.version)], self._guard)
        self._storage.remove(item.item_id)

    patch.setattr(Keeper, "remove", remove)


@bug
def the_folder_moves_before_the_line(patch):
    def commit(self, item, wanted):
        self.apply(wanted)
        self._ledger.change([Put(wanted, item.version)], self._guard)
        return wanted

    patch.setattr(Keeper, "commit", commit)


@bug
def the_journal_is_reset_before_the_snapshot_stands(patch):
    def replace(self, entries, seq, prev, *, keep_previous=True):
        data = self._encode(entries, seq)
        loaded = self._begin_journal(entries, seq, prev, data)
        self._disk.write(self._new_snapshot, data)
        self._disk.sync_file(self._new_snapshot)
        self._disk.rename(self._new_snapshot, self.snapshot)
        self._disk.sync_folder(self.snapshot.parent)
        return loaded

    patch.setattr(JournalFiles, "replace", replace)


@bug
def the_snapshot_is_written_in_place(patch):
    real = JournalFiles.replace

    def replace(self, entries, seq, prev, *, keep_previous=True):
        self._disk.append_synced(self.journal, encode_mark(seq, prev, "fold", mark_of(self._encode(entries, seq))))
        self._disk.write(self.snapshot, self._encode(entries, seq))
        return real(self, entries, seq, prev, keep_previous=False)

    patch.setattr(JournalFiles, "replace", replace)


@bug
def a_torn_end_is_not_cut(patch):
    patch.setattr(journal_tail.Tail, "cut", lambda self: None)
    patch.setattr(JournalFiles, "renew", lambda self, loaded: loaded)


@bug
def the_start_acts_before_it_makes_durable_what_it_read(patch):
    patch.setattr(JournalFiles, "renew", lambda self, loaded: loaded)
    patch.setattr(journal_tail.Tail, "make_durable", lambda self: None)
    patch.setattr(Document, "checkpoint", lambda self: None)


@bug
def what_was_in_progress_is_not_put_back(patch):
    real = Recovery._correct
    patch.setattr(Recovery, "_correct", lambda self, verb, item_id, item: None if verb == "put-back" else real(self, verb, item_id, item))
    patch.setattr(Workbench, "put_back", lambda self, item_id, *errors: None)


@bug
def out_is_not_emptied(patch):
    def empty_out(self, item_id):
        out = self._folder(item_id) / storage_dirs.OUT
        if self._disk.stat(out) is None:
            self._disk.make_folder(out)

    patch.setattr(StorageDirs, "empty_out", empty_out)


@bug
def leftover_temporary_files_stay(patch):
    patch.setattr(StorageDirs, "tidy", lambda self, item_id: None)


@bug
def a_fold_is_not_announced_in_the_journal(patch):
    real = journal_files.encode_mark

    def silent(seq, prev, op, mark, layout=None):
        return b"" if op == "fold" else real(seq, prev, op, mark, layout)

    patch.setattr(journal_files, "encode_mark", silent)


@bug
def a_finished_item_is_not_brought_to_its_folder(patch):
    real = Keeper.apply
    patch.setattr(Keeper, "apply", lambda self, item: False if item.status is Status.FINISHED_WITH_ERRORS else real(self, item))


def finds(data: Path) -> str:
    """What the harness finds wrong, in a few words; empty if nothing."""
    draw = Random(7)
    for folding in FOLDINGS.values():
        try:
            lived = lives(data, folding)
        except Exception as problem:
            return f"at work: {problem!r}"
        draw.shuffle(lived)
        known = Known()
        for number, moment in enumerate(lived):
            found = finds_in_one(data, moment, draw, known)
            if not found and (number % 12 == 0 or moment.is_in_a_line(data)):
                found = finds_in_two(data, moment, draw)
            if found:
                return found
    return ""


def finds_in_one(data: Path, moment: Moment, draw: Random, known: Known) -> str:
    for how, disk in crashes(moment, draw, 3):
        try:
            if not known(disk, moment.promises):
                judge(data, disk, moment.promises)
        except Exception as problem:
            return f"{how}: {problem!r}"
    return ""


def finds_in_two(data: Path, moment: Moment, draw: Random) -> str:
    known = Known()
    try:
        later = recoveries(data, moment.disk.after_kill(), moment.promises)
        for one in draw.sample(later, min(12, len(later))):
            for _, disk in crashes(one, draw, 4):
                if not known(disk, one.promises):
                    judge(data, disk, one.promises, to_the_end=False)
    except Exception as problem:
        return f"in the recovery: {problem!r}"
    return ""


@pytest.mark.parametrize("name", BUGS)
def test_a_seeded_bug_is_found(name, tmp_path, monkeypatch):
    BUGS[name](monkeypatch)
    data = tmp_path / "data"
    data.mkdir()
    found = finds(data)
    assert found, "the harness is blind to this"
