"""A disk that is full at any step, for a while, and a disk that fails to sync at any step: no promise is broken either way."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from dmc.broker.wishes import wish
from dmc.errors import DiskFault, DiskFull
from dmc.files import SyncFailed
from dmc.items import Wish
from dmc.journal_files import JournalFiles
from tests.crash.moments import FOLDINGS, moments, new_disk, told
from tests.crash.simdisk import SimDisk
from tests.crash.story import House, Promises, Violation, drain, judge

SOME = 8
"""Power cuts after a start, where there are 16 to 77 different ones."""

NEEDS_ROOM = {"write", "append", "make-folder", "link", "rename"}


class FullFor:
    """Lets every operation that needs room fail, from the `first` on, `many` times; every second write is a short one."""

    def __init__(self, first: int, many: int) -> None:
        self.first, self.many, self.asked = first, many, 0

    def __call__(self, verb: str, path: Path) -> OSError | None:
        if verb == "short-write":
            return OSError(errno.ENOSPC, "short") if self._is_time() and self.asked % 2 == 0 else None
        if verb not in NEEDS_ROOM:
            return None
        self.asked += 1
        if not self._is_time() or (verb in ("write", "append") and self.asked % 2 == 0):
            return None
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    def _is_time(self) -> bool:
        return self.first <= self.asked < self.first + self.many


class SyncFailsAt:
    """Lets one sync fail, by its number; from then on nothing can be taken back by cutting a file either."""

    def __init__(self, number: int) -> None:
        self.number, self.asked = number, 0

    def __call__(self, verb: str, path: Path) -> OSError | None:
        if verb == "truncate" and self.asked >= self.number:
            return OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        if verb != "sync":
            return None
        self.asked += 1
        return SyncFailed(errno.EIO, os.strerror(errno.EIO), str(path)) if self.asked == self.number else None


def again_while_full(house: House, do: Callable[[], object]) -> object:
    """What somebody does who is told that the disk is full: try again later."""
    for _ in range(60):
        try:
            return do()
        except (DiskFull, OSError) as problem:
            if isinstance(problem, OSError) and problem.errno != errno.ENOSPC:
                raise
            house.clock.advance(5)
    raise Violation("it says that the disk is full for ever")


def stubborn_workload(house: House) -> None:
    """A workload whose every step is tried again while the disk is full."""
    again_while_full(house, house.broker.start_up)
    first = again_while_full(house, lambda: house.add(b"first original"))
    again_while_full(house, house.settle)
    second = again_while_full(house, lambda: house.add(b"second original"))
    again_while_full(house, lambda: drain(house))
    again_while_full(house, lambda: wish(house.ledger, first.item_id, Wish.DELETE))
    third = again_while_full(house, lambda: house.add(b"third original"))
    again_while_full(house, lambda: wish(house.ledger, third.item_id, Wish.CANCEL))
    again_while_full(house, house.settle)
    again_while_full(house, house.ledger.checkpoint)
    assert second is not None


def opened(data: Path, disk: SimDisk, promises: Promises, folding: str) -> House:
    for _ in range(60):
        try:
            return House(data, disk, promises, folding=FOLDINGS[folding])
        except (DiskFull, OSError):
            continue
    raise Violation("it cannot be opened")


@pytest.mark.parametrize("folding", FOLDINGS)
@pytest.mark.parametrize("many", [1, 2, 5, 20])
@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_a_disk_that_is_full_for_a_while_breaks_no_promise(tmp_path, folding, many, step):
    first, over = 0, False
    while not over:
        first += step
        disk, promises, fault = new_disk(tmp_path), Promises(), FullFor(first, many)
        disk.fault = fault
        with told(f"full from step {first} on, {many} times"):
            house = opened(tmp_path, disk, promises, folding)
            try:
                stubborn_workload(house)
            finally:
                house.control.release()
            disk.fault = lambda verb, path: None
            judge(tmp_path, disk.after_kill(), promises)
        over = fault.asked < first
    assert first > 60


@pytest.mark.parametrize("draw", [pytest.param(Random(9), id="some-cuts"), pytest.param(None, id="all-cuts", marks=pytest.mark.slow)])
@pytest.mark.parametrize("folding", FOLDINGS)
def test_a_sync_that_fails_ends_the_process_and_breaks_no_promise(tmp_path, folding, draw):
    number, over = 0, False
    while not over:
        number += 1
        disk, promises, fault = new_disk(tmp_path), Promises(), SyncFailsAt(number)
        disk.fault = fault
        with told(f"sync {number} fails"):
            ends_with_a_fault(tmp_path, disk, promises, folding, fails=lambda fault=fault: fault.asked >= fault.number)
            disk.fault = lambda verb, path: None
            start_and_cut_the_power(tmp_path, disk.after_kill(), promises, draw)
        over = fault.asked < number
    assert number > 40


def ends_with_a_fault(data: Path, disk: SimDisk, promises: Promises, folding: str, fails: Callable[[], bool]) -> None:
    house = None
    try:
        house = House(data, disk, promises, folding=FOLDINGS[folding])
        stubborn_workload(house)
    except (DiskFault, SyncFailed):
        return
    finally:
        if house is not None:
            house.control.release()
    if fails():
        raise Violation("a sync failed and nobody noticed")


def start_and_cut_the_power(data: Path, disk: SimDisk, promises: Promises, draw: Random | None) -> None:
    """The page cache still shows what never reached the disk: a start may trust nothing of it. Some power cuts, or all without a draw."""

    def start() -> None:
        house = House(data, disk, known)
        house.broker.start_up()
        house.control.release()

    known = promises.copy()
    started = moments(disk, known, start)[-1]
    cuts = list(started.disk.after_power_cuts())
    for how, image in cuts if draw is None else draw.sample(cuts, min(len(cuts), SOME)):
        with told(f"started anew, {how}"):
            judge(data, image, started.promises, to_the_end=False)


def test_believing_pages_that_a_failed_sync_marked_clean_would_be_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(JournalFiles, "renew", lambda self, loaded: loaded)
    monkeypatch.setattr(JournalFiles, "replace", lambda self, entries, seq, prev, *, keep_previous=True: self.load())
    draw = Random(9)
    with pytest.raises(Violation):
        for number in range(1, 40):
            disk, promises = new_disk(tmp_path), Promises()
            disk.fault = SyncFailsAt(number)
            with told(f"sync {number} fails"):
                ends_with_a_fault(tmp_path, disk, promises, "never", fails=lambda: False)
                disk.fault = lambda verb, path: None
                start_and_cut_the_power(tmp_path, disk.after_kill(), promises, draw)
