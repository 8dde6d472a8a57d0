"""Broker and real worker processes that die, hang, hoard, flood and lie: one end each, tried again a bounded number of times, and the
queue moves on meanwhile."""

import hashlib
import os
import signal
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from dmc.broker.admission import Admissions
from dmc.broker.broker import Broker, BrokerSettings
from dmc.broker.control import Control
from dmc.broker.ledger_json import LedgerJson
from dmc.broker.outcomes import MOST_CRASHES
from dmc.broker.storage import Place
from dmc.broker.storage_dirs import StorageDirs
from dmc.broker.threads import ThreadIndex
from dmc.broker.verify import verify
from dmc.clock import ManualClock
from dmc.conversions import MediaType
from dmc.convert.limits import Limits
from dmc.convert.pool import WorkerPool
from dmc.files import RealDisk
from dmc.items import Item, ItemIds, Status
from dmc.jobs import Job
from tests.convert.rooms import HurriedClock, a_pool

MOST_TRIES = 2
"""Fewer than the broker's own: each is a worker process."""

LIMITS = Limits(memory_bytes=1 << 30, file_size_bytes=8 << 20, stall_s=120.0)

FATES = {
    "kills_itself": ("crashed_repeatedly", MOST_CRASHES),
    "crashes_natively": ("crashed_repeatedly", MOST_CRASHES),
    "sleeps_for_ever": ("crashed_repeatedly", MOST_CRASHES),
    "writes_rubbish": ("crashed_repeatedly", MOST_CRASHES),
    "claims_a_result": ("crashed_repeatedly", MOST_CRASHES),
    "eats_memory": ("TooLarge", 1),
    "grows_a_file": ("TooLarge", 1),
    "refuses": ("NotMedia", 1),
    "finds_the_disk_full": ("DiskFull", MOST_TRIES + 1),
}
"""By engine: the error that an item ends with, and how often it is tried."""


class House:
    """A broker on real folders with real workers. The broker's clock moves only when nothing else can happen."""

    def __init__(self, data: Path, pool: WorkerPool, pool_clock: HurriedClock) -> None:
        self.disk, self.clock, self.pool, self.pool_clock = RealDisk(), ManualClock(), pool, pool_clock
        self.storage = StorageDirs(data, self.disk)
        self.storage.prepare()
        self.ledger = LedgerJson.open(data, self.disk)
        self.admissions = Admissions(self.ledger, self.storage, self.clock, ItemIds())
        self.begun: list[tuple[str, float]] = []
        self.told: list[tuple[int, str, Item]] = []
        self.seen = 0
        self._submit, pool.submit = pool.submit, self.submit
        control, threads = Control(data, self.disk, self.clock), ThreadIndex(data, self.disk, self.clock)
        self.broker = Broker(self.ledger, self.storage, pool, self.clock, control, threads, BrokerSettings(disk_floor=0))
        self.broker.start_up()

    def submit(self, job: Job) -> None:
        self.begun.append((job.item_id, self.clock.monotonic()))
        self._submit(job)

    def add(self, engine: str, number: int) -> Item:
        """An item for which a worker behaves as the engine of that name."""
        content = f"original {engine} {number}".encode()
        item_id, folder = self.admissions.begin()
        (folder / "original.mov").write_bytes(content)
        announced = {"client_id": "laptop", "label": "a.mov", "conversion_type": engine, "options": {}, "idempotency_key": None}
        sha512 = hashlib.sha512(content).hexdigest()
        facts = {"sha512": sha512, "file_size": len(content), "media_type": MediaType.VIDEO, "file_name": "original.mov"}
        return self.admissions.admit(item_id, **announced, **facts)

    def work_until_done(self) -> None:
        for _ in range(20_000):
            acted = self.broker.step()
            self.note()
            running = self.broker._bench.running
            if not acted and not running:
                if all(item.status.is_finished for item in self.ledger.select()):
                    return
                self.clock.advance(700)  # Everything rests.
            if running and all(self.hangs(item) for item in running.values()):
                self.pool_clock.ahead += 2 * LIMITS.stall_s
            self.pool.wait(0.05)
        raise AssertionError(f"it does not end: {self.ledger.counts()}")

    def hangs(self, item: Item) -> bool:
        return item.conversion_type == "sleeps_for_ever" and item.item_id in self.broker._bench._progress

    def note(self) -> None:
        for change in self.ledger.changes_since(self.seen) or ():
            if change.item is not None:
                self.told.append((change.seq, change.item_id, change.item))
            self.seen = change.seq


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr("dmc.broker.workbench.MOST_TRIES", MOST_TRIES)
    clock = HurriedClock()
    with a_pool("chosen", limits=LIMITS, clock=clock) as pool:
        made = House(tmp_path, pool, clock)
        yield made
        made.broker.stop()


def test_every_kind_of_misbehaviour_has_one_end_and_the_queue_moves(house: House) -> None:
    bad = {engine: house.add(engine, 0) for engine in FATES}
    good = [house.add("copies", number) for number in range(4)]
    house.work_until_done()
    begun = Counter(item_id for item_id, _ in house.begun)
    ends = Counter(item_id for _, item_id, item in house.told if item.status.is_finished)
    for engine, item in bad.items():
        code, tries = FATES[engine]
        ended = house.ledger.get(item.item_id)
        assert (ended.status, ended.errors[-1].code) == (Status.FINISHED_WITH_ERRORS, code), engine
        assert (begun[item.item_id], ends[item.item_id]) == (tries, 1), engine
        assert house.storage.place_of(item.item_id) is Place.FINISHED
        assert house.disk.names(house.storage.folder(item.item_id) / "out") == [], engine
    for item in good:
        assert house.ledger.get(item.item_id).status is Status.FINISHED_SUCCESSFUL
        assert (begun[item.item_id], ends[item.item_id]) == (1, 1)
    assert verify(house.ledger, house.storage, digests=True).findings == ()
    check_backoff(house)


def check_backoff(house: House) -> None:
    """Whoever is tried again has rested, and whoever waited behind went first."""
    at: dict[str, list[float]] = {}
    for item_id, when in house.begun:
        at.setdefault(item_id, []).append(when)
    for moments in at.values():
        assert all(later >= earlier + 1.0 for earlier, later in pairwise(moments))
    first_tries = [moments[0] for moments in at.values()]
    assert max(first_tries) == min(first_tries), "all were begun once before any was begun again"


def test_a_worker_killed_from_outside_costs_one_try(house: House) -> None:
    item = house.add("sleeps_for_ever", 1)
    while item.item_id not in house.broker._bench._progress:
        house.broker.step()
        house.pool.wait(0.05)
    out = house.storage.folder(item.item_id) / "out"
    assert house.disk.names(out) == ["half"]
    [worker] = house.pool.workers()
    os.kill(worker.pid, signal.SIGKILL)
    while house.broker._bench.running:
        house.broker.step()
        house.pool.wait(0.05)
    again = house.ledger.get(item.item_id)
    assert (again.status, again.crashes, again.errors[-1].code) == (Status.TO_DO, 1, "WorkerDied")
    assert house.disk.names(house.storage.folder(item.item_id) / "out") == []
