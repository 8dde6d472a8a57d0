"""Kill and power cut after every step of going to the trash, coming back, an early end of an original and the end of the trash's days."""

from pathlib import Path
from random import Random

import pytest

from dmc.broker.broker import Broker, BrokerSettings
from dmc.broker.retention import Rules
from dmc.broker.storage import Place
from dmc.broker.threads import ThreadIndex
from dmc.broker.verify import verify
from dmc.broker.wishes import acknowledge, restore, trash
from dmc.items import Item
from tests.crash.moments import FOLDINGS, Known, crashes, moments, new_disk, told
from tests.crash.promises import Promises
from tests.crash.simdisk import SimDisk
from tests.crash.story import House, Violation, check_records, sha512

RULES = Rules(acknowledged_days=30, originals_days=1, trash_days=2)
DAY_S = 86400.0


class Keeping(House):
    """A house with rules for what stays how long."""

    def __init__(self, data: Path, disk: SimDisk, promises: Promises, **how: object) -> None:
        super().__init__(data, disk, promises, **how)
        settings = BrokerSettings(disk_floor=0, upload_expiry_s=1e15, retention=RULES)
        threads = ThreadIndex(data, disk, self.clock)
        self.broker = Broker(self.ledger, self.storage, self.workers, self.clock, self.control, threads, settings)

    def rest(self) -> None:
        for _ in range(50):
            if not self.broker.step():
                return
        raise Violation("the broker does not come to rest")


def done(house: House, content: bytes) -> Item:
    item = house.add(content)
    house.rest()
    house.convert(item.item_id)
    house.rest()
    return house.ledger.get(item.item_id)


def workload(house: Keeping) -> None:
    house.broker.start_up()
    early, back, gone = (done(house, content) for content in (b"one", b"two", b"three"))
    acknowledge(house.ledger, house.clock, early.item_id, early.result.sha512_checksum)
    for item in (back, gone):
        trash(house.ledger, house.clock, item.item_id)
    house.rest()
    restore(house.ledger, back.item_id)
    house.clock.advance(1.5 * DAY_S)
    house.rest()
    if house.ledger.get(early.item_id).gone != "original":
        raise Violation("the original is still there")
    house.clock.advance(DAY_S)
    house.rest()
    if house.ledger.get(gone.item_id) is not None or house.ledger.get(back.item_id) is None:
        raise Violation("the trash did not do what it should")
    house.broker.stop()


def judge(data: Path, disk: SimDisk, promises: Promises) -> None:
    """What was answered holds; after a few days every rule was carried out to its end, and what was given back is whole."""
    known = promises.copy()
    house = Keeping(data, disk, Promises())
    check_records({item.item_id: item for item in house.ledger.select()}, known)
    house.clock.advance(6 * DAY_S)
    house.broker.start_up()
    for _ in range(3):
        house.clock.advance(3700)
        house.rest()
        for item_id in list(house.workers.jobs):
            house.convert(item_id)
    house.rest()
    for item_id in known.answered:
        if house.ledger.get(item_id) is None and house.storage.owner_of_deleted(item_id) is None:
            raise Violation("nobody remembers that it was deleted")
    for item in house.ledger.select():
        folder = house.storage.folder(item.item_id)
        if item.trashed_at is not None:
            raise Violation("the trash's days are over")
        if item.gone is None and sha512(house.disk.read(folder / "original.mov")) != item.sha512_checksum:
            raise Violation("another original")
        if item.gone == "original" and house.disk.stat(folder / "original.mov") is not None:
            raise Violation("an original that was given up is there")
        if sha512(house.disk.read(folder / "out" / item.result.file_name)) != item.result.sha512_checksum:
            raise Violation("another result")
    findings = verify(house.ledger, house.storage, digests=False).findings
    settled = [found for found in house.storage.places() if found.place is not Place.INCOMING]
    if findings or len(settled) != sum(house.ledger.counts().values()):
        raise Violation(f"ledger and folders differ: {findings}")
    house.control.release()


@pytest.mark.parametrize("folding", FOLDINGS)
def test_no_crash_loses_what_was_given_back_or_keeps_what_was_given_up(tmp_path, folding):
    disk, promises, draw, known, tried = new_disk(tmp_path), Promises(), Random(5), Known(), 0
    lived = moments(disk, promises, lambda: workload(Keeping(tmp_path, disk, promises, folding=FOLDINGS[folding])))
    for number, moment in enumerate(lived):
        for how, left in crashes(moment, draw, 1):
            if known(left, moment.promises):
                continue
            tried += 1
            with told(f"step {number}, {how}"):
                judge(tmp_path, left, moment.promises)
    assert tried >= 200
