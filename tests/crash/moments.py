"""Moments of a workload, and the crashes that may follow each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from dmc.journal import NEVER, Folding
from tests.crash.simdisk import SimDisk
from tests.crash.story import ALWAYS, House, Promises, Violation, workload

FOLDINGS = {"never": NEVER, "always": ALWAYS}


@dataclass
class Moment:
    """A disk right after a step, and what was promised by then."""

    disk: SimDisk
    promises: Promises

    def is_in_a_line(self, data: Path) -> bool:
        """A line of the journal is being written: a start after a kill reads more of it than a power cut would leave, or a part."""
        return self.disk.has_unsynced(data / "index.journal")


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


class Known:
    """Which crashes were judged already: the same disk with the same promises ends the same way, e.g. killed before and after a sync."""

    def __init__(self) -> None:
        self._promises: list[Promises] = []
        self._seen: set[tuple[int, int]] = set()

    def __call__(self, disk: SimDisk, promises: Promises) -> bool:
        """Asked a second time, it knows this one. Promises are compared with those of the moment before."""
        if self._promises[-1:] != [promises]:
            self._promises.append(promises)
        key = len(self._promises), disk.picture()
        known = key in self._seen
        self._seen.add(key)
        return known


def recoveries(data: Path, disk: SimDisk, promises: Promises) -> list[Moment]:
    """Every state that the disk is in while a start puts things right."""

    def start() -> None:
        house = House(data, disk, told)
        house.broker.start_up()
        house.control.release()

    told = promises.copy()
    return moments(disk, told, start)


@contextmanager
def told(how: str) -> Iterator[None]:
    """Say which crash it was that broke something."""
    try:
        yield
    except Exception as problem:
        raise Violation(f"{how}: {type(problem).__name__}: {problem}") from problem
