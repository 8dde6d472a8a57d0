"""A month in a few seconds: a thousand items, a fifth of the tries crash, people fetch, delete and undo, the disk fills and empties, nights
are quiet; and at the end of each day everything that could grow is within its bounds."""

from datetime import time
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from dmc.broker.admission import Admissions
from dmc.broker.ledger_json import LedgerJson
from dmc.broker.retention import Rules
from dmc.broker.storage import Place
from dmc.broker.verify import verify
from dmc.broker.wishes import acknowledge, restore, trash
from dmc.files import TEMP_PREFIX
from dmc.items import Item, Status, Wish
from dmc.jobs import ErrorNote
from dmc.journal import Folding
from dmc.quiet_hours import QuietHours, parse_window
from tests.broker.fakes import House

DAYS = 30
A_DAY = 34
RULES = Rules(acknowledged_days=3, originals_days=1, unacknowledged_days=6, trash_days=2)
LONGEST_DAYS = 7
"""The longest that anything may stay by these rules, and the hours in which it is looked for."""
ITEM_BYTES = 2_000
INDEX_BYTES = 2 * (A_DAY * (LONGEST_DAYS + 1) * 1_500 + 120_000)
"""Index and journal, and those before them."""
FULL_DAYS = {10, 11, 20}


class Month:
    """The house, its people, and what they have seen."""

    def __init__(self, tmp_path: Path) -> None:
        hours = QuietHours([parse_window("22:00-06:00", "finish")], ZoneInfo("UTC"))
        self.house = house = House(tmp_path, slots=2, retention=RULES, quiet_hours=hours)
        house.ledger = LedgerJson.open(tmp_path, house.disk, folding=Folding(eager_s=0.0, least_bytes=50_000), reserve_bytes=16)
        house.admissions = Admissions(house.ledger, house.storage, house.clock, house.ids)
        house.broker = house.new_broker()
        house.broker.start_up()
        self.draw = Random(7)
        self.added = self.crashed = self.undone = self.in_quiet = 0
        self.reasons: set[str] = set()
        self.ended: set[str] = set()

    def work(self) -> None:
        """Workers end all they have and get more, until nothing more is begun."""
        house = self.house
        for _ in range(400):
            house.settle()
            if not house.workers.jobs:
                break
            for item_id, job in list(house.workers.jobs.items()):
                house.disk.write(Path(job.log_file), b"a line\n" * 20)
                self.end(item_id)
            house.clock.advance(20)
        told = house.control.waiting()
        if told is not None:
            self.reasons.add(told["code"])

    def end(self, item_id: str) -> None:
        if self.draw.random() < 0.2:
            self.crashed += 1
            folder = Path(self.house.workers.jobs[item_id].out_dir)
            self.house.disk.write(folder / f"{TEMP_PREFIX}half", b"half a result")
            self.house.workers.end(item_id, "crashed", errors=(ErrorNote(code="WorkerDied", message="it died."),))
        else:
            self.house.workers.convert(item_id)

    def people(self) -> None:
        """Most fetch what is done, some delete it, and half of those think better of it."""
        for status in (Status.FINISHED_SUCCESSFUL, Status.FINISHED_WITH_ERRORS):
            for item in self.house.ledger.select(status, limit=10_000):
                if item.item_id not in self.ended and item.wish is None and item.trashed_at is None:
                    self.ended.add(item.item_id)
                    self.deal_with(item)

    def deal_with(self, item: Item) -> None:
        chance = self.draw.random()
        if chance < 0.7:
            digest = item.result.sha512_checksum if item.result else item.sha512_checksum
            acknowledge(self.house.ledger, self.house.clock, item.item_id, digest)
        elif chance < 0.9:
            trash(self.house.ledger, self.house.clock, item.item_id)
            if chance < 0.8:
                restore(self.house.ledger, item.item_id)
                self.undone += 1

    def day(self, number: int) -> None:
        house = self.house
        house.storage.free = 999 if number in FULL_DAYS else 1 << 40
        for hour in range(24):
            quiet = house.clock.now().time() < time(6) or house.clock.now().time() >= time(22)
            begun = len(house.workers.submitted)
            for _ in range(A_DAY // 2 if hour in (3, 12) else 0):
                house.add(content=bytes(200))
                self.added += 1
            self.work()
            if (quiet or number in FULL_DAYS) and len(house.workers.submitted) > begun:
                self.in_quiet += 1
            if hour == 18:
                self.people()
            house.clock.advance(3600 - house.clock.now().timestamp() % 3600)
            house.settle()
        self.look(number)

    def look(self, number: int) -> None:
        """The bounds, at the end of a day."""
        house = self.house
        records, folders = house.ledger.select(limit=10_000), house.storage.places()
        assert len(records) == len(folders) <= A_DAY * (LONGEST_DAYS + 1), number
        assert size(house, house.storage._data) <= 20_000 + len(records) * ITEM_BYTES, number
        assert size(house, house.data) <= INDEX_BYTES, number
        assert house.disk.stat(house.data / "index.journal").st_size <= 120_000, number
        assert house.disk.names(house.storage._data / "quarantine") == []
        trashed = [item for item in records if item.trashed_at is not None]
        assert len(trashed) <= A_DAY * (RULES.trash_days + 1), number
        if number in FULL_DAYS:
            assert trashed == [], "the trash makes room"
        assert all(item.wish is not Wish.DELETE for item in records), "a deletion is done within the hour"


def size(house: House, folder: Path) -> int:
    """Bytes below a folder."""
    total = 0
    for name in house.disk.names(folder):
        found = house.disk.stat(folder / name)
        total += size(house, folder / name) if found.st_mode & 0o040000 else found.st_size
    return total


def temps(house: House, folder: Path) -> list[str]:
    found = []
    for name in house.disk.names(folder):
        if name.startswith(TEMP_PREFIX):
            found.append(str(folder / name))
        elif house.disk.stat(folder / name).st_mode & 0o040000:
            found += temps(house, folder / name)
    return found


def test_a_month_stays_within_bounds_and_leaves_no_temp_when_idle(tmp_path: Path) -> None:
    month = Month(tmp_path)
    house = month.house
    for number in range(DAYS):
        month.day(number)
    assert (month.added, month.in_quiet) == (DAYS * A_DAY, 0)
    assert month.crashed > 150
    assert month.undone > 20
    assert {"quiet-hours", "disk-floor"} <= month.reasons
    for _ in range(24):
        house.clock.advance(3600)
        month.work()
    assert len(month.ended) > 900
    assert house.ledger.counts()[Status.TO_DO] == house.ledger.counts()[Status.IN_PROGRESS] == 0
    assert temps(house, house.data) == temps(house, house.storage._data) == []
    assert {found.place for found in house.storage.places()} == {Place.FINISHED}
    assert verify(house.ledger, house.storage, digests=False).findings == ()
    month.people()
    house.clock.advance((LONGEST_DAYS + 1) * 86400)
    for _ in range(4):
        house.settle()
        house.clock.advance(3700)
    assert sum(house.ledger.counts().values()) == len(house.storage.places()) == 0, "in the end nothing is left"
    house.broker.stop()
