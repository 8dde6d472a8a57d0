"""Stories of a client with servers in memory: every promise of the outbox, told step by step."""

import hashlib
import itertools
import os
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from dmc.client.model import ObservedPath, ServerAddress, Timing
from dmc.client.outbox_memory import MemoryOutbox
from dmc.client.records import OutboxStatus, decode_path
from dmc.client.requests import add_file, moved, send_again
from dmc.client.transport import Parcel
from dmc.client.transport_memory import MemoryTransport
from dmc.conversions import MediaType
from dmc.errors import DiskFull, ServerUnreachable, SignInNeeded, TooLarge
from dmc.items import ItemIds, Outcome
from tests.client.world import RESULT, World


def results(world: World) -> dict[str, bytes]:
    folder = world.folder / "converted"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def live_longer(world: World, seconds: float = 900.0) -> None:
    """Long enough for two full scans."""
    world.run(seconds, longest=10.0)


def test_a_dropped_file_comes_home_converted_and_acknowledged(world: World) -> None:
    world.drop("clip.mp4", b"original bytes")
    world.run(until=world.all_done)
    assert results(world) == {"clip.mkv": RESULT + b"original bytes"}
    (record,) = world.records()
    assert (record.status, record.outcome, record.server_id) == ("acknowledged", "converted", "instance-of-nas")
    digest = hashlib.sha512(RESULT + b"original bytes").hexdigest()
    assert world.server.acknowledged == [(record.item_id, digest)]
    assert (world.folder / "clip.mp4").read_bytes() == b"original bytes"


def test_a_result_lands_in_the_same_subfolder_with_the_time_and_at_most_the_mode_of_its_source(world: World) -> None:
    source = world.drop("holiday/day 1/clip.mp4")
    os.chmod(source, 0o640)
    os.utime(source, ns=(10**18, 10**18))
    world.run(until=world.all_done)
    found = (world.folder / "converted/holiday/day 1/clip.mkv").stat()
    assert found.st_mtime_ns == 10**18
    assert found.st_mode & 0o777 == 0o640


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
    live_longer(world)
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
    live_longer(world)
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


def test_C12_an_outbox_that_was_lost_leads_to_no_second_conversion_and_no_second_fetch(world: World) -> None:
    world.drop("clip.mp4")
    world.run(until=world.all_done)
    world.stored.clear()
    world.restart()
    world.run(until=world.all_done)
    assert len(world.server.items) == 1
    assert world.server.received == len(b"moving pictures")
    assert list(results(world)) == ["clip.mkv"]
    assert decode_path(world.records()[0].result_path or "") == world.folder / "converted/clip.mkv"


def test_C12_an_outbox_that_was_lost_before_the_result_came_still_brings_it_home(world: World) -> None:
    world.drop("clip.mp4")
    world.run(converting=False, until=lambda: bool(world.server.items))
    world.stored.clear()
    world.restart()
    world.run(until=world.all_done)
    assert (len(world.server.items), list(results(world))) == (1, ["clip.mkv"])


def test_C12_without_check_the_file_is_simply_sent(world: World) -> None:
    world.server.knows_check = False
    world.drop("clip.mp4")
    world.run(until=world.all_done)


def test_C12_a_renamed_file_is_not_converted_again(world: World) -> None:
    path = world.drop("clip.mp4")
    world.run(until=world.all_done)
    (world.folder / "sub").mkdir()
    path.rename(world.folder / "sub" / "renamed.mp4")
    live_longer(world)
    (record,) = world.records()
    assert record.path == world.folder / "sub" / "renamed.mp4"
    assert (len(world.server.items), list(results(world))) == (1, ["clip.mkv"])


def test_C12_a_file_renamed_on_its_way_comes_home_under_its_new_name(world: World) -> None:
    path = world.drop("clip.mp4")
    world.run(converting=False, until=lambda: bool(world.server.items))
    path.rename(world.folder / "renamed.mp4")
    world.run(700, converting=False)
    world.run(until=world.all_done)
    assert (len(world.server.items), list(results(world))) == (1, ["renamed.mkv"])


def test_copies_in_two_places_each_get_a_result(world: World) -> None:
    world.drop("a/clip.mp4", b"same")
    world.drop("b/clip.mp4", b"same")
    world.drop("a/clip.mov", b"same")
    world.run(120, until=lambda: len(world.stored) == 3 and world.all_done())
    assert sorted(results(world)) == ["a/clip.mkv", "a/clip.mov.mkv", "b/clip.mkv"] or sorted(results(world)) == [
        "a/clip.mkv",
        "a/clip.mp4.mkv",
        "b/clip.mkv",
    ]


def test_C13_a_refused_file_is_parked_with_its_reason_and_the_queue_moves(world: World) -> None:
    world.drop("poison.mp4", b"poison")
    world.server.refusal = TooLarge("the file has more than 5 bytes.", "Send less.")
    world.run(until=world.all_done)
    world.server.refusal = None
    world.drop("fine.mp4", b"fine")
    live_longer(world)
    poison, fine = world.records()
    assert (poison.status, poison.reason, poison.errors[0].code) == ("parked", "the file has more than 5 bytes.", "TooLarge")
    assert fine.status == "acknowledged"


def test_C13_a_parked_file_is_tried_again_when_it_changes_or_somebody_asks(world: World) -> None:
    path = world.drop("poison.mp4", b"poison")
    world.server.refusal = TooLarge("no.")
    world.run(until=world.all_done)
    world.server.refusal = None
    path.write_bytes(b"cured")
    world.run(900, until=lambda: world.statuses() == ["acknowledged"])
    assert list(world.server.originals.values()) == [b"cured"]
    world.server.refusal = TooLarge("no.")
    world.drop("other.mp4", b"other")
    world.run(900, until=lambda: world.statuses() == ["acknowledged", "parked"])
    world.server.refusal = None
    send_again(MemoryOutbox(world.stored), world.records()[1])
    world.run(until=world.all_done)
    assert world.statuses() == ["acknowledged", "acknowledged"]


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


def test_C14_changed_content_is_a_new_version_and_overwrites_nothing(world: World) -> None:
    path = world.drop("clip.mp4", b"first")
    world.run(until=world.all_done)
    path.write_bytes(b"second")
    world.run(900, until=lambda: len(world.stored) == 2 and world.all_done())
    found = results(world)
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
    assert results(world) == {"clip.mkv": b"mine", "clip.mp4.mkv": RESULT + b"moving pictures"}


def test_C14_a_name_that_is_taken_in_the_last_moment_is_left_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.drop("clip.mp4")
    real = world.disk.link

    def somebody_was_faster(source: Path, target: Path) -> None:
        if target.name == "clip.mkv":
            target.write_bytes(b"mine")
        real(source, target)

    monkeypatch.setattr(world.disk, "link", somebody_was_faster)
    world.run(until=world.all_done)
    assert results(world) == {"clip.mkv": b"mine", "clip.mp4.mkv": RESULT + b"moving pictures"}


def test_C15_results_in_the_observed_folder_itself_never_go_round_again(tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    world = World(tmp_path, observed=[ObservedPath(folder, output=folder)])
    world.drop("clip.mkv", b"original")
    world.run(until=world.all_done)
    live_longer(world)
    assert sorted(path.name for path in folder.iterdir()) == ["clip.mkv", "clip.mkv.mkv"]
    (folder / "clip.mkv.mkv").rename(folder / "renamed result.mkv")
    live_longer(world)
    assert len(world.server.items) == 1


def test_C15_results_that_land_in_another_observed_folder_are_not_taken(tmp_path: Path) -> None:
    folder, other = tmp_path / "drop", tmp_path / "other"
    other.mkdir()
    world = World(tmp_path, observed=[ObservedPath(folder, output=other / "deep"), ObservedPath(other)])
    world.drop("clip.mp4")
    world.run(until=world.all_done)
    live_longer(world)
    assert (other / "deep" / "clip.mkv").is_file()
    assert len(world.server.items) == 1


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
    (result,) = results(world)
    assert result == name[: -len(".mp4")] + ".mkv"


def test_C16_names_that_differ_only_by_case_or_composition_are_two_files(world: World) -> None:
    for name in ("Clip.mp4", "clip.mp4", unicodedata.normalize("NFC", "é.mp4"), unicodedata.normalize("NFD", "é.mp4")):
        world.drop(name, name.encode())
    world.run(until=lambda: len(world.stored) == 4 and world.all_done())
    assert len(results(world)) == 4


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


@pytest.mark.parametrize("outcome", [Outcome.KEPT_ORIGINAL, Outcome.SKIPPED])
def test_an_item_without_a_result_is_only_acknowledged(world: World, outcome: Outcome) -> None:
    world.drop("clip.mp4")
    world.run(converting=False, until=lambda: bool(world.server.items))
    world.server.keep(next(iter(world.server.items)), outcome, "it is small already")
    world.run(until=world.all_done)
    (record,) = world.records()
    assert (record.status, record.outcome, record.reason) == ("acknowledged", outcome, "it is small already")


def test_a_server_that_is_off_at_the_start_gets_everything_when_it_is_back(world: World) -> None:
    world.server.down = True
    for number in range(5):
        world.drop(f"clip {number}.mp4", f"content {number}".encode())
    live_longer(world, 3600)
    assert world.statuses() == ["waiting"] * 5
    world.server.down = False
    world.run(120, until=world.all_done)
    assert len(results(world)) == 5


def test_a_server_that_dies_in_the_middle_gets_no_byte_twice(world: World) -> None:
    content = bytes(range(256)) * 4096
    world.server.cut_after = 300_000
    world.drop("clip.mp4", content)
    world.run(until=world.all_done)
    assert world.server.received == len(content)
    assert results(world) == {"clip.mkv": RESULT + content}


def test_a_file_deleted_before_it_was_sent_is_forgotten(world: World) -> None:
    world.server.down = True
    path = world.drop("clip.mp4")
    world.run(until=lambda: bool(world.stored))
    path.unlink()
    world.drop("other.txt")
    world.server.down = False
    world.run(300, until=lambda: not world.stored)
    assert world.server.items == {}


def test_a_file_deleted_after_an_upload_whose_answer_was_lost_still_comes_home(world: World) -> None:
    path = world.drop("clip.mp4")
    world.server.lose_answers = 2  # That of the creation, and that of the end.
    world.run(60, converting=False, until=lambda: bool(world.server.items))
    path.unlink()
    world.drop("other.txt")
    world.run(120, until=world.all_done)
    assert results(world) == {"clip.mkv": RESULT + b"moving pictures"}


def test_C6_a_folder_that_is_away_costs_no_durable_steps(world: World) -> None:
    world.server.down = True
    world.drop("clip.mp4")
    world.run(until=lambda: bool(world.stored))
    world.folder.rename(world.home / "unmounted")
    world.server.down = False
    live_longer(world)
    version = world.records()[0].version
    live_longer(world, 3600)
    assert world.records()[0].version == version


def test_C6_nothing_is_inferred_from_a_root_that_is_away_or_empty(world: World) -> None:
    world.server.down = True
    world.drop("clip.mp4")
    world.run(until=lambda: bool(world.stored))
    world.folder.rename(world.home / "unmounted")
    world.server.down = False
    live_longer(world)
    assert world.statuses() == ["waiting"]
    world.folder.mkdir()
    live_longer(world)
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
    assert results(world) == {"clip.mkv": RESULT + b"second"}


def test_a_file_changed_in_the_middle_of_its_upload_is_taken_back_and_sent_as_it_is(world: World) -> None:
    path = world.drop("clip.mp4", b"1" * 200_000)
    world.server.cut_after = 70_000
    world.run(until=lambda: world.server.received == 70_000)
    path.write_bytes(b"2" * 200_000)
    world.run(900, until=world.all_done)
    assert list(world.server.originals.values()) == [b"2" * 200_000]
    assert world.server.uploads == {}


def test_P2_another_instance_at_the_address_gets_nothing(world: World) -> None:
    world.drop("clip.mp4")
    world.run(until=world.all_done)
    world.server.instance = "another"
    world.drop("secret.mp4", b"secret")
    live_longer(world, 1800)
    assert world.statuses() == ["acknowledged", "waiting"]
    assert len(world.server.items) == 1
    world.server.instance = "instance-of-nas"
    world.run(120, until=world.all_done)


def test_P6_a_new_file_makes_it_ask_at_once(world: World) -> None:
    world.server.down = True
    live_longer(world, 3600)
    world.server.down = False
    world.drop("clip.mp4")
    world.sync.pickup.rescan()
    world.run(5, until=world.all_done)


def test_P6_a_jump_of_the_wall_clock_by_a_day_changes_nothing(world: World) -> None:
    world.drop("clip.mp4")
    world.run(1)
    world.clock.jump(86400)
    world.run(10, until=world.all_done)
    world.clock.jump(-2 * 86400)
    world.drop("other.mp4", b"other")
    world.run(400, until=lambda: len(world.stored) == 2 and world.all_done())


def test_P7_a_refused_token_pauses_the_server_and_parks_nothing(world: World) -> None:
    world.server.refusal = SignInNeeded("the token is not known.")
    world.drop("clip.mp4")
    live_longer(world)
    assert world.statuses() == ["uploading"]
    assert world.sync.standings()["nas"].paused
    world.server.refusal = None
    world.run(600, until=world.all_done)


def test_P7_a_full_server_is_left_alone_for_a_while_and_then_tried_again(world: World) -> None:
    world.server.refusal = DiskFull("no space.")
    world.drop("clip.mp4")
    live_longer(world)
    assert world.statuses() == ["uploading"]
    world.server.refusal = None
    world.run(120, until=world.all_done)


def test_P8_an_item_that_a_restored_server_does_not_know_is_offered_again(world: World) -> None:
    world.drop("clip.mp4")
    world.run(converting=False, until=lambda: world.statuses() == ["to_do"])
    world.server.forget(next(iter(world.server.items)))
    world.run(120, until=world.all_done)
    assert results(world) == {"clip.mkv": RESULT + b"moving pictures"}


def test_P8_a_ledger_that_went_back_makes_everything_unacknowledged_be_looked_at(world: World) -> None:
    """Also a result that waits for somebody to download it: it is gone, so the file is converted again."""
    source = world.home / "clip.mp4"
    source.write_bytes(b"by hand")
    add_file(MemoryOutbox(world.stored), source, conversion_type="h265", clock=world.clock, ids=ItemIds())
    world.run(200)
    assert world.statuses() == ["finished_successful"]
    world.server.items.clear()
    world.server.keys.clear()
    world.server.ledger_seq = 0
    world.run(300, until=lambda: len(world.server.items) == 1)
    world.run(60, until=lambda: world.statuses() == ["finished_successful"])


def test_P9_five_minutes_of_overlap_are_enough(world: World) -> None:
    world.server.down = True
    for number in range(20):
        world.drop(f"{number}.mp4", bytes([number]) * 1000)
    world.run(7 * 24 * 3600, longest=60.0)
    world.server.down = False
    world.run(300)
    assert world.all_done() and len(results(world)) == 20


def test_several_servers_each_get_what_they_are_for_and_keep_it(tmp_path: Path) -> None:
    addresses = [
        ServerAddress("films", "http://films", media_types=frozenset({MediaType.VIDEO})),
        ServerAddress("sounds", "http://sounds", media_types=frozenset({MediaType.AUDIO})),
        ServerAddress("spare", "http://spare", conversion_types=frozenset({"h265"})),
    ]
    world = World(tmp_path, addresses=addresses)
    world.drop("clip.mp4", b"film")
    world.drop("song.flac", b"song")
    world.run(converting=False, until=lambda: world.statuses() == ["to_do", "to_do"])
    assert {record.label: record.server_name for record in world.records()} == {"clip.mp4": "films", "song.flac": "sounds"}
    world.servers["films"].down = True
    world.drop("more.mp4", b"more film")
    world.drop("picture.png", b"picture")
    live_longer(world)
    assert {record.label: (record.server_name, record.status.value) for record in world.records()} == {
        "clip.mp4": ("films", "to_do"),
        "song.flac": ("sounds", "acknowledged"),
        "more.mp4": ("spare", "acknowledged"),
        "picture.png": (None, "waiting"),
    }
    world.servers["films"].down = False
    world.run(120, until=lambda: world.statuses().count("acknowledged") == 3)


def test_a_file_that_brings_the_server_down_is_tried_less_and_less_and_holds_up_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.drop("poison.mp4", b"poison")
    for number in range(5):
        world.drop(f"fine {number}.mp4", b"%d" % number)
    tries: list[float] = []
    real = MemoryTransport.send

    def reset_by_poison(self: MemoryTransport, parcel: Parcel, *rest: Any) -> Any:
        if parcel.label == "poison.mp4":
            tries.append(world.clock.monotonic())
            raise ServerUnreachable("reset by peer")
        return real(self, parcel, *rest)

    monkeypatch.setattr(MemoryTransport, "send", reset_by_poison)
    world.run(600)
    assert sorted(world.statuses()) == ["acknowledged"] * 5 + ["uploading"]
    assert len(tries) < 60


def test_a_record_of_a_server_that_is_not_in_the_settings_any_more_can_be_moved(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World(tmp_path, addresses=[ServerAddress("old", "http://old"), ServerAddress("new", "http://new")])
    world.drop("clip.mp4")
    world.run(converting=False, until=lambda: world.statuses() == ["to_do"])
    world.addresses = world.addresses[1:]
    world.restart()
    live_longer(world)
    assert world.statuses() == ["to_do"]
    assert "server not in the settings" in caplog.text
    moved(MemoryOutbox(world.stored), world.records()[0], "new")
    world.run(60, until=world.all_done)
    assert world.records()[0].server_id == "instance-of-new"


def test_a_file_added_by_a_command_beside_the_running_client_is_sent_and_waits_for_its_download(world: World) -> None:
    world.run(5)
    source = world.home / "elsewhere.mp4"
    source.write_bytes(b"by hand")
    record = add_file(MemoryOutbox(world.stored), source, conversion_type="web", clock=world.clock, ids=ItemIds())
    world.run(20, until=lambda: world.statuses() == ["finished_successful"])
    live_longer(world)
    assert world.stored[record.id].status is OutboxStatus.FINISHED_SUCCESSFUL
    assert world.server.acknowledged == []
    assert world.sync.idle


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
    live_longer(world)
    assert world.stored == {}
    path.rename(world.folder / "clip.mp4")
    live_longer(world)
    assert world.statuses() == ["acknowledged"]


def test_a_change_of_mode_or_time_alone_converts_nothing_again(world: World) -> None:
    path = world.drop("clip.mp4")
    world.run(until=world.all_done)
    os.utime(path, (1, 1))
    live_longer(world)
    assert len(world.stored) == 1 and len(world.server.items) == 1
    version = world.records()[0].version
    live_longer(world)
    assert world.records()[0].version == version


def test_the_wait_between_questions_grows_while_nothing_changes(world: World) -> None:
    world.drop("clip.mp4")
    world.run(converting=False, until=lambda: bool(world.server.items))
    asked = []
    real = type(world.sync.lanes[0].link.transport).progress

    def counted(self: object, ids: list[str]) -> object:
        asked.append(world.clock.monotonic())
        return real(self, ids)  # type: ignore[arg-type]

    type(world.sync.lanes[0].link.transport).progress = counted  # type: ignore[method-assign, assignment]
    try:
        world.run(300, converting=False)
    finally:
        type(world.sync.lanes[0].link.transport).progress = real  # type: ignore[method-assign]
    gaps = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert max(gaps[:2]) < 2
    assert 9 < gaps[-1] < 12


def test_timing_of_a_local_household_is_quick(tmp_path: Path) -> None:
    world = World(tmp_path, timing=Timing(settle_s=0.5))
    world.drop("clip.mp4")
    started = world.clock.monotonic()
    world.run(10, until=world.all_done)
    assert world.clock.monotonic() - started < 3
