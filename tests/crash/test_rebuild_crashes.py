"""A ledger made anew from the folders, and what it holds let go, cut at every step: all of it or nothing, and nothing is begun unasked."""

from pathlib import Path
from random import Random

import pytest

from dmc.broker.ledger_json import LedgerJson
from dmc.broker.rebuild import let_go, rebuild
from dmc.broker.storage_dirs import StorageDirs
from dmc.errors import TornLedger
from dmc.items import Status
from dmc.journal import NEVER
from tests.crash.moments import FOLDINGS, crashes, moments, new_disk, told
from tests.crash.simdisk import SimDisk
from tests.crash.story import House, Promises, Violation

NOW = "2026-01-05T00:00:00.000000Z"
INDEX_FILES = ("index.json", "index.journal", "index.json.prev", "index.journal.prev")


def lived_in(data: Path) -> tuple[SimDisk, str, set[str]]:
    """A disk with one finished item and three that are not; the ids of both."""
    disk = new_disk(data)
    house = House(data, disk, Promises(), folding=NEVER)
    house.broker.start_up()
    done, *alive = [house.add(b"original %d" % number) for number in range(4)]
    house.settle()
    house.convert(done.item_id)
    house.settle()
    house.control.release()
    disk.settle_all()
    return disk, done.item_id, {item.item_id for item in alive}


def made_anew(data: Path, disk: SimDisk) -> None:
    LedgerJson.write_anew(data, disk, rebuild(StorageDirs(data, disk), NOW).items)


def started(data: Path, disk: SimDisk) -> House:
    """A house whose broker has started; where there is no ledger, the operator makes it anew once more."""
    for _ in range(2):
        try:
            house = House(data, disk, Promises())
            house.broker.start_up()
        except TornLedger:
            made_anew(data, disk)
        else:
            return house
    raise Violation("it cannot be made anew")


@pytest.mark.parametrize("loss", ["gone", "rubbish"])
def test_a_rebuild_that_is_cut_can_be_done_again_and_begins_nothing(tmp_path, loss):
    disk, done, alive = lived_in(tmp_path)
    for name in INDEX_FILES:
        if loss == "rubbish":
            disk.write(tmp_path / name, b"rubbish")
        elif disk.stat(tmp_path / name) is not None:
            disk.unlink(tmp_path / name)
    disk.settle_all()
    draw, tried = Random(5), 0
    for number, moment in enumerate(moments(disk, Promises(), lambda: made_anew(tmp_path, disk))):
        for how, image in crashes(moment, draw, 8):
            tried += 1
            with told(f"step {number}, {how}"):
                check_held(started(tmp_path, image), done, alive)
    assert tried > 60


def check_held(house: House, done: str, alive: set[str]) -> None:
    house.settle()
    items = {item.item_id: item for item in house.ledger.select(limit=100)}
    house.control.release()
    if set(items) != {done} | alive or items[done].status is not Status.FINISHED_SUCCESSFUL:
        raise Violation(f"other items than before: {items}")
    if {item_id for item_id, item in items.items() if item.held_since == NOW} != alive:
        raise Violation("not everything that was alive is held")
    if house.workers.submitted:
        raise Violation("something was begun that nobody adopted")
    if house.disk.names(house.data / "quarantine"):
        raise Violation("a folder went to quarantine")


@pytest.mark.parametrize("folding", FOLDINGS)
def test_what_is_held_is_let_go_all_at_once(tmp_path, folding):
    disk, _, alive = lived_in(tmp_path)
    made_anew(tmp_path, disk)
    disk.settle_all()
    ledger = LedgerJson.open(tmp_path, disk, folding=FOLDINGS[folding], reserve_bytes=16)
    lived = moments(disk, Promises(), lambda: let_go(ledger))
    seen = set()
    for number, moment in enumerate(lived):
        for how, image in crashes(moment):
            with told(f"step {number}, {how}"):
                again = LedgerJson.open(tmp_path, image, reserve_bytes=16)
                held = {item.item_id for item in again.select(Status.TO_DO) if item.held_since}
                if held not in (alive, set()):
                    raise Violation(f"half of them are held: {held}")
                seen.add(len(held))
    assert seen == {0, len(alive)}
    assert {item.item_id for item in ledger.select(Status.TO_DO) if not item.held_since} == alive
