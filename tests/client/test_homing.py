"""From the server home: names, places, conflicts, and results that never go round again. C14–C16."""

import os
import unicodedata
from pathlib import Path

import pytest

from dmc.client.marker import MARKER
from dmc.client.model import ObservedPath
from dmc.client.records import decode_path
from dmc.client.transport_memory import MemoryTransport
from dmc.items import Outcome
from tests.client.world import RESULT, World


def test_a_result_lands_in_the_same_subfolder_with_the_time_and_at_most_the_mode_of_its_source(world: World) -> None:
    source = world.drop("holiday/day 1/clip.mp4")
    os.chmod(source, 0o640)
    os.utime(source, ns=(10**18, 10**18))
    world.run(until=world.all_done)
    found = (world.folder / "converted/holiday/day 1/clip.mkv").stat()
    assert found.st_mtime_ns == 10**18
    assert found.st_mode & 0o777 == 0o640


def test_copies_in_two_places_each_get_a_result(world: World) -> None:
    world.drop("a/clip.mp4", b"same")
    world.drop("b/clip.mp4", b"same")
    world.drop("a/clip.mov", b"same")
    world.run(120, until=lambda: len(world.stored) == 3 and world.all_done())
    assert sorted(world.results()) == ["a/clip.mkv", "a/clip.mov.mkv", "b/clip.mkv"] or sorted(world.results()) == [
        "a/clip.mkv",
        "a/clip.mp4.mkv",
        "b/clip.mkv",
    ]


def test_C14_changed_content_is_a_new_version_and_overwrites_nothing(world: World) -> None:
    path = world.drop("clip.mp4", b"first")
    world.run(until=world.all_done)
    path.write_bytes(b"second")
    world.run(900, until=lambda: len(world.stored) == 2 and world.all_done())
    found = world.results()
    assert found.pop("clip.mkv") == RESULT + b"first"
    ((name, content),) = found.items()
    assert name.startswith("clip.conflict-20260101T") and name.endswith("Z-laptop.mkv")
    assert content == RESULT + b"second"


def test_C14_a_file_of_the_user_is_never_overwritten(world: World) -> None:
    folder = world.folder / "converted"
    folder.mkdir()
    (folder / "clip.mkv").write_bytes(b"mine")
    world.drop("clip.mp4")
    world.run(until=world.all_done)
    assert world.results() == {"clip.mkv": b"mine", "clip.mp4.mkv": RESULT + b"moving pictures"}


@pytest.mark.parametrize("name", ["clip.mp4", "film.mp4"])
def test_a_folder_that_was_deleted_and_filled_again_gets_its_results_again(world: World, name: str) -> None:
    world.drop("clip.mp4")
    world.run(until=world.all_done)
    world.folder.rename(world.home / "away")
    world.folder.mkdir()
    world.drop(name)
    world.run(900, until=lambda: len(world.stored) == 2 and world.all_done())
    world.live_longer()
    assert len(world.stored) == 2
    assert len(world.server.items) == 1
    assert list(world.results()) == [name.replace(".mp4", ".mkv")]


def test_a_file_that_moves_after_its_result_was_taken_away_is_not_converted_again(world: World) -> None:
    path = world.drop("clip.mp4")
    world.run(until=world.all_done)
    (world.folder / "converted/clip.mkv").rename(world.home / "library.mkv")
    (world.folder / "done").mkdir()
    path.rename(world.folder / "done/clip.mp4")
    world.live_longer()
    (world.folder / "done/clip.mp4").touch()
    world.live_longer()
    assert len(world.stored) == 1
    assert world.results() == {}


def test_C14_a_name_that_is_taken_in_the_last_moment_is_left_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.drop("clip.mp4")
    real = world.disk.link

    def somebody_was_faster(source: Path, target: Path) -> None:
        if target.name == "clip.mkv":
            target.write_bytes(b"mine")
        real(source, target)

    monkeypatch.setattr(world.disk, "link", somebody_was_faster)
    world.run(until=world.all_done)
    assert world.results() == {"clip.mkv": b"mine", "clip.mp4.mkv": RESULT + b"moving pictures"}


def test_C15_results_in_the_observed_folder_itself_never_go_round_again(tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    world = World(tmp_path, observed=[ObservedPath(folder, output=folder)])
    world.drop("clip.mkv", b"original")
    world.run(until=world.all_done)
    world.live_longer()
    assert sorted(path.name for path in folder.iterdir() if path.name != MARKER) == ["clip.mkv", "clip.mkv.mkv"]
    (folder / "clip.mkv.mkv").rename(folder / "renamed result.mkv")
    world.live_longer()
    assert len(world.server.items) == 1


def test_C15_results_that_land_in_another_observed_folder_are_not_taken(tmp_path: Path) -> None:
    folder, other = tmp_path / "drop", tmp_path / "other"
    other.mkdir()
    world = World(tmp_path, observed=[ObservedPath(folder, output=other / "deep"), ObservedPath(other)])
    world.drop("clip.mp4")
    world.run(until=world.all_done)
    world.live_longer()
    assert (other / "deep" / "clip.mkv").is_file()
    assert len(world.server.items) == 1


def test_C15_a_cover_beside_a_result_is_not_taken_for_a_drop(tmp_path: Path) -> None:
    """Neither where it was put, nor after a restart; the same picture somewhere else is a drop like any other."""
    folder = tmp_path / "drop"
    world = World(tmp_path, observed=[ObservedPath(folder, output=folder)])
    world.beside = {"result.3.jpg": b"\xff\xd8\xff cover", "result.4.jpg": b"\xff\xd8\xff cover"}
    world.drop("clip.mp4", b"original")
    world.run(until=world.all_done)
    world.live_longer()
    world.restart()
    world.live_longer()
    assert sorted(path.name for path in folder.iterdir() if path.name != MARKER) == ["clip.3.jpg", "clip.4.jpg", "clip.mkv", "clip.mp4"]
    assert len(world.server.items) == 1
    world.beside = {}
    world.drop("album/cover.jpg", b"\xff\xd8\xff cover")
    world.run(900, until=lambda: len(world.server.items) == 2, longest=10.0)


@pytest.mark.parametrize(
    "name",
    [
        os.fsdecode(b"not \xff utf-8 \xfe.mp4"),
        "new\nline.mp4",
        "ends with space .mp4",
        "🎬 film.mp4",
        "a" * 251 + ".mp4",
        "é" * 125 + "x.mp4",
        unicodedata.normalize("NFC", "naïve.mp4"),
        unicodedata.normalize("NFD", "naïve.mp4"),
        "-rf.mp4",
        "quote'\"%41.mp4",
    ],
)
def test_C16_any_name_comes_home(world: World, name: str) -> None:
    world.drop(name)
    world.run(until=world.all_done)
    assert decode_path(world.records()[0].file_path).name == name
    (result,) = world.results()
    assert result == name[: -len(".mp4")] + ".mkv"


def test_C16_names_that_differ_only_by_case_or_composition_are_two_files(world: World) -> None:
    for name in ("Clip.mp4", "clip.mp4", unicodedata.normalize("NFC", "é.mp4"), unicodedata.normalize("NFD", "é.mp4")):
        world.drop(name, name.encode())
    world.run(until=lambda: len(world.stored) == 4 and world.all_done())
    assert len(world.results()) == 4


def test_an_item_that_failed_is_recorded_with_its_errors_and_acknowledged(world: World) -> None:
    world.drop("clip.mp4")
    world.run(converting=False, until=lambda: bool(world.server.items))
    (item_id,) = world.server.items
    world.server.fail(item_id, "DamagedMedia", "nothing in it can be decoded.")
    world.run(until=world.all_done)
    (record,) = world.records()
    assert (record.status, record.outcome, record.errors[0].code) == ("acknowledged", "failed", "DamagedMedia")
    assert world.server.acknowledged == [(item_id, record.sha512)]
    assert not (world.folder / "converted").exists()


def test_an_item_that_was_tried_again_before_it_was_acknowledged_comes_home(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.drop("clip.mp4")
    world.run(converting=False, until=lambda: bool(world.server.items))
    (item_id,) = world.server.items
    world.server.fail(item_id, "WorkerDied")
    real = MemoryTransport.acknowledge

    def just_converted(self: MemoryTransport, item: str, sha512: str) -> None:
        if world.server.items[item].result is None:
            world.server.finish(item, RESULT + b"moving pictures")
        real(self, item, sha512)

    monkeypatch.setattr(MemoryTransport, "acknowledge", just_converted)
    world.run(120, until=world.all_done)
    assert (world.records()[0].status, world.records()[0].outcome) == ("acknowledged", "converted")
    assert world.results() == {"clip.mkv": RESULT + b"moving pictures"}


@pytest.mark.parametrize("finished", [False, True])
def test_a_result_that_is_home_is_not_fetched_again_when_the_server_makes_it_anew(
    world: World, monkeypatch: pytest.MonkeyPatch, finished: bool
) -> None:
    world.drop("clip.mp4")
    real = MemoryTransport.acknowledge

    def begun_anew(self: MemoryTransport, item: str, sha512: str) -> None:
        if finished:
            world.server.finish(item, b"made anew")
        else:
            world.server.start(item)
        real(self, item, sha512)

    monkeypatch.setattr(MemoryTransport, "acknowledge", begun_anew)
    world.run(until=world.all_done)
    world.live_longer()
    assert world.statuses() == ["acknowledged"]
    assert world.results() == {"clip.mkv": RESULT + b"moving pictures"}


def test_the_reason_of_a_delay_can_be_written_down_whatever_the_folder_is_called(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.drop("no text \udcff/clip.mp4")
    real = os.mkdir

    def not_allowed(path: Path, mode: int = 0o777) -> None:
        if "converted" in str(path):
            raise PermissionError(13, "Permission denied")
        real(path, mode)

    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", not_allowed)
        world.run(60)
    (record,) = world.records()
    assert record.reason is not None
    assert "Permission denied" in record.model_dump_json()


@pytest.mark.parametrize("outcome", [Outcome.KEPT_ORIGINAL, Outcome.SKIPPED])
def test_an_item_without_a_result_is_only_acknowledged(world: World, outcome: Outcome) -> None:
    world.drop("clip.mp4")
    world.run(converting=False, until=lambda: bool(world.server.items))
    world.server.keep(next(iter(world.server.items)), outcome, "it is small already")
    world.run(until=world.all_done)
    (record,) = world.records()
    assert (record.status, record.outcome, record.reason) == ("acknowledged", outcome, "it is small already")


def test_a_disk_that_is_full_delays_the_result_and_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.drop("clip.mp4")

    def no_space(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(world.disk, "link", no_space)
        world.run(300)
        (record,) = world.records()
        assert record.status == "finished_successful"
        assert record.reason is not None and "disk is full" in record.reason
    world.run(120, until=world.all_done)
    assert world.records()[0].reason is None


def test_a_time_beyond_2262_comes_home_and_the_file_is_not_taken_again(world: World) -> None:
    far = 13_600_000_000  # In 2400.
    path = world.drop("clip.mp4")
    os.utime(path, (far, far))
    if path.stat().st_mtime != far:
        pytest.skip("this file system has no such times")
    world.run(until=world.all_done)
    world.restart()
    world.live_longer()
    assert world.statuses() == ["acknowledged"]
    assert world.results() == {"clip.mkv": RESULT + b"moving pictures"}
