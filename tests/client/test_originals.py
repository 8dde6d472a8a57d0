"""C17: the client touches no original, unless it was asked to, and then only after the acknowledgement."""

import os
from pathlib import Path

import pytest

from dmc.cli.items import record_view
from dmc.client.model import ObservedPath
from dmc.client.transport_memory import MemoryTransport
from dmc.errors import ServerUnreachable
from tests.client.world import RESULT, World


def _facts(path: os.PathLike[str]) -> tuple[int, ...]:
    found = os.stat(path)
    return (found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def test_C17_an_original_stays_untouched_whatever_becomes_of_it(world: World) -> None:
    paths = [world.drop(name, name.encode()) for name in ("fine.mp4", "bad.mp4")]
    before = [_facts(path) for path in paths]
    world.run(converting=False, until=lambda: len(world.server.items) == 2)
    bad = next(item_id for item_id, data in world.server.originals.items() if data == b"bad.mp4")
    world.server.fail(bad, "DamagedMedia", "nothing in it can be decoded.")
    world.run(until=world.all_done)
    assert sorted(world.statuses()) == ["acknowledged", "acknowledged"]
    assert [_facts(path) for path in paths] == before
    assert [path.read_bytes() for path in paths] == [b"fine.mp4", b"bad.mp4"]


@pytest.fixture
def tidy(tmp_path: Path) -> World:
    """A world whose observed folder wants originals in the trash."""
    return World(tmp_path, observed=[ObservedPath(tmp_path / "drop", originals="trash")])


def trash(world: World) -> dict[str, bytes]:
    folder = world.folder / ".originals"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_C17_an_original_is_moved_to_the_trash_once_its_result_is_acknowledged(tidy: World) -> None:
    path = tidy.drop("deep/clip.mp4", b"first")
    tidy.run(until=lambda: tidy.statuses() == ["fetched"])
    assert path.exists()
    tidy.run(until=tidy.all_done)
    assert (path.exists(), trash(tidy)) == (False, {"deep/clip.mp4": b"first"})
    tidy.live_longer()
    assert tidy.statuses() == ["acknowledged"]
    tidy.drop("deep/clip.mp4", b"second")
    tidy.run(900, until=lambda: len(tidy.stored) == 2 and tidy.all_done())
    assert sorted(trash(tidy).values()) == [b"first", b"second"]
    assert tidy.results()["deep/clip.mkv"] == RESULT + b"first"


def test_C17_without_an_acknowledgement_nothing_is_moved(tidy: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> None:
        raise ServerUnreachable("the line is cut.")

    monkeypatch.setattr(MemoryTransport, "acknowledge", unreachable)
    path = tidy.drop("clip.mp4")
    tidy.run(900, longest=10.0)
    assert tidy.statuses() == ["fetched"]
    assert path.exists()


def test_C17_an_original_without_a_result_stays(tidy: World) -> None:
    paths = [tidy.drop(name, name.encode()) for name in ("bad.mp4", "small.mp4")]
    tidy.run(converting=False, until=lambda: len(tidy.server.items) == 2)
    for item_id in list(tidy.server.items):
        tidy.server.fail(item_id, "DamagedMedia", "nothing in it can be decoded.")
    tidy.run(until=tidy.all_done)
    assert all(path.exists() for path in paths)


def test_C17_a_damaged_original_stays_and_what_is_wrong_with_it_is_told_after_its_result_is_home(tidy: World) -> None:
    path = tidy.drop("clip.mp4", b"damaged")
    tidy.run(converting=False, until=lambda: len(tidy.server.items) == 1)
    (item_id,) = tidy.server.items
    tidy.server.finish(item_id, RESULT)
    said = "the source promises 60.0 s, but only 40.0 s of it are there"
    tidy.server.items[item_id] = tidy.server.items[item_id].model_copy(update={"reason": said})
    tidy.run(until=tidy.all_done)
    assert (path.read_bytes(), trash(tidy)) == (b"damaged", {})
    (record,) = tidy.records()
    assert (record.status, record.flaw) == ("acknowledged", said)
    assert record_view(record, None)["reason"] == record.flaw


@pytest.mark.parametrize("which", ["original", "result"])
def test_C17_what_changed_meanwhile_stays(tidy: World, which: str) -> None:
    path = tidy.drop("clip.mp4", b"first")
    tidy.run(until=lambda: tidy.statuses() == ["fetched"])
    changed = path if which == "original" else tidy.folder / "converted" / "clip.mkv"
    changed.write_bytes(b"changed by its owner")
    tidy.run(until=lambda: tidy.statuses()[0] == "acknowledged")
    assert path.exists()
    assert trash(tidy) == {}


def test_C17_killed_between_the_move_and_its_record_it_ends_the_same(tidy: World) -> None:
    path = tidy.drop("clip.mp4", b"first")
    tidy.run(until=lambda: tidy.statuses() == ["fetched"])
    fetched = dict(tidy.stored)
    tidy.run(until=tidy.all_done)
    tidy.stored.clear()
    tidy.stored.update(fetched)
    tidy.restart()
    tidy.run(until=tidy.all_done)
    assert (path.exists(), trash(tidy)) == (False, {"clip.mp4": b"first"})
    assert len(tidy.server.items) == 1


def test_C17_what_cannot_be_moved_stays_and_the_item_is_done(tidy: World, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tidy.drop("clip.mp4")
    tidy.run(until=lambda: tidy.statuses() == ["fetched"])
    (tidy.folder / ".originals").write_bytes(b"a file where the trash should be")
    tidy.run(until=tidy.all_done)
    assert path.exists()
