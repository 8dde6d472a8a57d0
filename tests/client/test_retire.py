"""Records end when nothing is left of what they know, and never while they keep a file from being converted again."""

from dmc.client.retire import EVERY_S
from tests.client.world import World

MONTH_S = 31 * 24 * 3600.0


def later(world: World, seconds: float) -> None:
    """So much time passes while the client is off; then it starts and lives for a while."""
    world.clock.advance(seconds)
    world.restart()
    world.run(5)


def test_a_record_stays_while_its_file_or_its_result_is_there_and_ends_a_month_after_both_are_gone(world: World) -> None:
    path = world.drop("clip.mp4")
    world.drop("other.mp4", b"other")
    world.run(until=lambda: len(world.stored) == 2 and world.all_done())
    later(world, MONTH_S)
    assert len(world.stored) == 2
    path.unlink()
    later(world, EVERY_S)
    assert len(world.stored) == 2
    (world.folder / "converted" / "clip.mkv").unlink()
    later(world, EVERY_S)
    assert [record.label for record in world.records()] == ["other.mp4"]
    assert len(world.server.items) == 2


def test_a_young_record_stays_though_nothing_is_left(world: World) -> None:
    path = world.drop("clip.mp4")
    world.drop("notes.txt")
    world.run(until=world.all_done)
    path.unlink()
    (world.folder / "converted" / "clip.mkv").unlink()
    later(world, EVERY_S)
    assert len(world.stored) == 1


def test_nothing_ends_because_a_folder_is_away(world: World) -> None:
    world.drop("clip.mp4")
    world.run(until=world.all_done)
    world.folder.rename(world.home / "unmounted")
    later(world, MONTH_S)
    world.folder.mkdir()
    (world.folder / "converted").mkdir()
    later(world, MONTH_S)
    assert len(world.stored) == 1


def test_a_client_that_runs_looks_once_a_day(world: World) -> None:
    path = world.drop("clip.mp4")
    world.drop("notes.txt")
    world.run(until=world.all_done)
    path.unlink()
    (world.folder / "converted" / "clip.mkv").unlink()
    world.clock.advance(MONTH_S)
    world.run(10, until=lambda: not world.stored)
