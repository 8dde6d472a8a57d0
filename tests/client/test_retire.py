"""Records end when nothing is left of what they know, and never while they keep a file from being converted again."""

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dmc.client.model import ObservedPath
from dmc.client.records import OutboxRecord, OutboxStatus
from dmc.client.retire import APART_S, EVERY_S, KEPT_S, is_over, missed
from dmc.clock import rfc3339
from tests.client.faults import Fuse, FusedOutbox, Killed
from tests.client.test_marker import Stick
from tests.client.world import World

MONTH_S = 31 * 24 * 3600.0
YEAR_S = 365 * 24 * 3600.0
HOUR_S = 3600.0


def later(world: World, seconds: float) -> None:
    """So much time passes while the client is off; then it starts and lives for a while."""
    world.clock.advance(seconds)
    world.restart()
    world.run(5)


def converted(world: World) -> tuple[Path, Path]:
    """A file and its result at home; something else lies there too, so that the folder is never empty."""
    file = world.drop("clip.mp4")
    world.drop("notes.txt")
    world.run(until=world.all_done)
    return file, world.folder / "converted" / "clip.mkv"


def taken_away(world: World, *places: Path) -> Callable[[], None]:
    """Puts them out of reach; what is returned brings the same files back."""
    away = world.home / "elsewhere"
    away.mkdir(exist_ok=True)
    for place in places:
        place.rename(away / place.name)

    def back() -> None:
        for place in places:
            (away / place.name).rename(place)

    return back


def counted(world: World) -> Fuse:
    """Counts the durable steps of the outbox from the next start on."""
    fuse = Fuse(None, after=False)
    world.wrap_outbox = lambda outbox: FusedOutbox(outbox, fuse)  # type: ignore[assignment, return-value]
    return fuse


# --- How one ends ------------------------------------------------------------------------------------------------------


def test_a_record_stays_while_its_file_or_its_result_is_there_and_ends_a_month_after_both_were_missed(world: World) -> None:
    path = world.drop("clip.mp4")
    world.drop("other.mp4", b"other")
    world.run(until=lambda: len(world.stored) == 2 and world.all_done())
    later(world, MONTH_S)
    path.unlink()
    later(world, MONTH_S)
    later(world, MONTH_S)
    assert [record.missing_since for record in world.records()] == [None, None]
    (world.folder / "converted" / "clip.mkv").unlink()
    later(world, EVERY_S)
    since = world.records()[0].missing_since
    assert since is not None
    later(world, 29 * EVERY_S)
    assert [(record.missing_since, record.missing_again) for record in world.records()] == [(since, None), (None, None)]
    later(world, EVERY_S)
    assert world.records()[0].missing_again is not None
    later(world, EVERY_S)
    assert [record.label for record in world.records()] == ["other.mp4"]
    assert len(world.server.items) == 2


def test_a_client_that_runs_looks_once_a_day(world: World) -> None:
    taken_away(world, *converted(world))
    days = 0
    while world.stored:
        world.run(5)
        world.clock.advance(EVERY_S)
        days += 1
    assert days == 33, "looks on the days 2, 32 and 33: today's was over before they went"


def test_a_record_of_a_client_that_was_long_off_ends_only_by_looks_of_three_days(world: World) -> None:
    taken_away(world, *converted(world))
    later(world, EVERY_S)
    later(world, YEAR_S)
    for _ in range(5):
        later(world, 60)
    assert len(world.stored) == 1
    later(world, EVERY_S)
    assert not world.stored


# --- What keeps one ----------------------------------------------------------------------------------------------------


def test_a_file_that_was_away_for_an_hour_at_the_look_is_not_converted_again(world: World) -> None:
    file, result = converted(world)
    later(world, MONTH_S)
    back = taken_away(world, file, result)
    later(world, EVERY_S)
    assert world.records()[0].missing_since is not None
    world.run(HOUR_S, longest=60)
    back()
    later(world, EVERY_S)
    assert world.records()[0].missing_since is None
    back = taken_away(world, file, result)
    for _ in range(30):
        later(world, EVERY_S)
    assert len(world.stored) == 1, "the month began anew"
    back()
    later(world, EVERY_S)
    world.run(300, longest=10)
    assert (len(world.stored), len(world.server.items)) == (1, 1)


@pytest.mark.parametrize("which", [0, 1], ids=["the file", "the result"])
def test_either_of_both_that_is_back_ends_the_month_also_on_the_last_day(world: World, which: int) -> None:
    places = converted(world)
    taken_away(world, places[1 - which])
    back = taken_away(world, places[which])
    for _ in range(31):
        later(world, EVERY_S)
    assert world.records()[0].missing_again is not None
    back()
    later(world, EVERY_S)
    [record] = world.records()
    assert (record.missing_since, record.missing_again) == (None, None)
    for _ in range(3):
        later(world, MONTH_S)
    assert len(world.stored) == len(world.server.items) == 1


def test_a_dropped_copy_of_a_missing_file_is_known_at_once(world: World) -> None:
    file, result = converted(world)
    back = taken_away(world, result)
    taken_away(world, file)
    later(world, EVERY_S)
    back()
    world.drop("clip.mp4")
    world.run(300, longest=10)
    [record] = world.records()
    assert (record.missing_since, len(world.server.items)) == (None, 1)


def test_a_record_that_is_sent_again_forgets_that_its_result_was_missing(world: World) -> None:
    taken_away(world, *converted(world))
    later(world, EVERY_S)
    [record] = world.records()
    again = record.sent_again()
    assert record.missing_since is not None
    assert again.changed(status=OutboxStatus.ACKNOWLEDGED).missing_since is None


@pytest.mark.parametrize("restarts", [True, False], ids=["with a start", "running"])
def test_a_clock_that_jumps_ahead_by_a_year_does_not_end_it_at_once(world: World, restarts: bool) -> None:
    back = taken_away(world, *converted(world))
    later(world, EVERY_S)
    world.clock.jump(YEAR_S)
    for _ in range(4):
        if restarts:
            world.restart()
        world.run(HOUR_S, longest=60)
    assert len(world.stored) == 1
    back()
    world.run(2 * EVERY_S, longest=HOUR_S)
    assert (len(world.stored), world.records()[0].missing_since, len(world.server.items)) == (1, None, 1)


def test_a_clock_that_is_set_back_begins_the_month_anew(world: World) -> None:
    taken_away(world, *converted(world))
    world.clock.jump(YEAR_S)
    later(world, EVERY_S)
    world.clock.jump(-YEAR_S)
    later(world, EVERY_S)
    assert (world.records()[0].missing_since or "")[:10] == rfc3339(world.clock.now())[:10]
    for _ in range(30):
        later(world, EVERY_S)
    assert len(world.stored) == 1


def test_a_month_that_only_a_wrong_clock_saw_pass_is_taken_back(world: World) -> None:
    taken_away(world, *converted(world))
    later(world, EVERY_S)
    world.clock.jump(YEAR_S)
    later(world, EVERY_S)
    assert world.records()[0].missing_again is not None
    world.clock.jump(-YEAR_S)
    later(world, EVERY_S)
    assert (len(world.stored), world.records()[0].missing_again) == (1, None)


@pytest.mark.parametrize("noted", [True, False], ids=["missed before", "there before"])
def test_nothing_ends_because_a_folder_was_away_for_forty_days(world: World, noted: bool) -> None:
    places = converted(world)
    back = taken_away(world, *places) if noted else lambda: None
    later(world, EVERY_S)
    before = world.records()
    unmounted = world.folder.rename(world.home / "unmounted")
    for _ in range(40):
        later(world, EVERY_S)
    assert world.records() == before
    unmounted.rename(world.folder)
    back()
    for _ in range(3):
        later(world, EVERY_S)
    [record] = world.records()
    assert (record.missing_since, len(world.server.items)) == (None, 1)


def test_nothing_ends_because_another_folder_is_in_its_place(world: World) -> None:
    converted(world)
    world.folder.rename(world.home / "unmounted")
    later(world, MONTH_S)
    world.folder.mkdir()
    (world.folder / "converted").mkdir()
    for _ in range(3):
        later(world, MONTH_S)
    [record] = world.records()
    assert record.missing_since is None


def test_a_folder_that_cannot_be_looked_into_is_not_an_empty_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    file, result = converted(world)
    taken_away(world, result)
    real = os.lstat

    def stutters(path: Path) -> os.stat_result:
        if path == file:
            raise OSError(5, "Input/output error")
        return real(path)

    monkeypatch.setattr("dmc.client.retire.os.lstat", stutters)
    later(world, EVERY_S)
    assert world.records()[0].missing_since is None


# --- What it costs, and when it is cut ---------------------------------------------------------------------------------


def test_a_missing_record_costs_two_lines_and_its_end_however_many_days_it_is_missing(world: World) -> None:
    names = [f"clip {number}.mp4" for number in range(5)]
    for name in names:
        world.drop(name, name.encode())
    world.run(until=lambda: len(world.stored) == len(names) and world.all_done())
    taken_away(world, *(path for path in world.folder.rglob("clip*")))
    fuse = counted(world)
    later(world, EVERY_S)
    assert fuse.steps == 1, "all of them in one line"
    for _ in range(29):
        later(world, EVERY_S)
    assert fuse.steps == 1
    later(world, EVERY_S)
    assert fuse.steps == 2
    later(world, EVERY_S)
    assert (fuse.steps, len(world.stored)) == (2 + len(names), 0)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", [1, 2, 3], ids=["noting", "noting again", "ending"])
def test_killed_at_a_step_it_ends_no_sooner_and_all_the_same(world: World, at: int, after: bool) -> None:
    taken_away(world, *converted(world))
    fuse = Fuse(at, after=after)
    world.wrap_outbox = lambda outbox: FusedOutbox(outbox, fuse)  # type: ignore[assignment, return-value]
    missed_at = world.clock.now()
    while world.stored:
        try:
            later(world, EVERY_S)
        except Killed:
            world.restart()
            world.run(5)
    assert fuse.burnt
    assert timedelta(days=31) < world.clock.now() - missed_at < timedelta(days=34)
    assert len(world.server.items) == 1


def test_no_moment_of_the_clock_ends_a_record_that_was_not_missed_again_before(world: World) -> None:
    converted(world)
    record: OutboxRecord = world.records()[0]
    now = datetime(2026, 6, 1, tzinfo=UTC)
    first = missed(record, now)
    assert first is not None
    for seconds in (-YEAR_S, 0, KEPT_S, KEPT_S + 1, 100 * YEAR_S):
        assert not is_over(first, now + timedelta(seconds=seconds))
    month = now + timedelta(seconds=KEPT_S + 1)
    second = missed(first, month)
    assert second is not None
    assert missed(second, month) is None
    assert [is_over(second, month + timedelta(seconds=seconds)) for seconds in (-1, 0, APART_S - 1, APART_S)] == [False, False, False, True]


@pytest.mark.parametrize("elsewhere", [False, True], ids=["inside", "elsewhere"])
def test_a_record_ends_too_where_the_whole_folder_of_its_result_was_deleted(tmp_path: Path, elsewhere: bool) -> None:
    output = tmp_path / "archive" if elsewhere else None
    world = World(tmp_path, observed=[ObservedPath(tmp_path / "drop", output=output)])
    world.drop("keep.txt")
    file = world.drop("deep/clip.mp4")
    world.run(until=world.all_done)
    if output is not None:
        (output / "other").mkdir()
        later(world, 1)
    file.unlink()
    shutil.rmtree((output or world.folder / "converted") / "deep")
    for _ in range(3):
        later(world, MONTH_S)
    assert world.stored == {}


def test_nothing_ends_because_the_disk_that_results_go_to_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "archive"
    world = World(tmp_path, observed=[ObservedPath(tmp_path / "drop", output=output)])
    world.drop("keep.txt")
    file = world.drop("clip.mp4")
    world.run(until=world.all_done)
    file.unlink()
    Stick(output, monkeypatch).exchange("unplugged")
    for _ in range(3):
        later(world, MONTH_S)
    assert len(world.stored) == 1 and world.records()[0].missing_since is None
