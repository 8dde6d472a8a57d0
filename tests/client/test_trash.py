"""The trash of an observed folder: emptied of what is old and of nothing else, and what is put back is no new drop."""

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dmc.client.model import ObservedPath
from dmc.client.outbox_memory import MemoryOutbox
from dmc.client.records import Trashed
from dmc.client.trash import is_due, looked_at, restore
from dmc.clock import rfc3339
from dmc.errors import NotFound, WrongStatus
from dmc.files import Disk, RealDisk
from dmc.items import ItemIds
from tests.client.faults import Fuse, FusedDisk, Killed
from tests.client.world import World

DAY_S = 24 * 3600.0


def home_of(place: Path, days: int = 30, *, disk: Disk | None = None) -> World:
    return World(place, observed=[ObservedPath(place / "drop", originals="trash", trash_days=days)], disk=disk)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """One file came home, and its original lies in the trash."""
    made = home_of(tmp_path)
    made.drop("notes.txt")  # So that the folder does not look like one that is not mounted.
    with_original_in_trash(made)
    return made


def with_original_in_trash(world: World) -> None:
    world.drop("deep/clip.mp4", b"first")
    world.run(until=lambda: world.all_done() and not world.crew.has_jobs)


def later(world: World, days: float) -> None:
    world.clock.advance(days * DAY_S)
    world.restart()
    world.run(5)


def trash(world: World) -> dict[str, bytes]:
    folder = world.folder / ".originals"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def trashed(world: World) -> Trashed:
    (found,) = (record.trash for record in world.records() if record.trash is not None)
    return found


def put_back(world: World, disk: Disk | None = None) -> Path:
    outbox = MemoryOutbox(world.stored)
    (record_id,) = (record.id for record in world.records() if record.trash is not None)
    return restore(outbox, record_id, trashed(world), disk=disk or RealDisk(), ids=ItemIds(max(outbox.ids())))


# --- Deleting ---


def test_an_original_is_deleted_after_its_days_and_not_before(world: World) -> None:
    later(world, 29.9)
    assert trash(world) == {"deep/clip.mp4": b"first"}
    later(world, 0.2)
    assert trash(world) == {"deep/clip.mp4": b"first"}  # Its days are over; the next look deletes it.
    later(world, 1)
    assert trash(world) == {}
    assert [record.trash for record in world.records()] == [None]
    assert list(world.results()) == ["deep/clip.mkv"] and len(world.server.items) == 1


def test_a_client_that_runs_deletes_by_itself(world: World) -> None:
    world.clock.advance(31 * DAY_S)
    world.run(10)
    world.clock.advance(DAY_S)
    world.run(10, until=lambda: trash(world) == {})


def test_a_clock_that_jumps_ahead_and_is_set_right_deletes_nothing() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    fresh = Trashed(path="p", origin="o", root="r", at=rfc3339(now), size=0, mtime_ns=0, inode=1)
    ahead = looked_at(fresh, 30, now + timedelta(days=400))
    assert ahead.due_since is not None and not is_due(ahead, now + timedelta(days=400))
    right = looked_at(ahead, 30, now + timedelta(days=1))
    assert right == fresh and not is_due(right, now + timedelta(days=1))
    over = looked_at(looked_at(ahead, 30, now + timedelta(days=31)), 30, now + timedelta(days=32))
    assert over.due_since == rfc3339(now + timedelta(days=31)) and is_due(over, now + timedelta(days=32))
    assert looked_at(over, 60, now + timedelta(days=32)) == fresh and looked_at(over, 0, now + timedelta(days=32)) == fresh


def test_with_0_days_it_stays_for_ever_and_so_does_its_record(tmp_path: Path) -> None:
    world = home_of(tmp_path, days=0)
    world.drop("notes.txt")
    with_original_in_trash(world)
    (world.folder / "converted" / "deep" / "clip.mkv").unlink()
    for days in (4000, 40, 1, 1):
        later(world, days)
    assert trash(world) == {"deep/clip.mp4": b"first"}
    assert trashed(world).size == 5


def test_what_dmc_did_not_put_there_stays(world: World) -> None:
    foreign = world.folder / ".originals" / "deep" / "mine.mp4"
    foreign.write_bytes(b"put here by hand")
    os.utime(foreign, (0, 0))
    later(world, 31)
    later(world, 1)
    assert trash(world) == {"deep/mine.mp4": b"put here by hand"}


def test_another_file_at_its_place_stays(world: World) -> None:
    place = world.folder / ".originals" / "deep" / "clip.mp4"
    found = place.stat()
    other = world.home / "other"
    other.write_bytes(b"other")  # As large, as old, and yet another file.
    os.utime(other, ns=(found.st_mtime_ns, found.st_mtime_ns))
    other.replace(place)
    later(world, 31)
    later(world, 1)
    assert trash(world) == {"deep/clip.mp4": b"other"}


@pytest.mark.parametrize("link", [".originals", ".originals/deep"])
def test_nothing_is_deleted_through_a_link(world: World, link: str) -> None:
    place, elsewhere = world.folder / link, world.home / "elsewhere"
    place.rename(elsewhere)
    place.symlink_to(elsewhere)
    later(world, 31)
    later(world, 1)
    assert [path.read_bytes() for path in elsewhere.rglob("clip.mp4")] == [b"first"]
    assert trashed(world)


@pytest.mark.parametrize("instead", ["nothing", "an empty folder", "another disk"])
def test_nothing_is_deleted_or_concluded_while_the_folder_is_away(world: World, instead: str) -> None:
    away = world.home / "away"
    world.folder.rename(away)
    if instead != "nothing":
        world.folder.mkdir()
    if instead == "another disk":
        shutil.copytree(away, world.folder, dirs_exist_ok=True, copy_function=os.link)  # The very same files, as a clone has them.
        (world.folder / ".dmc-root").unlink()
        (world.folder / ".dmc-root").write_text("0" * 32 + "\n")
    later(world, 31)
    later(world, 1)
    assert (away / ".originals" / "deep" / "clip.mp4").exists() and trashed(world)
    assert trash(world) == ({"deep/clip.mp4": b"first"} if instead == "another disk" else {})
    if instead != "nothing":
        shutil.rmtree(world.folder)
    away.rename(world.folder)
    later(world, 1)
    assert trash(world) == {}


def test_one_that_somebody_took_out_is_forgotten(world: World) -> None:
    shutil.rmtree(world.folder / ".originals")
    later(world, 1)
    assert [record.trash for record in world.records()] == [None]


# --- Moving ---


class RivalDisk(RealDisk):
    """Somebody takes the name in the trash in the moment before the original gets it."""

    def link(self, source: Path, target: Path) -> None:
        if target.name == "clip.mp4" and ".originals" in target.parts:
            target.write_bytes(b"a rival")
        super().link(source, target)


def test_a_file_that_appears_at_its_name_in_the_trash_is_not_replaced(tmp_path: Path) -> None:
    world = home_of(tmp_path, disk=RivalDisk())
    with_original_in_trash(world)
    assert sorted(trash(world).values()) == [b"a rival", b"first"]
    assert trash(world)["deep/clip.mp4"] == b"a rival"
    later(world, 31)
    later(world, 1)
    assert trash(world) == {"deep/clip.mp4": b"a rival"}


def test_an_original_is_not_moved_through_a_link(tmp_path: Path) -> None:
    world = home_of(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (world.folder / ".originals").symlink_to(elsewhere)
    with_original_in_trash(world)
    assert (world.folder / "deep" / "clip.mp4").read_bytes() == b"first"
    assert list(elsewhere.iterdir()) == []


def test_killed_between_the_move_and_its_record_it_is_known_all_the_same(tmp_path: Path) -> None:
    world = home_of(tmp_path)
    world.drop("deep/clip.mp4", b"first")
    world.run(until=lambda: world.statuses() == ["fetched"])
    fetched = dict(world.stored)
    world.run(until=world.all_done)
    at = trashed(world).path
    world.stored.update(fetched)
    world.restart()
    world.run(until=world.all_done)
    assert trashed(world).path == at


# --- Putting back ---


def test_what_is_put_back_is_no_new_drop(world: World) -> None:
    assert put_back(world) == world.folder / "deep" / "clip.mp4"
    assert (world.folder / "deep" / "clip.mp4").read_bytes() == b"first"
    world.live_longer()
    world.restart()
    world.live_longer()
    assert world.statuses() == ["acknowledged"] and len(world.server.items) == 1
    assert trash(world) == {} and world.records()[0].trash is None
    assert world.records()[0].signature.ctime_ns == (world.folder / "deep" / "clip.mp4").stat().st_ctime_ns


def test_nor_is_it_where_its_result_is_gone_and_the_share_gave_it_another_inode(world: World) -> None:
    place = world.folder / ".originals" / "deep" / "clip.mp4"
    shutil.copy2(place, world.home / "copy")
    (world.home / "copy").replace(place)
    (world.folder / "converted" / "deep" / "clip.mkv").unlink()
    put_back(world)
    world.live_longer()
    assert world.statuses() == ["acknowledged"] and len(world.server.items) == 1


def test_nor_is_it_when_its_record_follows_a_copy_elsewhere(world: World) -> None:
    world.drop("copy.mp4", b"first")
    world.live_longer()
    assert [record.path.name for record in world.records()] == ["copy.mp4"]
    put_back(world)
    assert sorted(record.path.name for record in world.records()) == ["clip.mp4", "copy.mp4"]
    assert world.statuses() == ["acknowledged", "acknowledged"]
    world.live_longer()
    assert len(world.stored) == 2 and list(world.results()) == ["deep/clip.mkv"]
    assert world.statuses() == ["acknowledged", "acknowledged"] and len(world.server.items) == 1


def test_a_new_content_of_what_was_put_back_is_a_new_drop(world: World) -> None:
    put_back(world).write_bytes(b"edited since")
    world.run(900, until=lambda: len(world.server.items) == 2 and world.all_done())


def test_nothing_is_replaced_when_something_stands_there(world: World) -> None:
    world.drop("deep/clip.mp4", b"newer")
    with pytest.raises(WrongStatus, match="is there already"):
        put_back(world)
    assert (world.folder / "deep" / "clip.mp4").read_bytes() == b"newer"
    assert trash(world) == {"deep/clip.mp4": b"first"} and trashed(world)


def test_nothing_is_replaced_when_something_appears_there_in_between(world: World) -> None:
    class Rival(RealDisk):
        def link(self, source: Path, target: Path) -> None:
            target.write_bytes(b"a rival")
            super().link(source, target)

    with pytest.raises(WrongStatus, match="is there already"):
        put_back(world, Rival())
    assert (world.folder / "deep" / "clip.mp4").read_bytes() == b"a rival"
    assert trash(world) == {"deep/clip.mp4": b"first"}


def test_nothing_is_put_back_through_a_link_and_nothing_that_is_not_the_original(world: World) -> None:
    (world.folder / "deep").rmdir()
    (world.folder / "deep").symlink_to(world.home)
    with pytest.raises(WrongStatus, match="a link"):
        put_back(world)
    (world.folder / "deep").unlink()
    (world.folder / ".originals" / "deep" / "clip.mp4").write_bytes(b"something else")
    with pytest.raises(NotFound):
        put_back(world)
    assert not (world.folder / "deep").exists()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_step_of_putting_back_it_is_in_the_end_where_it_was(tmp_path: Path, after: bool) -> None:
    steps = 4  # link, unlink, and the two folders.
    for at in range(1, steps + 2):
        (home := tmp_path / f"cut-{at}").mkdir()
        world = home_of(home)
        with_original_in_trash(world)
        fuse = Fuse(at, after=after)
        try:
            put_back(world, FusedDisk(fuse))
        except Killed:
            assert (world.folder / "deep" / "clip.mp4").exists() or trash(world) == {"deep/clip.mp4": b"first"}
        assert fuse.burnt == (at <= steps)
        world.restart()
        world.live_longer()
        if trash(world):
            put_back(world)
            world.live_longer()
        assert (world.folder / "deep" / "clip.mp4").read_bytes() == b"first"
        assert trash(world) == {} and len(world.server.items) == 1 and world.statuses() == ["acknowledged"]
