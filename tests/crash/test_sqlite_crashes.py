"""The SQLite ledger under kills and power cuts: the same house, workload and judge as the JSON ledger's.

The simulated disk cannot stand below SQLite: SQLite speaks to the operating system from C, past the Disk seam. So folders stand on
the simulated disk and the database on a real one. At every step of the workload the database's files are copied: that is what a kill
leaves. What a power cut leaves follows from what SQLite syncs and when: in a commit nothing but the log is written, and it is synced
before the call returns, so until then any part of what the commit wrote may be missing, torn or full of zeros, and afterwards nothing
may; in a checkpoint nothing but the database is written, and the log is synced before and stays until the database is, so any page
may be old, new or torn. Each of these is made, opened and judged. That the syncs are really made is counted with strace
in tests/crash/test_real_faults.py and in bench/ledger.py.
"""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from dmc.broker.ledger import Delete, Put
from dmc.broker.ledger_sqlite import INDEX_FILE, LedgerSqlite
from dmc.items import ItemIds, Status
from tests.broker.fakes import an_item
from tests.crash.moments import Moment, crashes, new_disk, told
from tests.crash.story import House, Promises, Violation, judge, workload

PAGE = 4096
Files = dict[str, bytes]


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder in memory where there is one: what is copied there was synced or not by our own account."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        yield Path(folder)


def files_in(folder: Path) -> Files:
    return {name: (folder / name).read_bytes() for name in (INDEX_FILE, f"{INDEX_FILE}-wal") if (folder / name).exists()}


def put_down(folder: Path, files: Files) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def cut_commits(before: Files, after: Files, draw: Random, most: int) -> Iterator[tuple[str, Files]]:
    """What a power cut may leave of a commit that has not been answered."""
    old, new = before.get(f"{INDEX_FILE}-wal", b""), after[f"{INDEX_FILE}-wal"]
    first = next((at for at in range(0, len(new), 8) if old[at : at + 8] != new[at : at + 8]), len(new))
    places = sorted({first, first + 24, *(draw.randrange(first, len(new) + 1) for _ in range(most)), len(new) - 1})
    for at in places:
        yield f"log cut at {at} of {len(new)}", {**after, f"{INDEX_FILE}-wal": new[:at] + old[at:]}
        yield f"log of zeros from {at} of {len(new)}", {**after, f"{INDEX_FILE}-wal": new[:at] + bytes(len(new) - at)}
    hole = draw.randrange(first, len(new))
    yield f"a hole in the log at {hole}", {**after, f"{INDEX_FILE}-wal": new[:hole] + bytes(min(512, len(new) - hole)) + new[hole + 512 :]}


def cut_checkpoints(before: Files, after: Files, draw: Random, most: int) -> Iterator[tuple[str, Files]]:
    """What a power cut may leave of a checkpoint: any of the database's pages, and the whole log."""
    old, new = before[INDEX_FILE], after[INDEX_FILE]
    for number in range(most):
        pages = []
        for at in range(0, len(new), PAGE):
            one, other = old[at : at + PAGE], new[at : at + PAGE]
            fate = draw.choice(("old", "new", "torn"))
            pages.append(one if fate == "old" else other if fate == "new" else other[:512] + one[512:])
        yield f"database of mixed pages {number}", {**before, INDEX_FILE: b"".join(pages)}


@dataclass
class Snapshot:
    """Files of a ledger, and which records may be there."""

    how: str
    files: Files
    allowed: tuple[list[object], ...]


def changes_and_cuts(folder: Path, draw: Random) -> Iterator[Snapshot]:
    """A workload of one ledger, with what a crash may leave at and between its steps."""
    ledger, ids = LedgerSqlite.open(folder), ItemIds()
    known: list[object] = []
    for step in range(40):
        before, was = files_in(folder), known
        if step % 8 == 7:
            ledger.checkpoint()
            yield from (Snapshot(f"{step}: {how}", files, (known,)) for how, files in cut_checkpoints(before, files_in(folder), draw, 4))
        else:
            ledger.change(some_ops(ledger, ids, step))
            known = list(ledger.select(limit=1000))
            cuts = cut_commits(before, files_in(folder), draw, 4)
            yield from (Snapshot(f"{step}: {how}", files, (was, known)) for how, files in cuts)
        yield Snapshot(f"{step}: killed after it was answered", files_in(folder), (known,))
    ledger.close()


def some_ops(ledger: LedgerSqlite, ids: ItemIds, step: int) -> list[Put | Delete]:
    """One change of several records: made, begun, ended and deleted ones."""
    ops: list[Put | Delete] = [Put(an_item(ids.next(), original_file_name="x" * 300), 0) for _ in range(1 + step % 3)]
    for item in ledger.select(limit=4):
        if item.status.is_finished:
            ops.append(Delete(item.item_id, item.version))
        else:
            to = Status.IN_PROGRESS if item.status is Status.TO_DO else Status.FINISHED_WITH_ERRORS
            ops.append(Put(item.changed(status=to), item.version))
    return ops


def test_every_answered_change_is_there_and_no_half_of_one(scratch):
    tried, rolled_back = 0, 0
    (scratch / "live").mkdir()
    for number, snapshot in enumerate(changes_and_cuts(scratch / "live", Random(4))):
        tried += 1
        with told(snapshot.how):
            opened = LedgerSqlite.open(put_down(scratch / str(number), snapshot.files))
            found = opened.select(limit=1000)
            if found not in snapshot.allowed:
                raise Violation(f"{len(found)} records, which were never all there is")
            if opened.verify().findings or opened.counts() != {s: sum(i.status is s for i in found) for s in Status}:
                raise Violation("the database does not agree with itself")
            rolled_back += len(snapshot.allowed) == 2 and found == snapshot.allowed[0] != snapshot.allowed[1]
            opened.change([Put(an_item(ItemIds(opened.newest_id()).next()), 0)])
            opened.close()
    print(f"a database cut at every step: {tried} disks")
    assert tried > 300
    assert rolled_back > 100, "the cuts do not cut"


class SqliteHouse(House):
    """The house with its ledger in a database, in a real folder of its own."""

    def __init__(self, data, disk, promises, *, rows: Path, **how):
        self.rows = rows
        super().__init__(data, disk, promises, **how)

    def open_ledger(self):
        return LedgerSqlite.open(self.rows)


class Recorder:
    """Notes what crashes may leave of folders and database at every step of both."""

    def __init__(self, data: Path, rows: Path, draw: Random) -> None:
        self.disk, self.promises, self.rows, self.draw = new_disk(data), Promises(), rows, draw
        self.seen: list[tuple[str, Moment, Files]] = []
        self.house = SqliteHouse(data, self.disk, self.promises, rows=rows)
        ledger = self.house.ledger._ledger
        self.real_change, self.real_checkpoint = ledger.change, ledger.checkpoint
        ledger.change, ledger.checkpoint = self.change, self.checkpoint

    def note(self, how: str, files: Files) -> None:
        self.seen.append((how, Moment(self.disk.after_kill(), self.promises.copy()), files))

    def change(self, ops, guard=None):
        before = files_in(self.rows)
        seq = self.real_change(ops, guard)
        for how, files in cut_commits(before, files_in(self.rows), self.draw, 1):
            self.note(how, files)
        return seq

    def checkpoint(self):
        before = files_in(self.rows)
        self.real_checkpoint()
        for how, files in cut_checkpoints(before, files_in(self.rows), self.draw, 2):
            self.note(how, files)

    def play(self) -> list[tuple[str, Moment, Files]]:
        self.disk.on_step = lambda: self.note("between two steps", files_in(self.rows))
        workload(self.house)
        self.house.ledger.close()
        return self.seen


def judged(data: Path, scratch: Path, draw: Random, chosen: list[tuple[str, Moment, Files]], most_cuts: int) -> int:
    tried = 0
    for how, moment, files in chosen:
        for also, image in crashes(moment, draw, most_cuts):
            tried += 1
            folder = put_down(scratch / f"crash-{tried}", files)
            with told(f"{how}, {also}"):
                judge(
                    data, image, moment.promises, lambda *parts, folder=folder: SqliteHouse(*parts, rows=folder), to_the_end=tried % 3 == 0
                )
    return tried


def test_no_promise_of_the_house_is_broken_by_one_crash(tmp_path, scratch):
    draw = Random(6)
    seen = Recorder(tmp_path, scratch, draw).play()
    tried = judged(tmp_path, scratch, draw, draw.sample(seen, 100), 1)
    print(f"the house on a database: {tried} disks")
    assert tried >= 200


@pytest.mark.slow
def test_no_promise_of_the_house_is_broken_at_any_step(tmp_path, scratch):
    draw = Random(8)
    seen = Recorder(tmp_path, scratch, draw).play()
    print(f"{judged(tmp_path, scratch, draw, seen, 6)} disks")


def test_a_commit_that_is_not_synced_would_be_noticed(tmp_path, scratch):
    """What the log loses in a cut after the answer, as if the commit had not been synced, is a broken promise."""
    recorder = Recorder(tmp_path, scratch, Random(7))
    recorder.change = lambda ops, guard=None: recorder.real_change(ops, guard)
    recorder.house.ledger._ledger.change = recorder.change
    recorder.house.broker.start_up()
    before = files_in(scratch)
    recorder.house.add(b"first original")
    recorder.house.control.release()
    folder = put_down(scratch / "lost", {**files_in(scratch), f"{INDEX_FILE}-wal": before.get(f"{INDEX_FILE}-wal", b"")})
    with pytest.raises(Violation, match="lost"):
        judge(tmp_path, recorder.disk.after_kill(), recorder.promises, lambda *parts: SqliteHouse(*parts, rows=folder))
    recorder.house.ledger.close()
