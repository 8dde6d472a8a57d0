"""The journalled document: lines, generations, damage, full disks, and several who have it open."""

import errno
import json
import os
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from dmc.errors import Conflict, DiskFault, DiskFull, Refused, TornLedger
from dmc.files import RealDisk, SyncFailed
from dmc.journal import NEVER, Document, Edit, Folding, encode_record
from dmc.journal_lines import decode_line, encode_change, scan

SECTIONS = ("waiting", "done")
ALWAYS = Folding(eager_s=float("inf"))


def record(version: int = 1, **fields: object) -> bytes:
    return encode_record({"version": version, **fields})


def new(key: str, section: str = "waiting", **fields: object) -> Edit:
    return Edit(key, 0, section, record(**fields))


def opened(folder: Path, disk: RealDisk | None = None, **settings: object) -> Document:
    return Document.open(folder / "index.json", sections=SECTIONS, disk=disk or RealDisk(), **{"folding": NEVER, **settings})


class FaultyDisk(RealDisk):
    """Fails as `fault` says: called with the verb and the path of every change, it may return an OSError."""

    def __init__(self):
        self.fault = lambda verb, path: None
        self.syncs = 0

    def _may_fail(self, verb, path):
        problem = self.fault(verb, path)
        if problem is not None:
            raise problem

    def write(self, path, data):
        self._may_fail("write", path)
        super().write(path, data)

    def append_synced(self, path, data):
        problem = self.fault("append", path)
        if isinstance(problem, SyncFailed):
            super().append_synced(path, data)
            raise problem
        if problem is not None:
            super().append_synced(path, data[: len(data) // 2])
            raise problem
        self.syncs += 1
        super().append_synced(path, data)

    def sync_file(self, path):
        self._may_fail("sync", path)
        self.syncs += 1
        super().sync_file(path)

    def sync_folder(self, path):
        self.syncs += 1
        super().sync_folder(path)


def full(path: Path) -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


# --- Files that people can read ------------------------------------------------------------------------------------


def test_the_snapshot_is_plain_json_with_one_record_per_line(tmp_path):
    document = opened(tmp_path, folding=ALWAYS)
    document.commit([new("b", colour="blue"), new("a")])
    document.commit([Edit("a", 1, "done", record(2))])
    text = (tmp_path / "index.json").read_text()
    assert json.loads(text) == {
        "schema": 1,
        "seq": 2,
        "waiting": {"b": {"version": 1, "colour": "blue"}},
        "done": {"a": {"version": 2}},
    }
    assert '"b":{"version":1,"colour":"blue"}' in text.splitlines()


def test_a_journal_that_takes_long_to_fold_is_folded_when_it_is_large(tmp_path):
    document, sizes = opened(tmp_path, folding=Folding(eager_s=0.0, least_bytes=2000)), []
    for number in range(60):
        document.commit([new(f"{number:02}", colour="x" * 50)])
        sizes.append((tmp_path / "index.journal").stat().st_size)
    folds = [at for at, (before, after) in enumerate(pairwise(sizes), 1) if after < before]
    assert len(folds) >= 2
    assert all(sizes[at - 1] > 1500 for at in folds)
    assert folds[-1] - folds[-2] > folds[0], "the larger the snapshot, the later"


def test_what_changes_many_times_a_second_is_folded_a_few_times_only(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("dmc.journal.time.perf_counter", lambda: now[0])
    disk = SlowToFold(now)
    document, folded = Document.open(tmp_path / "index.json", sections=SECTIONS, disk=disk, folding=Folding(eager_s=0.010, share=0.05)), []
    for number in range(100):
        document.commit([new(f"{number:03}")])
        if f'"{number:03}"' in (tmp_path / "index.json").read_text():
            folded.append(number)
        now[0] += 0.004
    assert folded == list(range(0, 100, 10)), "each took 2 ms, so 38 ms must pass until the next"
    now[0] += 0.040
    document.commit([new("rare")])
    assert '"rare"' in (tmp_path / "index.json").read_text()


class SlowToFold(RealDisk):
    """Takes two milliseconds for each snapshot, on the clock that it is given."""

    def __init__(self, now: list[float]) -> None:
        self._now = now

    def write(self, path: Path, data: bytes) -> None:
        super().write(path, data)
        if path.name == "index.json.tmp":
            self._now[0] += 0.002


def test_an_empty_document_is_valid_json_too(tmp_path):
    opened(tmp_path)
    assert json.loads((tmp_path / "index.json").read_text()) == {"schema": 1, "seq": 0, "waiting": {}, "done": {}}


def test_every_journal_line_is_json_with_a_sum_of_its_own(tmp_path):
    document = opened(tmp_path)
    document.commit([new("a", text='quotes " and\n lines')])
    document.commit([new("b"), Edit("a", 1, None, None)])
    lines = [json.loads(line) for line in (tmp_path / "index.journal").read_text().splitlines()]
    assert [line["op"] for line in lines] == ["base", "put", "batch"]
    assert [line["prev"] for line in lines[1:]] == [line["crc"] for line in lines[:-1]]


def test_a_batch_keeps_every_record_byte_for_byte():
    odd = b'{ "version":1, "nested": {"a": [1, 2, {"]": "}"}]}, "unicode": "\xc3\xbc" }'
    line = decode_line(encode_change(7, "00000000", [Edit("x", 0, "waiting", odd), Edit("y", 3, None, None), new("z")]))
    assert [(key, entry and entry.raw) for key, entry in line.changes] == [("x", odd), ("y", None), ("z", record())]


def test_a_flipped_bit_anywhere_is_noticed():
    line = encode_change(7, "00000000", [new("a", text="something")])
    for place in range(len(line)):
        flipped = bytearray(line)
        flipped[place] ^= 0x10
        assert decode_line(bytes(flipped)) is None


# --- Changing ------------------------------------------------------------------------------------------------------


def test_a_change_is_one_sync(tmp_path):
    disk = FaultyDisk()
    document = opened(tmp_path, disk)
    before = disk.syncs
    document.commit([new("a")])
    assert disk.syncs == before + 1
    document.commit([new(f"b{number}") for number in range(1000)])
    assert disk.syncs == before + 2


@pytest.mark.parametrize(
    "edit",
    [
        Edit("bad id", 0, "waiting", record()),
        Edit("a", 0, "nowhere", record()),
        Edit("a", 0, "waiting", record(5)),
        Edit("a", 0, "waiting", b'{"version":1,\n"x":2}'),
        Edit("a", 0, "waiting", b"[]"),
    ],
)
def test_what_would_spoil_the_files_is_refused(tmp_path, edit):
    document = opened(tmp_path)
    with pytest.raises(ValueError, match=r"\w"):
        document.commit([edit])
    assert document.ids() == []


def test_two_changes_of_one_record_do_not_fit_in_one_commit(tmp_path):
    document = opened(tmp_path)
    with pytest.raises(Conflict):
        document.commit([new("a"), Edit("a", 1, "done", record(2))])


# --- Opening again -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folding", [NEVER, ALWAYS])
def test_everything_is_there_again(tmp_path, folding):
    document = opened(tmp_path, folding=folding)
    document.commit([new(f"k{number:03}") for number in range(20)])
    document.commit([Edit("k003", 1, "done", record(2)), Edit("k004", 1, None, None)])
    again = opened(tmp_path)
    assert (again.ids(), again.ids("done"), again.seq) == (document.ids(), ["k003"], 2)


def test_a_torn_end_is_cut_and_kept_aside(tmp_path):
    document = opened(tmp_path)
    document.commit([new("a")])
    with (tmp_path / "index.journal").open("ab") as journal:
        journal.write(b'{"seq":2,"prev":"0000')
    again = opened(tmp_path)
    assert again.ids() == ["a"]
    again.commit([new("b")])
    assert opened(tmp_path).ids() == ["a", "b"]
    assert [path.read_bytes() for path in tmp_path.glob("index.json.torn-*")] == [b'{"seq":2,"prev":"0000']


def test_a_writer_goes_on_after_a_torn_end_that_another_left(tmp_path):
    document = opened(tmp_path)
    document.commit([new("a")])
    with (tmp_path / "index.journal").open("ab") as journal:
        journal.write(b"\0\0\0\0")
    assert document.refresh() == 1
    document.commit([new("b")])
    assert opened(tmp_path).ids() == ["a", "b"]


def damage(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)


def test_a_bad_line_in_the_middle_costs_only_itself_and_is_told(tmp_path):
    document = opened(tmp_path)
    for key in "abc":
        document.commit([new(key)])
    lines = (tmp_path / "index.journal").read_bytes().splitlines(keepends=True)
    damage(tmp_path / "index.journal", len(lines[0]) + len(lines[1]) + 5)
    kinds = {finding.kind for finding in document.verify()}
    assert {"bad-line", "gap", "differs"} <= kinds
    again = opened(tmp_path)
    assert again.ids() == ["a", "c"]
    assert again.verify() == []
    assert list(tmp_path.glob("index.json.odd.journal-*"))


def test_a_damaged_snapshot_is_replaced_by_the_generation_before(tmp_path):
    document = opened(tmp_path, folding=ALWAYS)
    for key in "abc":
        document.commit([new(key)])
    opened(tmp_path).commit([new("d")])
    damage(tmp_path / "index.json", 40)
    assert opened(tmp_path, recover=False).ids() == ["a", "b", "c", "d"]
    assert opened(tmp_path).ids() == ["a", "b", "c", "d"]
    assert opened(tmp_path).verify() == []
    assert list(tmp_path.glob("index.json.odd.json-*"))


def test_damage_to_any_byte_of_either_file_never_invents_or_changes_a_record(tmp_path):
    document = opened(tmp_path, folding=ALWAYS)
    for key in "abc":
        document.commit([new(key, text=key * 3)])
    last = opened(tmp_path, reserve_bytes=0)
    last.commit([new("d", text="ddd")])
    good = {key: last.get(key) for key in last.ids()}
    files = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path) if name != "index.reserve"}
    for name in ("index.json", "index.journal"):
        for place in range(0, len(files[name]), 3):
            for other in os.listdir(tmp_path):
                (tmp_path / other).unlink()
            for other, content in files.items():
                (tmp_path / other).write_bytes(content)
            damage(tmp_path / name, place)
            found = opened(tmp_path, reserve_bytes=0)
            lost = {"d"} if name == "index.journal" else set()
            assert good.keys() - lost <= set(found.ids()) <= good.keys(), (name, place)
            assert all(found.get(key) == good[key] for key in found.ids()), (name, place)


def test_a_snapshot_alone_is_a_whole_document(tmp_path):
    document = opened(tmp_path, folding=ALWAYS)
    document.commit([new("a")])
    document.commit([new("b")])
    for path in tmp_path.glob("index.*"):
        if path.name != "index.json":
            path.unlink()
    again = opened(tmp_path)
    assert (again.ids(), again.seq, again.verify()) == (["a", "b"], 2, [])


def test_a_snapshot_from_another_hand_is_taken_if_it_is_alone(tmp_path):
    (tmp_path / "index.json").write_text(json.dumps({"schema": 1, "waiting": {"a": {"colour": "blue", "version": 4}}}))
    for _ in range(3):
        document = opened(tmp_path)
        assert (document.ids("waiting"), document.get("a").version, document.verify()) == (["a"], 4, [])
    document.commit([Edit("a", 4, "done", record(5))])
    assert opened(tmp_path).ids("done") == ["a"]


def test_a_snapshot_edited_by_hand_gives_way_to_the_journal_and_is_kept(tmp_path):
    document = opened(tmp_path, folding=ALWAYS)
    document.commit([new("a")])
    document.commit([new("b")])
    edited = json.loads((tmp_path / "index.json").read_text())
    edited["waiting"]["hand"] = {"version": 1}
    (tmp_path / "index.json").write_text(json.dumps(edited))
    assert opened(tmp_path).ids() == ["a", "b"]
    assert [json.loads(path.read_text()) for path in tmp_path.glob("index.json.odd.json-*")] == [edited]


def test_nothing_readable_is_said_and_not_guessed(tmp_path):
    opened(tmp_path).commit([new("a")])
    (tmp_path / "index.json").write_bytes(b"gone")
    with pytest.raises(TornLedger, match="cannot be read"):
        opened(tmp_path)


def test_an_older_schema_migrates_step_by_step_and_keeps_a_copy(tmp_path):
    opened(tmp_path).commit([new("a", size_kb=3)])
    steps = {
        1: lambda fields: {"size": fields.pop("size_kb") * 1024, **fields},
        2: lambda fields: {**fields, "colour": "none"},
    }
    document = opened(tmp_path, schema=3, steps=steps)
    assert json.loads(document.get("a").raw) == {"version": 1, "size": 3072, "colour": "none"}
    assert json.loads((tmp_path / "index.json").read_text())["schema"] == 3
    assert list(tmp_path.glob("index.json.odd.json-*"))
    assert opened(tmp_path, schema=3, steps=steps).verify() == []


def test_a_newer_schema_is_refused_with_a_sentence(tmp_path):
    opened(tmp_path, schema=2).commit([new("a")])
    with pytest.raises(Refused, match="newer dmc"):
        opened(tmp_path)


# --- Disks that fail -----------------------------------------------------------------------------------------------


def test_a_full_disk_takes_the_whole_change_back(tmp_path):
    disk = FaultyDisk()
    document = opened(tmp_path, disk)
    document.commit([new("a")])
    disk.fault = lambda verb, path: full(path) if verb == "append" else None
    with pytest.raises(DiskFull):
        document.commit([new("b")])
    assert document.ids() == ["a"]
    disk.fault = lambda verb, path: None
    document.commit([new("c")])
    assert opened(tmp_path).ids() == ["a", "c"]


def test_on_a_full_disk_what_exists_may_use_the_reserve(tmp_path):
    disk = FaultyDisk()
    document = opened(tmp_path, disk)
    document.commit([new("a")])
    reserve = tmp_path / "index.reserve"
    disk.fault = lambda verb, path: full(path) if verb in ("append", "write") and reserve.exists() else None
    with pytest.raises(DiskFull):
        document.commit([new("b")])
    assert reserve.exists()
    document.commit([Edit("a", 1, "done", record(2))])
    assert not reserve.exists()
    disk.fault = lambda verb, path: None
    document.checkpoint()
    assert reserve.stat().st_size == 1024 * 1024


def test_on_a_full_disk_a_start_may_use_the_reserve(tmp_path):
    disk = FaultyDisk()
    opened(tmp_path, disk).commit([new("a")])
    reserve = tmp_path / "index.reserve"
    disk.fault = lambda verb, path: full(path) if verb == "write" and (reserve.exists() or path == reserve) else None
    assert opened(tmp_path, disk).ids() == ["a"]
    assert not reserve.exists()
    disk.fault = lambda verb, path: full(path) if verb == "write" else None
    with pytest.raises(DiskFull):
        opened(tmp_path, disk)
    disk.fault = lambda verb, path: None
    assert opened(tmp_path, disk).ids() == ["a"]


def test_without_room_for_a_fold_the_journal_stays(tmp_path):
    disk = FaultyDisk()
    document = opened(tmp_path, disk, folding=ALWAYS)
    disk.fault = lambda verb, path: full(path) if verb == "write" else None
    document.commit([new("a")])
    document.commit([new("b")])
    assert opened(tmp_path, recover=False).ids() == ["a", "b"]
    assert not list(tmp_path.glob("*.tmp"))


def test_after_a_failed_sync_nothing_is_trusted_until_a_new_start(tmp_path):
    disk = FaultyDisk()
    document = opened(tmp_path, disk)
    document.commit([new("a")])
    disk.fault = lambda verb, path: SyncFailed(errno.EIO, "Input/output error", str(path)) if verb == "append" else None
    with pytest.raises(DiskFault):
        document.commit([new("b")])
    disk.fault = lambda verb, path: None
    for call in (lambda: document.commit([new("c")]), lambda: document.get("a"), document.refresh, document.checkpoint, document.ids):
        with pytest.raises(DiskFault):
            call()
    assert opened(tmp_path).ids() == ["a"]


# --- Several at once -----------------------------------------------------------------------------------------------


def test_a_reader_sees_every_state_but_never_half_a_change(tmp_path):
    writer = opened(tmp_path, folding=ALWAYS)
    reader = opened(tmp_path, recover=False)
    writer.commit([new("left", count=0), new("right", count=0)])
    stop, seen, problems = threading.Event(), set(), []

    def read() -> None:
        while not stop.is_set():
            fresh = opened(tmp_path, recover=False)
            reader.refresh()
            counts = [json.loads(fresh.get(key).raw)["count"] for key in ("left", "right")]
            seen.add(counts[0])
            if counts[0] != counts[1]:
                problems.append(counts)

    thread = threading.Thread(target=read)
    thread.start()
    for count in range(1, 60):
        edits = [Edit(key, count, "waiting", record(count + 1, count=count)) for key in ("left", "right")]
        writer.commit(edits)
    stop.set()
    thread.join()
    assert problems == []
    assert len(seen) > 1


def test_a_reader_follows_over_folds_of_another(tmp_path):
    writer, reader = opened(tmp_path, folding=ALWAYS), opened(tmp_path, recover=False)
    for number in range(5):
        writer.commit([new(f"k{number}")])
        seen = reader.seq
        assert reader.refresh() == number + 1
        assert [(seq, key) for seq, key, _ in reader.changes_since(seen)] == [(number + 1, f"k{number}")]
    assert reader.changes_since(0) is not None


COUNTING = """
import sys
from itertools import pairwise
from pathlib import Path
from dmc.errors import Conflict
from dmc.files import RealDisk
from dmc.journal import Document, Edit, Folding, encode_record
import json
document = Document.open(Path(sys.argv[1]), sections=("waiting", "done"), disk=RealDisk(), recover=False,
                         folding=Folding(eager_s=float(sys.argv[2])))
done = 0
while done < 40:
    document.refresh()
    entry = document.get("counter")
    count = json.loads(entry.raw)["count"]
    try:
        document.commit([Edit("counter", entry.version, "waiting", encode_record({"version": entry.version + 1, "count": count + 1}))])
        done += 1
    except Conflict:
        pass
"""


def test_processes_count_together_without_losing_one(tmp_path):
    opened(tmp_path).commit([new("counter", count=0)])
    arguments = [sys.executable, "-c", COUNTING, str(tmp_path / "index.json")]
    root = Path(__file__).parents[2]
    processes = [
        subprocess.Popen([*arguments, eager], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}) for eager in ("0", "inf", "0.01")
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    document = opened(tmp_path)
    assert json.loads(document.get("counter").raw)["count"] == 120
    assert document.verify() == []


def test_a_scan_tells_damage_from_a_torn_end():
    first, second = encode_change(1, "00000000", [new("a")]), encode_change(2, "00000000", [new("b")])
    found = scan(first + b"rubbish\n" + second + b"tail")
    assert ([line.seq for line in found.lines], found.torn) == ([1, 2], True)
    assert found.damaged == ((len(first), len(first) + 8),)
    assert found.end == len(first) + 8 + len(second)
