"""Kill and power cut after every step of a workload, and again after every step of the recovery: no promise is broken."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from dmc.journal import NEVER, Folding
from tests.crash.simdisk import SimDisk
from tests.crash.story import ALWAYS, House, Promises, Violation, judge, workload


@dataclass
class Moment:
    """A disk right after a step, and what was promised by then."""

    disk: SimDisk
    promises: Promises


def new_disk(data: Path) -> SimDisk:
    disk = SimDisk()
    for folder in (*reversed(data.parents[:-1]), data):
        disk.make_folder(folder)
    disk.settle_all()
    return disk


def moments(disk: SimDisk, promises: Promises, play: Callable[[], None]) -> list[Moment]:
    """Every state that the disk is in while `play` runs."""
    seen = [Moment(disk.after_kill(), promises.copy())]
    disk.on_step = lambda: seen.append(Moment(disk.after_kill(), promises.copy()))
    play()
    disk.on_step = lambda: None
    return seen


def lives(data: Path, folding: Folding, make: Callable[..., House] = House) -> list[Moment]:
    disk, promises = new_disk(data), Promises()
    return moments(disk, promises, lambda: workload(make(data, disk, promises, folding=folding)))


def crashes(moment: Moment, draw: Random | None = None, most: int = 0) -> Iterator[tuple[str, SimDisk]]:
    """What a kill or a power cut may leave of this moment: everything, or the kill and `most` power cuts."""
    yield "killed", moment.disk.after_kill()
    yield from moment.disk.after_power_cuts() if draw is None else moment.disk.some_power_cuts(draw, most)


def recoveries(data: Path, disk: SimDisk, promises: Promises) -> list[Moment]:
    """Every state that the disk is in while a start puts things right."""

    def start() -> None:
        house = House(data, disk, told)
        house.broker.start_up()
        house.control.release()

    told = promises.copy()
    return moments(disk, told, start)


FOLDINGS = {"never": NEVER, "always": ALWAYS}


@pytest.mark.parametrize("folding", FOLDINGS)
def test_no_promise_is_broken_by_one_crash(tmp_path, folding):
    draw, tried = Random(2), 0
    for number, moment in enumerate(lives(tmp_path, FOLDINGS[folding])):
        for how, disk in crashes(moment, draw, 2):
            tried += 1
            with told(f"step {number}, {how}"):
                judge(tmp_path, disk, moment.promises)
    assert tried >= 800


@pytest.mark.parametrize("folding", FOLDINGS)
def test_no_promise_is_broken_by_a_crash_inside_the_recovery(tmp_path, folding):
    draw, tried = Random(3), 0
    first_crashes = [
        (f"step {number}, {how}", disk, moment.promises)
        for number, moment in enumerate(lives(tmp_path, FOLDINGS[folding]))
        for how, disk in crashes(moment, draw, 1)
    ]
    for first, disk, promises in draw.sample(first_crashes, 64):
        for number, moment in enumerate(recoveries(tmp_path, disk, promises)):
            for how, again in crashes(moment, draw, 2):
                tried += 1
                with told(f"{first}; in the recovery step {number}, {how}"):
                    judge(tmp_path, again, moment.promises, to_the_end=tried % 10 == 0)
    print(tried)
    assert tried >= 5000


@pytest.mark.slow
@pytest.mark.parametrize("folding", FOLDINGS)
def test_no_promise_is_broken_by_any_crash_there_is(tmp_path, folding):
    for number, moment in enumerate(lives(tmp_path, FOLDINGS[folding])):
        for how, disk in crashes(moment):
            with told(f"step {number}, {how}"):
                judge(tmp_path, disk, moment.promises)


@contextmanager
def told(how: str) -> Iterator[None]:
    """Say which crash it was that broke something."""
    try:
        yield
    except Exception as problem:
        raise Violation(f"{how}: {type(problem).__name__}: {problem}") from problem
