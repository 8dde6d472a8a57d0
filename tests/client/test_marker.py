"""C6: the marker in an observed folder tells it from another one in its place. Another disk is played by what `_disk_of` says."""

import json
import os
from pathlib import Path

import pytest

from dmc.client import marker
from dmc.client.marker import FILE_NAME, MARKER, Marks
from dmc.client.scan import RootState
from dmc.errors import BadSettings, NotFound
from dmc.files import RealDisk
from tests.client.world import World


class Stick:
    """The disk that lies at a place, exchanged by moving folders; each has a device number of its own."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = place
        self._number = 1
        real = marker._disk_of
        monkeypatch.setattr(marker, "_disk_of", lambda root: (self._number, 0) if root == place else real(root))

    def exchange(self, old: str, new: str | None = None) -> None:
        """What lies there goes to `old`; what lies at `new` (None: an empty folder of the system's disk) comes in its place."""
        self.place.rename(self.place.with_name(old))
        self._number += 1
        if new is None:
            self.place.mkdir()
        else:
            self.place.with_name(new).rename(self.place)


@pytest.fixture
def stick(world: World, monkeypatch: pytest.MonkeyPatch) -> Stick:
    return Stick(world.folder, monkeypatch)


def marks(world: World) -> Marks:
    return Marks(world.state / FILE_NAME, RealDisk())


def waiting(world: World) -> None:
    """One file is in the outbox and no server is there."""
    world.server.down = True
    world.drop("clip.mp4")
    world.run(until=lambda: bool(world.stored))


def test_C6_a_folder_is_marked_when_it_first_holds_something(world: World) -> None:
    world.run(5)
    assert not (world.folder / MARKER).exists()
    path = world.drop("clip.mp4")
    world.sync.hints.path(world.sync._roots.all[0].key, str(path))
    world.run(until=world.all_done)
    first = (world.folder / MARKER).read_bytes()
    world.live_longer()
    assert [record.label for record in world.records()] == ["clip.mp4"]
    assert (world.folder / MARKER).read_bytes() == first
    assert not list(world.folder.glob(".dmc-[0-9a-f]*"))


def test_C6_another_disk_in_its_place_is_offline_and_nothing_follows_from_it(world: World, stick: Stick) -> None:
    waiting(world)
    stick.exchange("real")
    world.drop("clip.mp4", b"another film of the same name")
    world.drop("stranger.mp4")
    world.server.down = False
    world.live_longer()
    world.sync.hints.path(world.sync._roots.all[0].key, str(world.folder / "stranger.mp4"))
    world.live_longer()
    assert (world.statuses(), world.server.items) == (["waiting"], {})
    assert marks(world).peek(world.folder) is RootState.STRANGE
    stick.exchange("other", "real")
    world.run(400, until=world.all_done)
    assert list(world.server.originals.values()) == [b"moving pictures"]


def test_C6_a_disk_with_another_marker_is_offline_though_it_has_the_same_number(world: World) -> None:
    waiting(world)
    world.folder.rename(world.home / "real")
    world.drop("stranger.mp4")
    (world.folder / MARKER).write_text("0" * 32 + "\n")
    world.server.down = False
    world.live_longer()
    assert world.statuses() == ["waiting"]
    assert marks(world).peek(world.folder) is RootState.STRANGE


def test_C6_a_result_waits_for_its_folder_and_never_lands_beside_it(world: World, stick: Stick) -> None:
    world.drop("clip.mp4")
    world.run(until=lambda: world.statuses() == ["in_progress"] or world.statuses() == ["to_do"], converting=False)
    stick.exchange("real")
    world.drop("stranger.txt")
    world.run(300)
    assert world.statuses() == ["finished_successful"]
    assert "offline" in (world.records()[0].reason or "")
    assert not (world.folder / "converted").exists()
    stick.exchange("other", "real")
    world.run(400, until=world.all_done)
    assert list(world.results()) == ["clip.mkv"]


def test_C6_a_marked_folder_without_files_is_there_so_a_file_deleted_before_it_was_sent_is_forgotten(world: World) -> None:
    waiting(world)
    (world.folder / "clip.mp4").unlink()
    world.server.down = False
    world.run(300, until=lambda: not world.stored)
    assert world.server.items == {}


def test_C6_a_marker_that_was_removed_is_written_again_into_the_same_folder_only(world: World, stick: Stick) -> None:
    world.drop("clip.mp4")
    world.run(until=world.all_done)
    mark = (world.folder / MARKER).read_bytes()
    (world.folder / MARKER).unlink()
    world.live_longer()
    assert (world.folder / MARKER).read_bytes() == mark
    stick.exchange("real")
    world.drop("stranger.mp4")
    world.live_longer()
    assert not (world.folder / MARKER).exists()


def test_C6_a_half_written_marker_is_made_whole(world: World) -> None:
    (world.folder / MARKER).write_text("dead")
    world.drop("clip.mp4")
    world.run(until=world.all_done)
    assert len((world.folder / MARKER).read_text().split("\n")[0]) == 32


def test_C6_a_folder_that_cannot_be_written_into_goes_without(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Marks, "_mark", read_only)
    waiting(world)
    assert not (world.folder / MARKER).exists()
    assert marks(world).peek(world.folder) is RootState.PRESENT


def test_C6_a_person_may_say_that_the_other_folder_is_right(world: World, stick: Stick) -> None:
    world.drop("clip.mp4")
    world.run(until=world.all_done)
    stick.exchange("real")
    world.drop("new.mp4", b"new")
    world.live_longer()
    assert len(world.stored) == 1
    marks(world).forget(world.folder)
    world.run(900, until=lambda: len(world.stored) == 2 and world.all_done())
    with pytest.raises(NotFound):
        marks(world).forget(world.home / "never seen")


def test_two_clients_of_one_folder_share_its_marker(world: World, tmp_path: Path) -> None:
    world.drop("clip.mp4")
    world.run(until=world.all_done)
    other = Marks(tmp_path / "other.json", RealDisk())
    assert other.look(world.folder) is RootState.PRESENT
    ours, theirs = (json.loads(path.read_text())["roots"] for path in (world.state / FILE_NAME, tmp_path / "other.json"))
    assert ours == theirs


def test_what_was_remembered_of_folders_may_be_lost_but_not_of_a_newer_version(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_text("{")
    (tmp_path / "drop").mkdir()
    os.close(os.open(tmp_path / "drop" / "a.mp4", os.O_CREAT))
    assert Marks(path, RealDisk()).look(tmp_path / "drop") is RootState.PRESENT
    path.write_text('{"schema": 2, "roots": {}}')
    with pytest.raises(BadSettings):
        Marks(path, RealDisk())
