"""Real processes under SIGKILL: an uploader, a broker, somebody who cancels, and a reader; nothing answered is lost or doubled."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dmc.broker.ledger import Ledger
from dmc.broker.ledger_json import LedgerJson
from dmc.broker.ledger_sqlite import INDEX_FILE, LedgerSqlite
from dmc.broker.storage_dirs import StorageDirs
from dmc.broker.verify import verify
from dmc.files import RealDisk
from dmc.items import Status

ROOT = Path(__file__).parents[2]
KILLS = 500

HOUSE = """
import hashlib, os, sys, threading, time
from pathlib import Path
from dmc.broker.admission import Admissions, admit_local
from dmc.broker.broker import Broker, BrokerSettings
from dmc.broker.control import Control
from dmc.broker.ledger_json import LedgerJson
from dmc.broker.ledger_sqlite import LedgerSqlite
from dmc.broker.storage_dirs import StorageDirs
from dmc.broker.threads import ThreadIndex
from dmc.broker.wishes import wish
from dmc.clock import SystemClock
from dmc.conversions import MediaType
from dmc.errors import DmcError
from dmc.files import RealDisk, sha512_of
from dmc.items import ItemIds, Status, Wish
from dmc.jobs import Report, ResultFacts
from dmc.journal import Folding

data, role = Path(sys.argv[1]), sys.argv[2]
disk, clock = RealDisk(), SystemClock()
storage = StorageDirs(data, disk)
storage.prepare()
if sys.argv[5] == "sqlite":
    ledger = LedgerSqlite.open(data, recover=role == "broker")
else:
    ledger = LedgerJson.open(data, disk, recover=role == "broker", folding=Folding(eager_s=float(sys.argv[3])))

class Copier:
    def __init__(self):
        self.reports = []
    def submit(self, job):
        result = Path(job.out_dir) / "result.bin"
        result.write_bytes(Path(job.original).read_bytes()[::-1])
        disk.sync_file(result)
        disk.sync_folder(result.parent)
        facts = ResultFacts(file_name=result.name, file_size=result.stat().st_size, sha512_checksum=sha512_of(result))
        self.reports.append(Report(item_id=job.item_id, attempt=job.attempt, kind="converted", result=facts))
    def poll(self):
        reports, self.reports = self.reports, []
        return reports
    def wait(self, timeout_s):
        pass
    def cancel(self, item_id):
        pass
    def freeze(self):
        pass

    def thaw(self):
        pass

    def free_slots(self):
        return 1 - len(self.reports)
    def close(self):
        pass

print("ready", role, flush=True)
if role == "broker":
    threads = ThreadIndex(data, disk, clock)
    broker = Broker(ledger, storage, Copier(), clock, Control(data, disk, clock), threads, BrokerSettings(disk_floor=0))
    broker.start_up()
    broker.run(threading.Event())
elif role == "uploader":
    admissions = Admissions(ledger, storage, clock, ItemIds(ledger.newest_id()))
    source = Path(sys.argv[4])
    while True:
        while ledger.counts()[Status.TO_DO] > 50:
            time.sleep(0.05)  # On a busy machine the broker would never catch up.
        source.write_bytes(os.urandom(2000))
        item = admit_local(admissions, source, conversion_type="h265", options={}, media_type=MediaType.VIDEO, floor=0)
        print(item.item_id, item.sha512_checksum, flush=True)
        time.sleep(0.03)
else:
    while True:
        for item in ledger.select(Status.TO_DO, limit=3):
            try:
                wish(ledger, item.item_id, Wish.CANCEL)
                print(item.item_id, "cancelled", flush=True)
            except DmcError:
                pass
        time.sleep(0.05)
"""


class Crew:
    """The processes, what they have answered, and how often they were killed."""

    def __init__(self, data: Path, source: Path, kind: str) -> None:
        self.data, self.source, self.kind = data, source, kind
        self.answered: list[tuple[str, str]] = []
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.faults: list[str] = []
        self.ready: dict[str, threading.Event] = {}

    def start(self, role: str) -> None:
        eager = random.choice(["0", "0.01", "inf"])
        arguments = [sys.executable, "-c", HOUSE, str(self.data), role, eager, str(self.source), self.kind]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        self.processes[role], self.ready[role] = process, threading.Event()
        threading.Thread(target=self._listen, args=(role, process, self.ready[role]), daemon=True).start()

    def _listen(self, role: str, process: "subprocess.Popen[str]", ready: threading.Event) -> None:
        with process.stdout, process.stderr:
            for line in process.stdout:
                if line.startswith("ready"):
                    ready.set()
                elif line.endswith("\n"):
                    item_id, said = line.split()
                    self.answered.append((item_id, said))
            faults = process.stderr.read()
        if process.wait() != -signal.SIGKILL:
            self.faults.append(f"{role} ended by itself with {process.returncode}: {faults[-2000:]}")

    def kill(self, role: str) -> None:
        process = self.processes[role]
        process.kill()
        process.wait()


def open_ledger(data: Path, kind: str, *, recover: bool) -> Ledger:
    return LedgerSqlite.open(data, recover=recover) if kind == "sqlite" else LedgerJson.open(data, RealDisk(), recover=recover)


def read_rows_all_the_time(data: Path, stop: threading.Event, torn: list[str]) -> None:
    """What a reader of the database sees: counts and records that agree, at every moment."""
    while not stop.wait(0.02):
        if (data / INDEX_FILE).exists():
            try:
                ledger = LedgerSqlite.open(data, recover=False)
                torn += [finding.detail for finding in ledger.verify().findings]
                ledger.close()
            except Exception as problem:
                torn.append(repr(problem))


def read_all_the_time(path: Path, stop: threading.Event, torn: list[str]) -> None:
    """What `cat` and `jq` see: valid JSON at every moment."""
    while not stop.wait(0.002):
        if path.exists():
            try:
                json.loads(path.read_bytes())
            except ValueError as problem:
                torn.append(str(problem))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["json", "sqlite"])
def test_nothing_answered_is_lost_under_five_hundred_kills(tmp_path, kind):
    data = tmp_path / "data"
    data.mkdir()
    crew, stop, torn = Crew(data, tmp_path / "source.mov", kind), threading.Event(), []
    if kind == "json":
        reader = threading.Thread(target=read_all_the_time, args=(data / "index.json", stop, torn))
    else:
        reader = threading.Thread(target=read_rows_all_the_time, args=(data, stop, torn))
    reader.start()
    try:
        for role in ("broker", "uploader", "canceller"):
            crew.start(role)
        for _ in range(KILLS):
            role = random.choice(["broker", "broker", "uploader", "canceller"])
            if random.random() < 0.8:
                crew.ready[role].wait(60)  # Else a busy machine would only see them killed while they start.
            time.sleep(random.uniform(0.0, 0.4))  # The point of the test: killed at any moment.
            crew.kill(role)
            crew.start(role)
        for role in ("uploader", "canceller"):
            crew.kill(role)
        wait_until_done(data, kind)
    finally:
        for role in crew.processes:
            crew.kill(role)
        stop.set()
        reader.join()
    assert (crew.faults, torn) == ([], [])
    check(data, crew.answered, kind)


def wait_until_done(data: Path, kind: str) -> None:
    ledger = open_ledger(data, kind, recover=False)
    for _ in range(6000):
        counts = ledger.counts()
        if not counts[Status.TO_DO] and not counts[Status.IN_PROGRESS]:
            return
        time.sleep(0.05)  # Another process works; there is nothing else to wait for.
    raise AssertionError(f"the queue does not run empty: {counts}")


def check(data: Path, answered: list[tuple[str, str]], kind: str) -> None:
    """Everything that was answered is there, once, with its bytes; every cancel that was answered holds."""
    ledger, storage = open_ledger(data, kind, recover=True), StorageDirs(data, RealDisk())
    uploads = {item_id: said for item_id, said in answered if said != "cancelled"}
    assert len(uploads) > 100
    for item_id, sha512 in uploads.items():
        item = ledger.get(item_id)
        assert item is not None, f"{item_id} was answered and is lost"
        assert item.sha512_checksum == sha512
    for item_id, said in answered:
        if said == "cancelled":
            assert ledger.get(item_id).status is Status.FINISHED_WITH_ERRORS
    assert verify(ledger, storage, digests=True).findings == ()
    assert os.listdir(data / "quarantine") == []
    print(f"{kind}: {len(uploads)} answered uploads, {KILLS} kills")
