"""C11: the client dies between any two durable steps, starts again, and ends in the same state: one item, one result."""

from pathlib import Path
from typing import Literal

import pytest

from dmc.client.model import ObservedPath, Timing
from tests.client.faults import Fuse, FusedDisk, FusedOutbox, FusedTransport, Killed
from tests.client.world import RESULT, World

CONTENT = b"original bytes"
Originals = Literal["keep", "trash"]


def live(world: World, fuse: Fuse) -> None:
    """Let the client live until the fuse ends it or everything is done."""
    world.disk = FusedDisk(fuse)
    world.wrap_outbox = lambda outbox: FusedOutbox(outbox, fuse)  # type: ignore[assignment, return-value]
    world.wrap_transport = lambda transport: FusedTransport(transport, fuse)  # type: ignore[assignment, return-value]
    try:
        world.restart()
        world.run(300, until=world.all_done)
    except Killed:
        pass


def whole_life(
    home: Path, at: int | None, *, after: bool, originals: Originals = "keep", beside: dict[str, bytes] | None = None
) -> tuple[World, Fuse]:
    home.mkdir()
    world = World(home, timing=Timing(settle_s=0.5), observed=[ObservedPath(home / "drop", originals=originals)])
    world.beside = beside or {}
    world.drop("clip.mp4", CONTENT)
    fuse = Fuse(at, after=after)
    live(world, fuse)
    return world, fuse


def check_end(world: World) -> None:
    assert world.statuses() == ["acknowledged"]
    assert len(world.server.items) == 1
    home = world.folder / "converted"
    beside = {name.replace("result.", "clip."): data for name, data in world.beside.items()}
    assert sorted(path.name for path in home.iterdir()) == sorted(["clip.mkv", *beside])
    assert {name: (home / name).read_bytes() for name in beside} == beside
    assert (world.folder / "converted" / "clip.mkv").read_bytes() == RESULT + CONTENT
    places = [world.folder / "clip.mp4", world.folder / ".originals" / "clip.mp4"]
    here, gone = places if world.observed[0].originals == "keep" else reversed(places)
    assert here.read_bytes() == CONTENT
    assert not gone.exists()


def steps_of_a_life(home: Path, originals: Originals = "keep") -> int:
    world, fuse = whole_life(home, None, after=False, originals=originals)
    check_end(world)
    return fuse.steps


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_C11_killed_at_any_durable_step_it_ends_the_same(tmp_path: Path, after: bool) -> None:
    steps = steps_of_a_life(tmp_path / "whole")
    assert steps > 12
    for at in range(1, steps + 1):
        world, fuse = whole_life(tmp_path / f"cut-{at}", at, after=after)
        assert fuse.burnt, f"step {at} was not reached"
        live(world, Fuse(None, after=False))
        check_end(world)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_C11_C17_killed_at_any_step_the_original_is_in_one_place(tmp_path: Path, after: bool) -> None:
    steps = steps_of_a_life(tmp_path / "whole", "trash")
    for at in range(1, steps + 1):
        world, fuse = whole_life(tmp_path / f"cut-{at}", at, after=after, originals="trash")
        assert fuse.burnt, f"step {at} was not reached"
        live(world, Fuse(None, after=False))
        check_end(world)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("lost", [False, True], ids=["outbox kept", "outbox lost"])
def test_C11_killed_between_result_and_sidecars_all_come_home_once(tmp_path: Path, after: bool, lost: bool) -> None:
    beside = {"result.2.ttf": b"a font", "result.3.mks": b"subtitles"}
    world, whole = whole_life(tmp_path / "whole", None, after=False, beside=beside)
    check_end(world)
    for at in range(1, whole.steps + 1):
        world, fuse = whole_life(tmp_path / f"cut-{at}", at, after=after, beside=beside)
        assert fuse.burnt, f"step {at} was not reached"
        if lost:
            world.stored.clear()
        live(world, Fuse(None, after=False))
        for part in (world.folder / "converted").glob(".dmc-*") if lost else ():
            part.unlink()  # What a fetch left that nobody remembers; it is swept when it is old.
        check_end(world)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_C11_killed_twice_it_ends_the_same(tmp_path: Path, after: bool) -> None:
    steps = steps_of_a_life(tmp_path / "whole")
    for at in range(1, steps + 1, 2):
        for second in (1, 2, 3, 5):
            world, _ = whole_life(tmp_path / f"cut-{at}-{second}", at, after=after)
            live(world, Fuse(second, after=not after))
            live(world, Fuse(None, after=False))
            check_end(world)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_C12_killed_at_any_step_and_the_outbox_lost_there_is_no_second_conversion(tmp_path: Path, after: bool) -> None:
    steps = steps_of_a_life(tmp_path / "whole")
    for at in range(1, steps + 1):
        world, _ = whole_life(tmp_path / f"cut-{at}", at, after=after)
        world.stored.clear()
        live(world, Fuse(None, after=False))
        for part in (world.folder / "converted").glob(".dmc-*"):
            part.unlink()  # What a fetch left that nobody remembers; it is swept when it is old.
        check_end(world)
        assert world.server.received == len(CONTENT)
