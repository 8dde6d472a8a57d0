"""What work with a ledger costs: by the clock, of the processor, in syncs; in this process and in fresh ones."""

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

from ledger_records import finished_item

from dmc.broker.ledger import Ledger, Put
from dmc.files import RealDisk, write_durably
from dmc.items import ItemIds, Status


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
from ledger_records import finished_item
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
