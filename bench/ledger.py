"""What one change of the ledger costs, by number of items: JSON with its journal, SQLite, and rewriting the whole file, side by side.

    python bench/ledger.py [--items 1000,10000,100000] [--sqlite 1000,100000,1000000] [--changes 300] [--folder FOLDER]

`cpu` columns are milliseconds of the processor for the same work: they hold on a busy machine too, where the others tell of its load.
Times of a change are medians of many, with folding off; "own" leaves the time inside fsync out (SQLite: the same with its syncs switched
off). `syncs` are counted from outside, by strace, as the difference of two processes; without strace at the Disk seam. `rewrite` does what
a naive ledger does: the whole file to a temporary name, fsync, rename, fsync of the folder. `restart ms` is from opening the JSON ledger of
a data folder with so many finished items to the first job handed to an executor. `list ms` is a page of `dmc broker list` with a thousand
changes that are not folded yet.
"""

import argparse
import hashlib
import json
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dmc.broker.admission import Admissions
from dmc.broker.broker import Broker, BrokerSettings
from dmc.broker.control import Control
from dmc.broker.ledger import Ledger, Put
from dmc.broker.ledger_json import LedgerJson
from dmc.broker.ledger_sqlite import LedgerSqlite
from dmc.broker.recovery import every
from dmc.broker.storage_dirs import StorageDirs
from dmc.broker.threads import ThreadIndex
from dmc.clock import SystemClock
from dmc.conversions import MediaType
from dmc.files import RealDisk, write_durably
from dmc.items import Item, ItemIds, Outcome, Status
from dmc.jobs import Job, Report, ResultFacts
from dmc.journal import NEVER

BATCH = 1000


class TimedDisk(RealDisk):
    """Counts syncs and the seconds spent in them."""

    def __init__(self) -> None:
        self.syncs = 0
        self.sync_s = 0.0

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.sync_s += time.perf_counter() - started
        self.syncs += 1

    def append_synced(self, path: Path, data: bytes) -> None:
        with path.open("ab", buffering=0) as file:
            file.write(data)
        self.sync_file(path)

    def sync_file(self, path: Path) -> None:
        with self._timed():
            super().sync_file(path)

    def sync_folder(self, path: Path) -> None:
        with self._timed():
            super().sync_folder(path)


def digest_of(number: int) -> str:
    return hashlib.sha512(str(number).encode()).hexdigest()


def finished_item(item_id: str, number: int) -> Item:
    """A record as most are: finished, with a result."""
    return Item(
        item_id=item_id,
        version=3,
        status=Status.FINISHED_SUCCESSFUL,
        created_at="2026-01-01T00:00:00.000000Z",
        client_id=f"client-{number % 7}",
        conversion_type="h265",
        original_file_name=f"IMG_{number:06}.MOV",
        current_file_name="original.mov",
        file_size=123_456_789,
        sha512_checksum=digest_of(number),
        media_type=MediaType.VIDEO,
        outcome=Outcome.CONVERTED,
        result=ResultFacts(file_name="result.mkv", file_size=45_678_901, sha512_checksum=digest_of(-number)),
        started_at="2026-01-01T00:00:01.000000Z",
        finished_at="2026-01-01T00:10:00.000000Z",
        acknowledged_at="2026-01-01T00:11:00.000000Z",
    )


def fill(folder: Path, items: int) -> None:
    """Write an index of so many finished items, as a fold would leave it."""
    ids = ItemIds()
    records = {}
    for number in range(items):
        item = finished_item(ids.next(), number)
        records[item.item_id] = item.model_dump(mode="json", exclude_none=True)
    document = {"schema": 1, "seq": items, **{status.value: {} for status in Status}}
    document[Status.FINISHED_SUCCESSFUL.value] = records
    (folder / "index.json").write_text(json.dumps(document))
    with_journal = LedgerJson.open(folder, RealDisk())
    with_journal.change(
        [Put(finished_item(ids.next(), items).model_copy(update={"version": 1, "status": Status.TO_DO, "result": None}), 0)]
    )
    with_journal.checkpoint()


@dataclass(frozen=True)
class Cost:
    """Milliseconds by the clock and of the processor."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class ChangeCost:
    """Medians in milliseconds of a change and of its share outside fsync, its processor time, and syncs per change."""

    whole: float
    own: float
    cpu: float
    syncs: float


def timed_changes(ledger: Ledger, disk: TimedDisk, changes: int) -> ChangeCost:
    """What so many changes cost: additions and claims in turn."""
    whole, own, cpu, ids = [], [], [], ItemIds(ledger.newest_id())
    before = disk.syncs
    for number in range(changes // 2):
        item = finished_item(ids.next(), number).model_copy(update={"status": Status.TO_DO, "version": 1, "result": None, "outcome": None})
        for op in (Put(item, 0), Put(item.changed(status=Status.IN_PROGRESS), 1)):
            started, worked, synced = time.perf_counter(), time.process_time(), disk.sync_s
            ledger.change([op])
            took = time.perf_counter() - started
            whole.append(took)
            own.append(took - (disk.sync_s - synced))
            cpu.append(time.process_time() - worked)
    medians = [statistics.median(values) * 1e3 for values in (whole, own, cpu)]
    return ChangeCost(*medians, (disk.syncs - before) / len(whole))


def timed_rewrites(folder: Path, times: int) -> float:
    """Median milliseconds of rewriting the whole index."""
    path, disk, took = folder / "naive.json", RealDisk(), []
    document = json.loads((folder / "index.json").read_text())
    for number in range(times):
        document["seq"] = number
        started = time.perf_counter()
        write_durably(disk, path, json.dumps(document).encode())
        took.append(time.perf_counter() - started)
    return statistics.median(took) * 1e3


def timed(do: Callable[[], object]) -> Cost:
    """What one call costs."""
    started, worked = time.perf_counter(), time.process_time()
    do()
    return Cost((time.perf_counter() - started) * 1e3, (time.process_time() - worked) * 1e3)


OPENING = """
import re, sys, time
from pathlib import Path
from dmc.broker.ledger_json import LedgerJson
from dmc.files import RealDisk

def anonymous_kib():
    return int(re.search(r"RssAnon:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])

before = anonymous_kib()
started, worked = time.perf_counter(), time.process_time()
ledger = LedgerJson.open(Path(sys.argv[1]), RealDisk())
print((time.perf_counter() - started) * 1e3, (time.process_time() - worked) * 1e3, (anonymous_kib() - before) / 1024)
"""


def opening(folder: Path) -> tuple[Cost, float]:
    """What it costs to open the ledger in a fresh process, and the MiB of anonymous memory it takes."""
    said = subprocess.run([sys.executable, "-c", OPENING, str(folder)], capture_output=True, text=True, check=True)
    wall, cpu, grown = map(float, said.stdout.split())
    return Cost(wall, cpu), grown


COUNTING = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from ledger import finished_item
from dmc.broker.ledger import Put
from dmc.broker.ledger_json import LedgerJson
from dmc.broker.ledger_sqlite import LedgerSqlite
from dmc.files import RealDisk
from dmc.items import ItemIds, Status
from dmc.journal import NEVER

data, kind, changes = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
ledger = LedgerSqlite.open(data) if kind == "sqlite" else LedgerJson.open(data, RealDisk(), folding=NEVER)
ids = ItemIds(ledger.newest_id())
new = {"status": Status.TO_DO, "version": 1, "result": None, "outcome": None}
for number in range(changes):
    ledger.change([Put(finished_item(ids.next(), number).model_copy(update=new), 0)])
os._exit(0)
"""


def counted_syncs(folder: Path, kind: str) -> float:
    """Syncs per change as the operating system sees them; not a number where there is no strace."""
    if shutil.which("strace") is None:
        return math.nan
    counts = []
    for changes in (1, 1, 101):  # The first leaves the files as the others do.
        with tempfile.NamedTemporaryFile() as log:
            tracer = ["strace", "-f", "-qq", "-o", log.name, "-e", "trace=fsync,fdatasync"]
            here = str(Path(__file__).parent)
            subprocess.run([*tracer, sys.executable, "-c", COUNTING, str(folder), kind, str(changes), here], check=True)
            counts.append(sum(b"sync(" in line for line in log))
    return (counts[2] - counts[1]) / 100


def measure_sqlite(folder: Path, items: int, changes: int) -> dict[str, float]:
    """One row of the table of SQLite."""
    ids = ItemIds()
    made = LedgerSqlite.open(folder)
    filling = timed(lambda: made.write_anew(finished_item(ids.next(), number) for number in range(items)))
    made.close()
    opened: list[LedgerSqlite] = []
    opening = timed(lambda: opened.append(LedgerSqlite.open(folder)))
    (ledger,) = opened
    change = timed_changes(ledger, TimedDisk(), changes)
    page = timed(lambda: (ledger.select(limit=200), ledger.counts()))
    ledger._writer.execute("PRAGMA synchronous = OFF")
    unsynced = timed_changes(ledger, TimedDisk(), changes)
    ledger.close()
    return {
        "items": items,
        "change ms": change.whole,
        "own ms": unsynced.whole,
        "own cpu": unsynced.cpu,
        "syncs": counted_syncs(folder, "sqlite"),
        "open ms": opening.wall,
        "open cpu": opening.cpu,
        "list ms": page.wall,
        "all written anew s": filling.wall / 1e3,
    }


class NotedJobs:
    """An executor that only notes what it is given."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def poll(self) -> list[Report]:
        return []

    def cancel(self, item_id: str) -> None:
        """Nothing runs."""

    def freeze(self) -> None:
        pass

    def thaw(self) -> None:
        pass

    def free_slots(self) -> int:
        return 1 - len(self.jobs)

    def close(self) -> None:
        """Nothing runs."""


def restart(data: Path) -> Cost:
    """What it costs from opening the ledger to the first job, with a folder for each finished item and one item to do."""
    disk, clock, executor = RealDisk(), SystemClock(), NotedJobs()
    storage = StorageDirs(data, disk)
    storage.prepare()
    with_folders = LedgerJson.open(data, disk)
    for item in every(with_folders, Status.FINISHED_SUCCESSFUL):
        (data / "finished" / item.item_id).mkdir()
    for item in [*every(with_folders, Status.TO_DO), *every(with_folders, Status.IN_PROGRESS)]:
        with_folders.change([Put(item.changed(status=Status.FINISHED_WITH_ERRORS), item.version)])
    admissions = Admissions(with_folders, storage, clock, ItemIds(with_folders.newest_id()))
    item_id, folder = admissions.begin()
    (folder / "original.mov").write_bytes(b"film")
    announced = {"client_id": "c", "label": "a.mov", "conversion_type": "h265", "options": {}, "idempotency_key": None}
    admissions.admit(item_id, **announced, sha512="ab" * 64, file_size=4, media_type=MediaType.VIDEO, file_name="original.mov")

    def begin() -> None:
        ledger, control = LedgerJson.open(data, disk), Control(data, disk, clock)
        threads = ThreadIndex(data, disk, clock)
        broker = Broker(ledger, StorageDirs(data, disk), executor, clock, control, threads, BrokerSettings(disk_floor=0))
        broker.start_up()
        while not executor.jobs:
            broker.step()
        control.release()

    return timed(begin)


def new_items(ledger: Ledger) -> list[Put]:
    """A thousand additions."""
    ids, new = ItemIds(ledger.newest_id()), {"status": Status.TO_DO, "version": 1}
    return [Put(finished_item(ids.next(), number).model_copy(update=new), 0) for number in range(BATCH)]


def measure(folder: Path, items: int, changes: int) -> dict[str, float]:
    """One row of the table."""
    fill(folder, items)
    opened, open_mib = opening(folder)
    disk = TimedDisk()
    ledger = LedgerJson.open(folder, disk, folding=NEVER)
    change = timed_changes(ledger, disk, changes)
    batch, before = new_items(ledger), disk.syncs
    batched = timed(lambda: ledger.change(batch))
    batch_syncs = disk.syncs - before
    fold = timed(ledger.checkpoint)
    ledger.change(new_items(ledger))
    page = timed(lambda: LedgerJson.glance(folder, RealDisk()) or sys.exit("the glance says nothing"))
    syncs = counted_syncs(folder, "json")
    rewrite_ms = timed_rewrites(folder, 5 if items > 20_000 else 30)
    again = restart(folder)
    return {
        "items": items,
        "change ms": change.whole,
        "own ms": change.own,
        "own cpu": change.cpu,
        "syncs": change.syncs if math.isnan(syncs) else syncs,
        "rewrite ms": rewrite_ms,
        "batch of 1000 ms": batched.wall,
        "its syncs": batch_syncs,
        "open ms": opened.wall,
        "open cpu": opened.cpu,
        "open MiB": open_mib,
        "fold ms": fold.wall,
        "fold cpu": fold.cpu,
        "list ms": page.wall,
        "restart ms": again.wall,
        "restart cpu": again.cpu,
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--items", default="1000,10000,100000")
    arguments.add_argument("--changes", type=int, default=300, help="how many changes are timed at each size")
    arguments.add_argument("--folder", type=Path, default=None, help="where to write; default: a temporary folder")
    arguments.add_argument("--sqlite", default="1000,100000,1000000", help="sizes for SQLite")
    chosen = arguments.parse_args()
    for name, measured, sizes in (("JSON", measure, chosen.items), ("SQLite", measure_sqlite, chosen.sqlite)):
        rows = []
        for items in map(int, filter(None, sizes.split(","))):
            with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
                rows.append(measured(Path(folder), items, chosen.changes))
        if rows:
            print(f"\n{name}\n")
            show(rows)


def show(rows: list[dict[str, float]]) -> None:
    """A table, and how the cost of a change grows from the first row to the last."""
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + "---:|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(f"{value:.0f}" if value == int(value) else f"{value:.2f}" for value in row.values()) + " |")
    first, last = rows[0], rows[-1]
    print(f"\nchange, {last['items']} against {first['items']} items: x{last['own cpu'] / first['own cpu']:.2f} of its processor time")


if __name__ == "__main__":
    main()
