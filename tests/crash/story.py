"""A workload over ledger, storage and broker on a simulated disk, what it was promised, and whether a crash kept the promises.

The invariants are those of the ledger's design: I1 an admitted file is never lost · I2 at most one terminal record per attempt, and
a folder in finished/ only after its line · I3 an answered change never rolls back · I4 an unanswered one is whole or absent ·
I5 no stray file in managed folders · I6 recovery may itself be cut anywhere · I7 bytes are those that were promised.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from dmc.broker.admission import Admissions
from dmc.broker.broker import Broker, BrokerSettings
from dmc.broker.control import Control
from dmc.broker.ledger import Ledger
from dmc.broker.ledger_json import LedgerJson
from dmc.broker.storage import Place
from dmc.broker.storage_dirs import StorageDirs
from dmc.broker.threads import ThreadIndex
from dmc.broker.wishes import acknowledge, wish
from dmc.clock import ManualClock
from dmc.conversions import MediaType
from dmc.files import Disk
from dmc.items import Item, ItemIds, Status, Wish
from dmc.jobs import ErrorNote, ResultFacts
from dmc.journal import Folding
from tests.broker.fakes import Workers
from tests.crash.promises import Promises, Witness
from tests.crash.simdisk import SimDisk

ALWAYS = Folding(eager_s=float("inf"))
ITEM_FILES = {"ticket.json", "outcome.json", "original.mov", "out", "log.txt"}
ROOT_FILES = {
    "index.json", "index.journal", "index.json.prev", "index.journal.prev", "index.lock", "index.reserve",
    "broker.json", "broker.mode", "broker.epoch", "broker.lock", "threads.json",
    "incoming", "to_do", "in_progress", "finished", "quarantine",
}  # fmt: skip


class Violation(AssertionError):
    """An invariant does not hold."""


def sha512(content: bytes) -> str:
    return hashlib.sha512(content).hexdigest()


class House:
    """One process on a disk: ledger, storage, broker, workers."""

    def __init__(self, data: Path, disk: Disk, promises: Promises, *, folding: Folding | None = None, broker_of: type[Broker] = Broker):
        self.data, self.disk, self.promises = data, disk, promises
        self.clock = ManualClock()
        self.control = Control(data, disk, self.clock, lock_wait_s=0.0)
        self.folding = folding
        self.ledger = Witness(self.open_ledger(), promises)
        self.storage = StorageDirs(data, disk)
        self.storage.prepare()
        self.storage.free_bytes = lambda: 1 << 40
        self.workers = Workers(disk, slots=1)
        self.admissions = Admissions(self.ledger, self.storage, self.clock, ItemIds())
        settings = BrokerSettings(disk_floor=0, upload_expiry_s=1e15)
        threads = ThreadIndex(data, disk, self.clock)
        self.broker = broker_of(self.ledger, self.storage, self.workers, self.clock, self.control, threads, settings)

    def open_ledger(self) -> Ledger:
        return LedgerJson.open(self.data, self.disk, folding=self.folding, reserve_bytes=16)

    def add(self, content: bytes) -> Item:
        item_id, folder = self.admissions.begin()
        self.disk.write(folder / "original.mov", content)
        return self.admissions.admit(
            item_id,
            client_id="laptop",
            label="a.mov",
            conversion_type="h265",
            options={},
            sha512=sha512(content),
            file_size=len(content),
            media_type=MediaType.VIDEO,
            idempotency_key=None,
            file_name="original.mov",
        )

    def settle(self) -> None:
        for _ in range(50):
            if not self.broker.step():
                return
            self.clock.advance(700)
        raise Violation("the broker does not come to rest")

    def convert(self, item_id: str) -> None:
        """The worker makes a result, as durable as workers promise to."""
        folder = Path(self.workers.jobs[item_id].out_dir)
        result = b"result of " + item_id.encode()
        self.disk.write(folder / "result.mkv", result)
        self.disk.sync_file(folder / "result.mkv")
        self.disk.sync_folder(folder)
        facts = ResultFacts(file_name="result.mkv", file_size=len(result), sha512_checksum=sha512(result))
        self.workers.end(item_id, "converted", media_type=MediaType.VIDEO, result=facts)


def workload(house: House) -> None:
    """Every kind of change at least once."""
    house.broker.start_up()
    first = house.add(b"first original")
    house.settle()
    second = house.add(b"second original")
    house.convert(first.item_id)
    house.settle()
    third = house.add(b"third original")
    wish(house.ledger, third.item_id, Wish.CANCEL)
    house.workers.end(second.item_id, "failed", errors=(ErrorNote(code="NotMedia", message="no."),))
    house.settle()
    acknowledge(house.ledger, house.clock, first.item_id, sha512(b"result of " + first.item_id.encode()))
    wish(house.ledger, second.item_id, Wish.RETRY)
    house.settle()
    wish(house.ledger, first.item_id, Wish.DELETE)
    house.convert(second.item_id)
    house.settle()
    house.add(b"second original")  # A twin: it takes over the end of the second and shares its bytes, which then lose their first name.
    house.settle()
    wish(house.ledger, second.item_id, Wish.DELETE)
    house.settle()
    fourth = house.add(b"fourth original")
    house.settle()
    house.disk.write(house.storage.folder(fourth.item_id) / "out" / "half.mkv", b"half a res")
    wish(house.ledger, fourth.item_id, Wish.CANCEL)
    house.settle()
    house.add(b"fifth original")
    house.settle()
    house.ledger.checkpoint()
    house.broker.stop()


# --- After a crash -------------------------------------------------------------------------------------------------


def judge(data: Path, disk: SimDisk, promises: Promises, make: Callable[..., House] = House, *, to_the_end: bool = True) -> None:
    """Start again on what a crash has left, and hold everything against the promises; then, if wished, work until nothing is left."""
    told = promises.copy()
    house = make(data, disk, Promises())
    records = {item.item_id: item for item in house.ledger.select(limit=1000)}
    check_records(records, told)
    check_finished(house, records)
    house.broker.start_up()
    try:
        check_house(house, told)
        if not to_the_end:
            return
        drain(house)
        check_house(house, told)
        if left := [item for item in house.ledger.select(limit=1000) if not item.status.is_finished]:
            raise Violation(f"not finished in the end: {[short(item) for item in left]}")
        check_once(house, told)
    finally:
        house.control.release()
    again = house.open_ledger()
    if again.verify().findings or again.select(limit=1000) != house.ledger.select(limit=1000):
        raise Violation("another start finds another ledger")
    again.close()
    house.ledger.close()


def check_records(records: dict[str, Item], told: Promises) -> None:
    """I3 and I4: every record is what was answered, or what was being asked for."""
    for item_id, item in told.answered.items():
        if item_id in told.deleted:
            if item_id in records:
                raise Violation(f"I3: {item_id} was deleted and is back")
        elif item_id not in records and item_id not in told.deleting:
            raise Violation(f"I1: the record of {item_id} is lost")
        elif item_id in records and records[item_id] not in (item, *told.asked.get(item_id, ())):
            raise Violation(f"I3: {item_id} is {short(records[item_id])}, answered was {short(item)}")
    for item_id, record in records.items():
        if item_id not in told.answered and record not in told.asked.get(item_id, ()):
            raise Violation(f"I4: {item_id} is a record that nobody asked for")


def check_finished(house: House, records: dict[str, Item]) -> None:
    """I2: what stands in finished/ has got there after its line."""
    for found in house.storage.places((Place.FINISHED,)):
        item, outcome = records.get(found.item_id), house.storage.read_outcome(found.item_id)
        if item is not None and not item.status.is_finished and (outcome or {"attempt": item.attempt})["attempt"] >= item.attempt:
            raise Violation(f"I2: {found.item_id} is {short(item)}, and its folder stands in finished/")


def short(item: Item) -> str:
    return f"{item.status} (version {item.version}, attempt {item.attempt}, wish {item.wish})"


def check_house(house: House, told: Promises) -> None:
    """I1, I2, I5, I7: folders are where their records say, with the bytes that were promised, and nothing else is there."""
    items = {item.item_id: item for item in house.ledger.select(limit=1000)}
    for item_id in told.answered.keys() - told.deleting - items.keys():
        if all(item.wish is not Wish.DELETE for item in (told.answered[item_id], *told.asked.get(item_id, ()))):
            raise Violation(f"I1: {item_id} is gone")
    for item in items.values():
        check_folder(house, item)
    for found in house.storage.places():
        if found.item_id not in items and found.place is not Place.INCOMING:
            raise Violation(f"I5: a folder without a record in {found.place}")
    if stray := {name for name in house.disk.names(house.data) if name not in ROOT_FILES and not name.startswith("index.json.torn-")}:
        raise Violation(f"I5: stray in the data folder: {stray}")
    if house.disk.names(house.data / "quarantine"):
        raise Violation(f"I5: something went to quarantine: {house.disk.names(house.data / 'quarantine')}")


def check_folder(house: House, item: Item) -> None:
    folder, place = house.storage.folder(item.item_id), house.storage.place_of(item.item_id)
    if item.wish is Wish.DELETE:
        return
    if folder is None:
        raise Violation(f"I1: {item.item_id} ({item.status}) has no folder")
    if (place is Place.FINISHED) != item.status.is_finished:
        raise Violation(f"I2: {item.item_id} is {item.status} and stands in {place}")
    names = set(house.disk.names(folder))
    if names - ITEM_FILES or "ticket.json" not in names:
        raise Violation(f"I5: in the folder of {item.item_id}: {names}")
    if item.status.is_finished and (house.storage.read_outcome(item.item_id) or {}).get("status") != item.status:
        raise Violation(f"I7: outcome.json of {item.item_id} is {house.storage.read_outcome(item.item_id)}")
    if (house.storage.read_ticket(item.item_id) or {}).get("item_id") != item.item_id:
        raise Violation(f"I7: ticket.json of {item.item_id} is {house.storage.read_ticket(item.item_id)}")
    content = house.disk.read(folder / "original.mov")
    if sha512(content) != item.sha512_checksum:
        raise Violation(f"I7: the original of {item.item_id} is {content!r}")
    out = house.disk.names(folder / "out")
    if item.result is not None:
        if sha512(house.disk.read(folder / "out" / item.result.file_name)) != item.result.sha512_checksum:
            raise Violation(f"I7: the result of {item.item_id} is not what was verified")
    elif out and item.status is not Status.IN_PROGRESS:
        raise Violation(f"I5: {item.item_id} ({item.status}) has leftovers in out/: {out}")


def drain(house: House) -> None:
    """Let workers finish everything there is."""
    for _ in range(40):
        house.settle()
        for item_id in list(house.workers.jobs):
            house.convert(item_id)
        if not house.workers.jobs and not house.workers.said:
            return
    raise Violation("the queue does not run empty")


def check_once(house: House, told: Promises) -> None:
    """I2: what was told to be finished was not done again."""
    for job in house.workers.submitted:
        known = told.answered.get(job.item_id)
        if known is not None and known.status.is_finished and known.wish is not Wish.RETRY and known.attempt >= job.attempt:
            raise Violation(f"I2: {job.item_id} was converted again after it was told to be {known.status}")
