"""Results that go to a folder elsewhere: where its disk is not mounted, nothing is put into the empty mount point or follows from it."""

import shutil
from pathlib import Path

import pytest

from dmc.client import marker
from dmc.client.marker import FILE_NAME, MARKER, Marks
from dmc.client.model import ObservedPath
from dmc.client.scan import RootState
from dmc.files import RealDisk
from tests.client.test_marker import Stick
from tests.client.world import RESULT, World


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def world(tmp_path: Path, archive: Path) -> World:
    archive.mkdir()
    world = World(tmp_path, observed=[ObservedPath(tmp_path / "drop", output=archive)])
    world.drop("first.mp4", b"first")
    world.run(until=world.all_done)
    return world


@pytest.fixture
def stick(archive: Path, monkeypatch: pytest.MonkeyPatch) -> Stick:
    return Stick(archive, monkeypatch)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_for_results_is_marked_by_its_first_result(world: World, archive: Path) -> None:
    assert names(archive) == [MARKER, "first.mkv"]


def test_C6_a_result_waits_while_its_disk_is_not_mounted_and_the_mount_point_stays_empty(world: World, stick: Stick, archive: Path) -> None:
    stick.exchange("real")
    world.drop("second.mp4", b"second")
    world.drop("second.srt", b"text")
    world.run(300)
    assert world.statuses() == ["acknowledged", "finished_successful"]
    assert "archive is offline" in (world.records()[1].reason or "")
    assert names(archive) == []
    world.restart()
    world.run(300)
    assert names(archive) == []
    stick.exchange("bare", "real")
    world.run(900, until=world.all_done)
    world.live_longer()
    assert names(archive) == [MARKER, "first.mkv", "second.mkv", "second.srt"]


def test_what_belongs_to_a_result_waits_too(world: World, stick: Stick, archive: Path) -> None:
    stick.exchange("real")
    world.drop("first.srt", b"text")
    world.live_longer()
    assert names(archive) == []
    stick.exchange("bare", "real")
    world.live_longer()
    assert names(archive) == [MARKER, "first.mkv", "first.srt"]


def test_another_disk_in_its_place_gets_nothing_until_somebody_says_that_it_is_right(world: World, stick: Stick, archive: Path) -> None:
    stick.exchange("real")
    (archive / "photos").mkdir()
    world.drop("second.mp4", b"second")
    world.run(300)
    assert names(archive) == ["photos"]
    marks = Marks(world.state / FILE_NAME, RealDisk())
    assert marks.peek_home(archive) is RootState.STRANGE
    marks.forget(archive)
    world.run(900, until=world.all_done)
    assert names(archive) == [MARKER, "photos", "second.mkv"]


def test_a_missing_mount_point_is_not_made(world: World, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.rename(world.home / "unplugged")
    real = marker._disk_of
    monkeypatch.setattr(marker, "_disk_of", lambda folder: (77, 0) if folder == world.home else real(folder))
    world.drop("second.mp4", b"second")
    world.run(300)
    assert world.statuses() == ["acknowledged", "finished_successful"] and not archive.exists()


def test_a_folder_that_was_deleted_on_its_own_disk_is_made_anew(world: World, archive: Path) -> None:
    shutil.rmtree(archive)
    world.drop("second.mp4", b"second")
    world.run(900, until=lambda: len(world.stored) == 2 and world.all_done())
    assert names(archive) == [MARKER, "second.mkv"]
    assert Marks(world.state / FILE_NAME, RealDisk()).peek_home(archive) is RootState.PRESENT


def test_a_copy_of_what_was_converted_is_not_converted_again_because_its_result_is_out_of_reach(
    world: World, stick: Stick, archive: Path
) -> None:
    stick.exchange("real")
    (world.folder / "first.mp4").unlink()
    world.drop("copy.mp4", b"first")
    world.live_longer()
    stick.exchange("bare", "real")
    world.live_longer()
    assert len(world.stored) == 1 and names(archive) == [MARKER, "first.mkv"]


def test_a_folder_for_results_inside_the_observed_one_has_no_marker_of_its_own(tmp_path: Path) -> None:
    world = World(tmp_path, observed=[ObservedPath(tmp_path / "drop", output=tmp_path / "drop" / "out")])
    world.drop("clip.mp4")
    world.run(until=world.all_done)
    assert (world.folder / "out" / "clip.mkv").read_bytes() == RESULT + b"moving pictures"
    assert names(world.folder / "out") == ["clip.mkv"]


def test_a_disk_that_was_mounted_inside_the_observed_folder_is_known_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "drop" / "converted"
    world = World(tmp_path)
    mounted = {output}
    monkeypatch.setattr("os.path.ismount", lambda path: Path(path) in mounted)
    stick = Stick(output, monkeypatch)
    world.drop("first.mp4", b"first")
    world.run(until=world.all_done)
    assert names(output) == [MARKER, "first.mkv"]
    mounted.clear()
    stick.exchange(".unplugged")
    world.drop("second.mp4", b"second")
    world.run(600)
    assert world.statuses() == ["acknowledged", "finished_successful"] and names(output) == []
    assert "converted is offline" in (world.records()[1].reason or "")
    mounted.add(output)
    stick.exchange(".bare", ".unplugged")
    world.run(900, until=world.all_done)
    assert names(output) == [MARKER, "first.mkv", "second.mkv"]


def test_results_in_an_observed_folder_do_not_make_it_sure_of_itself(tmp_path: Path) -> None:
    folder, other = tmp_path / "drop", tmp_path / "other"
    world = World(tmp_path, observed=[ObservedPath(folder, output=other), ObservedPath(other, output=other)])
    other.mkdir()
    (other / "clip.mp4").write_bytes(b"other")
    world.run(until=lambda: world.all_done())
    (tmp_path / "anew").mkdir()  # Before the other is removed, so that it has an inode of its own.
    shutil.rmtree(other)
    (tmp_path / "anew").rename(other)
    (other / "notes.txt").touch()
    world.drop("second.mp4", b"second")
    world.run(900, until=lambda: len(world.stored) == 2 and world.all_done())
    assert not (other / MARKER).exists()
    assert Marks(world.state / FILE_NAME, RealDisk()).peek(other) is RootState.UNSURE
