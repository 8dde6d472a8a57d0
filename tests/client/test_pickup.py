"""From the folder into the outbox: what is found, when, and what is never inferred. C1–C10."""

import os
import shutil
from pathlib import Path

import pytest

from dmc.client.model import ObservedPath
from dmc.conversions import MediaType
from tests.client.world import RESULT, World


def test_files_that_are_no_media_are_passed_over_in_silence(world: World) -> None:
    world.drop("notes.txt", b"words")
    world.drop("really-a-picture.txt", b"\x89PNG\r\n\x1a\n and so on")
    world.run(until=world.all_done)
    assert [record.label for record in world.records()] == ["really-a-picture.txt"]
    assert world.records()[0].media_type is MediaType.IMAGE


def test_each_medium_gets_its_own_conversion_type_and_unobserved_media_none(tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    kinds = {MediaType.VIDEO: "web", MediaType.AUDIO: "mp3", MediaType.IMAGE: "png"}
    observed = ObservedPath(folder, media_types=frozenset({MediaType.VIDEO, MediaType.AUDIO}), conversion_types=kinds)
    world = World(tmp_path, observed=[observed])
    for name in ("clip.mp4", "song.flac", "picture.jpg"):
        world.drop(name, name.encode())
    world.run(until=lambda: len(world.stored) == 2 and world.all_done())
    world.live_longer()
    assert {record.label: record.conversion_type for record in world.records()} == {"clip.mp4": "web", "song.flac": "mp3"}


@pytest.mark.parametrize("moment", range(12))
def test_C1_a_file_that_appears_at_any_moment_of_the_start_is_found_once(world: World, moment: int) -> None:
    world.drop("a/before.mp4", b"before")
    for _ in range(moment):
        world.sync.step()
        world.clock.advance(0.4)
    late = world.drop("b/late.mp4", b"late")
    world.sync.hints.path(world.sync._roots.all[0].key, str(late))
    world.run(30, until=lambda: len(world.stored) == 2 and world.all_done())
    world.live_longer()
    assert len(world.stored) == 2 and len(world.server.items) == 2


def test_C2_without_a_watcher_the_next_walk_finds_what_appeared(world: World) -> None:
    world.run(5)
    world.drop("late.mp4")
    world.run(400, until=world.all_done)


def test_C2_a_hint_makes_it_faster(world: World) -> None:
    world.run(5)
    path = world.drop("late.mp4")
    world.sync.hints.path(world.sync._roots.all[0].key, str(path))
    world.run(5, until=world.all_done)


def test_C3_the_folders_are_walked_again_at_spread_times(world: World) -> None:
    root = world.sync._roots.all[0]
    gaps, before = [], 0.0
    for _ in range(60):
        world.sync.step()
        if root.next_walk_at != before:
            gaps.append(root.next_walk_at - world.clock.monotonic())
            before = root.next_walk_at
        world.clock.advance(60)
    assert min(gaps) >= 225 and max(gaps) <= 375
    assert max(gaps) - min(gaps) > 30


def test_C3_after_the_machine_slept_the_folders_are_walked(world: World) -> None:
    world.run(5)
    world.drop("made by another machine.mp4")
    world.clock.jump(3600)
    world.run(10, until=world.all_done)


def test_C7_a_polled_folder_is_walked_often_and_waits_longer(world: World) -> None:
    world.sync._roots.all[0].polled = True
    world.run(5)
    world.drop("clip.mp4")
    world.run(9)
    assert world.stored == {}
    world.run(60, until=world.all_done)


def test_C8_a_file_that_keeps_changing_blocks_nobody_and_is_taken_when_it_is_quiet(world: World) -> None:
    growing = world.drop("growing.mp4", b"x")
    world.drop("still.mp4", b"still")
    for _ in range(200):
        with growing.open("ab") as file:
            file.write(b"x")
        world.run(1)
    assert [record.label for record in world.records()] == ["still.mp4"]
    assert world.all_done()
    world.run(60, until=lambda: len(world.stored) == 2 and world.all_done())
    assert world.records()[1].size == 201


def test_C8_a_file_somebody_holds_open_for_writing_waits_though_it_looks_quiet(world: World) -> None:
    path = world.drop("preallocated.mp4")
    with path.open("r+b"):
        world.run(60)
        assert world.stored == {}
    world.run(120, until=world.all_done)


def test_C8_an_empty_file_waits_longer(world: World) -> None:
    world.drop("empty.mp4", b"")
    world.run(25)
    assert world.stored == {}
    world.run(60, until=world.all_done)


def test_C12_a_renamed_file_is_not_converted_again(world: World) -> None:
    path = world.drop("clip.mp4")
    world.run(until=world.all_done)
    (world.folder / "sub").mkdir()
    path.rename(world.folder / "sub" / "renamed.mp4")
    world.live_longer()
    (record,) = world.records()
    assert record.path == world.folder / "sub" / "renamed.mp4"
    assert (len(world.server.items), list(world.results())) == (1, ["clip.mkv"])


def test_C13_a_file_that_cannot_be_read_is_parked_until_it_can(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open
    path = world.drop("locked away.mp4")
    world.drop("locked away.txt")

    def without_the_right_to_read(name: str, *arguments: int) -> int:
        if "locked away" in str(name):
            raise PermissionError(13, "Permission denied")
        return real(name, *arguments)

    monkeypatch.setattr("dmc.client.examine.os.open", without_the_right_to_read)
    world.run(until=world.all_done)
    (record,) = world.records()
    assert (record.status, record.errors[0].code) == ("parked", "Unreadable")
    monkeypatch.undo()
    os.chmod(path, 0o600)
    world.run(900, until=lambda: world.statuses() == ["acknowledged"])


def test_a_file_deleted_before_it_was_sent_is_forgotten(world: World) -> None:
    world.server.down = True
    path = world.drop("clip.mp4")
    world.run(until=lambda: bool(world.stored))
    path.unlink()
    world.drop("other.txt")
    world.server.down = False
    world.run(300, until=lambda: not world.stored)
    assert world.server.items == {}


def test_C6_a_folder_that_is_away_costs_no_durable_steps(world: World) -> None:
    world.server.down = True
    world.drop("clip.mp4")
    world.run(until=lambda: bool(world.stored))
    world.folder.rename(world.home / "unmounted")
    world.server.down = False
    world.live_longer()
    version = world.records()[0].version
    world.live_longer(3600)
    assert world.records()[0].version == version


def test_C6_nothing_is_inferred_from_a_root_that_is_away_or_empty(world: World) -> None:
    world.server.down = True
    world.drop("clip.mp4")
    world.run(until=lambda: bool(world.stored))
    world.folder.rename(world.home / "unmounted")
    world.server.down = False
    world.live_longer()
    assert world.statuses() == ["waiting"]
    world.folder.mkdir()
    world.live_longer()
    assert world.statuses() == ["waiting"]
    world.folder.rmdir()
    (world.home / "unmounted").rename(world.folder)
    world.run(400, until=world.all_done)


def test_a_file_changed_before_it_was_sent_is_sent_once_as_it_is(world: World) -> None:
    world.server.down = True
    path = world.drop("clip.mp4", b"first")
    world.run(until=lambda: bool(world.stored))
    path.write_bytes(b"second")
    world.server.down = False
    world.run(900, until=world.all_done)
    assert list(world.server.originals.values()) == [b"second"]
    assert world.results() == {"clip.mkv": RESULT + b"second"}


def test_a_folder_moved_in_with_all_its_files_is_found_by_one_hint(world: World) -> None:
    world.run(5)
    outside = world.home / "outside"
    for name in ("a.mp4", "deep/b.mp4"):
        (outside / name).parent.mkdir(parents=True, exist_ok=True)
        (outside / name).write_bytes(name.encode())
    shutil.move(outside, world.folder / "inside")
    world.sync.hints.folder(world.sync._roots.all[0].key, str(world.folder / "inside"))
    world.run(10, until=lambda: len(world.stored) == 2 and world.all_done())


def test_C9_names_from_the_ignore_list_become_drops_when_they_are_renamed(world: World) -> None:
    path = world.drop("clip.mp4.part")
    world.live_longer()
    assert world.stored == {}
    path.rename(world.folder / "clip.mp4")
    world.live_longer()
    assert world.statuses() == ["acknowledged"]


def test_a_change_of_mode_or_time_alone_converts_nothing_again(world: World) -> None:
    path = world.drop("clip.mp4")
    world.run(until=world.all_done)
    os.utime(path, (1, 1))
    world.live_longer()
    assert len(world.stored) == 1 and len(world.server.items) == 1
    version = world.records()[0].version
    world.live_longer()
    assert world.records()[0].version == version
