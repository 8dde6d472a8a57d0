"""A look at a few records without reading all: it says what a full reading says, or nothing, and reads no more for a larger document."""

from pathlib import Path
from random import Random

import pytest

from dmc.broker.storage_memory import MemoryDisk
from dmc.journal import NEVER, Document, Edit, encode_record
from dmc.journal_glance import Glance, glance
from dmc.journal_load import JournalSource
from tests.crash.simdisk import SimDisk

SECTIONS = ("to_do", "done")
PATH = Path("/data/index.json")


class CountedDisk(MemoryDisk):
    """Counts the bytes that are read."""

    def __init__(self):
        super().__init__()
        self.bytes_read = 0

    def read_from(self, path, offset, most=-1):
        found = super().read_from(path, offset, most)
        self.bytes_read += len(found)
        return found


def document(disk, path=PATH, **how):
    return Document.open(path, sections=SECTIONS, disk=disk, folding=NEVER, reserve_bytes=16, **how)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "index.json"


def new_disk(path, kind=MemoryDisk):
    disk = kind()
    for folder in (*reversed(path.parent.parents[:-1]), path.parent):
        disk.make_folder(folder)
    return disk


def put(key: str, version: int, section: str = "to_do", size: int = 30) -> Edit:
    return Edit(key, version - 1, section, encode_record({"version": version, "text": "x" * size}))


def seen(disk, path, section=None, after="", schema=1):
    """Ids above `after`, and the counts; None if a glance says nothing."""
    source = JournalSource(disk, path, SECTIONS, schema, {})

    def ask(one: Glance):
        return [(key, entry.raw) for key, entry in one.records(section, after)], one.counts()

    return glance(disk, source, schema, ask)


def told(document, section=None, after=""):
    """The same by reading everything."""
    ids = document.ids(section, after)
    counts = document.counts()
    return [(key, document.get(key).raw) for key in ids], {name: counts.get(name, 0) for name in SECTIONS}


def play(opened, draw, steps):
    """Random changes and folds."""
    versions: dict[str, int] = {}
    for number in range(steps):
        key = draw.choice(sorted(versions)) if versions and draw.random() < 0.5 else f"{draw.randrange(10**6):06}-{number}"
        if key in versions and draw.random() < 0.2:
            opened.commit([Edit(key, versions.pop(key), None, None)])
        else:
            versions[key] = versions.get(key, 0) + 1
            opened.commit([put(key, versions[key], draw.choice(SECTIONS), draw.choice((0, 30, 5000)))])
        if draw.random() < 0.1:
            opened.checkpoint()


@pytest.mark.parametrize("seed", range(6))
def test_it_says_what_a_full_reading_says(path, seed):
    disk, draw = new_disk(path), Random(seed)
    opened = document(disk, path)
    for _ in range(6):
        play(opened, draw, 12)
        ids = opened.ids()
        for section in (None, *SECTIONS):
            for after in ("", *draw.sample(ids, min(3, len(ids))), "0", "~"):
                assert seen(disk, path, section, after) == told(opened, section, after)


def test_it_reads_no_more_of_a_larger_document(path):
    read = []
    for records in (100, 3200):
        disk = new_disk(path, CountedDisk)
        opened = document(disk, path)
        opened.commit([put(f"{number:08}", 1, size=600) for number in range(records)])
        opened.checkpoint()
        opened.commit([put("00000050", 2, "done"), put("zz", 1)])
        disk.bytes_read = 0
        source = JournalSource(disk, path, SECTIONS, 1, {})
        page, counts = glance(disk, source, 1, lambda one: (list(zip(one.records(None, ""), range(20), strict=False)), one.counts()))
        assert (len(page), counts) == (20, {"to_do": records, "done": 1})
        read.append(disk.bytes_read)
    assert read[1] < 1.5 * read[0]


def test_a_fold_meanwhile_is_noticed(path):
    disk = new_disk(path)
    opened = document(disk, path)
    opened.commit([put("a", 1), put("b", 1)])
    opened.checkpoint()
    asked = []

    def ask(one):
        asked.append([key for key, _ in one.records(None, "")])
        if len(asked) == 1:
            opened.commit([put("c", 1)])
            opened.checkpoint()
        return asked[-1]

    assert glance(disk, JournalSource(disk, path, SECTIONS, 1, {}), 1, ask) == ["a", "b", "c"]
    assert len(asked) == 2


def test_what_does_not_fit_is_left_to_a_full_reading(path):
    disk = new_disk(path)
    opened = document(disk, path)
    opened.commit([put("a", 1)])
    opened.checkpoint()
    for number in range(3):
        opened.commit([put(f"b{number}", 1)])
    whole, index = disk.read(opened._files.journal), disk.read(path)
    assert seen(disk, path) is not None
    assert seen(disk, path, schema=2) is None
    disk.write(opened._files.journal, whole + b'{"seq":')
    assert seen(disk, path) == told(opened), "a torn end was never told to anybody"
    disk.write(opened._files.journal, whole.replace(b'"b1"', b'"bX"'))
    assert seen(disk, path) is None
    lines = whole.splitlines(keepends=True)
    disk.write(opened._files.journal, b"".join([lines[0], *lines[2:]]))
    assert seen(disk, path) is None
    disk.write(opened._files.journal, whole)
    disk.write(path, index + b" ")
    assert seen(disk, path) is None
    disk.write(path, index.replace(b'"a":{', b'"a" {'))
    assert seen(disk, path) is None
    disk.unlink(opened._files.journal)
    assert seen(disk, path) is None
    disk.unlink(path)
    assert seen(disk, path) is None


def test_a_snapshot_from_another_hand_is_left_to_a_full_reading(path):
    disk = new_disk(path)
    disk.write(path, b'{"schema": 1, "to_do": {"a": {"version": 1}}, "done": {}}')
    opened = document(disk, path)
    assert opened.ids() == ["a"]
    assert seen(disk, path) is None
    opened.commit([put("b", 1)])
    opened.checkpoint()
    assert seen(disk, path) == told(opened)


def test_whatever_a_kill_leaves_it_says_the_truth_or_nothing(path, monkeypatch):
    monkeypatch.setattr("dmc.journal_glance._PAUSE_S", 0.0)
    disk = new_disk(path, SimDisk)
    left = []
    disk.on_step = lambda: left.append(disk.after_kill())
    play(document(disk, path), Random(9), 60)
    answered = 0
    for image in left:
        found = seen(image, path)
        if found is not None:
            answered += 1
            assert found == told(document(image, path, recover=False))
    assert answered > len(left) / 2
