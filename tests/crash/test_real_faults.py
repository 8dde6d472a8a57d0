"""Faults of a real disk under real processes: a file system that is full, a sync that fails, a process killed inside a system call."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dmc.broker.ledger import Ledger
from dmc.broker.ledger_json import LedgerJson
from dmc.broker.ledger_sqlite import LedgerSqlite
from dmc.files import RealDisk

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

WRITER = """
import sys
from pathlib import Path
from dmc.broker.ledger import Put
from dmc.broker.ledger_json import LedgerJson
from dmc.broker.ledger_sqlite import LedgerSqlite
from dmc.errors import DiskFault, DiskFull
from dmc.files import RealDisk
from dmc.items import ItemIds
from tests.broker.fakes import an_item

data, kind, faults = Path(sys.argv[1]), sys.argv[2], 0
try:
    ledger = LedgerSqlite.open(data) if kind == "sqlite" else LedgerJson.open(data, RealDisk())
    ids = ItemIds(ledger.newest_id())
    for number in range(6):
        item = an_item(ids.next(), original_file_name="x" * 500)
        print("asked", item.item_id, flush=True)
        try:
            ledger.change([Put(item, 0)])
        except DiskFull:
            faults += 1
            continue
        print("answered", item.item_id, flush=True)
    ledger.checkpoint()
except DiskFault:
    try:
        ledger.get("x")
    except DiskFault:
        pass
    except NameError:
        pass  # It could not even be opened.
    else:
        sys.exit("a ledger whose sync failed goes on as if nothing had happened")
    sys.exit(3)
except DiskFull:
    sys.exit(4)
sys.exit(5 if faults else 0)
"""


def strace_works() -> bool:
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-f", "-o", os.devnull, "true"], capture_output=True, check=False).returncode == 0


def open_ledger(data: Path, kind: str) -> Ledger:
    return LedgerSqlite.open(data) if kind == "sqlite" else LedgerJson.open(data, RealDisk())


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


SYNCS = "fsync,fdatasync"
CASES = {
    "json-sync-fails": ("json", SYNCS, "error=EIO:when={}", "", 1, 3),
    "sqlite-sync-fails": ("sqlite", SYNCS, "error=EIO:when={}", "", 1, 3),
    "json-killed-in-a-sync": ("json", SYNCS, "signal=SIGKILL:when={}", "", 1, -9),
    "sqlite-killed-in-a-sync": ("sqlite", SYNCS, "signal=SIGKILL:when={}", "", 1, -9),
    "json-journal-full": ("json", "write", "error=ENOSPC:when={}", "index.journal", 1, 5),
    "sqlite-log-full": ("sqlite", "pwrite64", "error=ENOSPC:when={}+", "index.sqlite-wal", 10, 5),
}
"""Ledger, system calls, what happens to one of them (or to all from there on), on which file only, how far from one
try to the next, and how the process must end at least once."""


@pytest.mark.skipif(not strace_works(), reason="strace is not installed here, or may not trace")
@pytest.mark.parametrize("case", CASES)
def test_a_fault_in_any_one_system_call_loses_nothing_answered(case, tmp_path):
    kind, calls, what, only, stride, must_end = CASES[case]
    ends = []
    for number in range(1, 60 * stride, stride):
        data = tmp_path / str(number)
        data.mkdir()
        paths = ["-P", str(data / only)] if only else []
        tracer = ["strace", "-f", "-qq", "-o", os.devnull, *paths, "-e", f"trace={calls}", "-e", f"inject={calls}:{what.format(number)}"]
        command = [*tracer, sys.executable, "-c", WRITER, str(data), kind]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
        assert done.returncode in (0, 3, 4, 5, -9, 137), done.stderr
        ends.append(-9 if done.returncode == 137 else done.returncode)
        check(data, kind, done.stdout)
        if ends[-3:] == [0, 0, 0]:
            break  # Not at the first: SQLite does not mind a journal of its own that cannot be synced.
    assert ends[-3:] == [0, 0, 0], "there is no end to its system calls"
    assert must_end in ends, ends
    assert len(ends) > 5


def check(data: Path, kind: str, said: str) -> None:
    """Every answered record is there, and none that nobody asked for."""
    words = [line.split() for line in said.splitlines()]
    answered = {item_id for word, item_id in words if word == "answered"}
    asked = {item_id for word, item_id in words if word == "asked"}
    ledger = open_ledger(data, kind)
    found = {item.item_id for item in ledger.select()}
    assert answered <= found <= asked
    assert ledger.verify().findings == ()
    ledger.close()


@pytest.mark.skipif(not strace_works(), reason="strace is not installed here, or may not trace")
@pytest.mark.parametrize("kind", ["json", "sqlite"])
def test_a_change_is_one_sync_to_the_operating_system(kind, tmp_path):
    """Counted from outside: two runs that differ by a hundred changes differ by a hundred syncs."""
    script = """
import sys
from pathlib import Path
from dmc.broker.ledger import Put
from dmc.broker.ledger_json import LedgerJson
from dmc.broker.ledger_sqlite import LedgerSqlite
from dmc.files import RealDisk
from dmc.items import ItemIds
from dmc.journal import NEVER
from tests.broker.fakes import an_item
data, ids = Path(sys.argv[1]), ItemIds()
ledger = LedgerSqlite.open(data) if sys.argv[2] == "sqlite" else LedgerJson.open(data, RealDisk(), folding=NEVER)
ledger.change([Put(an_item(ids.next()), 0)])
for _ in range(int(sys.argv[3])):
    ledger.change([Put(an_item(ids.next()), 0) for _ in range(3)])
import os
os._exit(0)
"""
    counted = []
    for changes in (1, 101):
        data, log = tmp_path / str(changes), tmp_path / f"{changes}.log"
        data.mkdir()
        command = [
            "strace",
            "-f",
            "-qq",
            "-o",
            str(log),
            "-e",
            f"trace={SYNCS}",
            sys.executable,
            "-c",
            script,
            str(data),
            kind,
            str(changes),
        ]
        subprocess.run(command, env=environment(), check=True)
        counted.append(sum("sync(" in line for line in log.read_text().splitlines()))
    assert counted[1] - counted[0] == 100


FULL = """
import hashlib, os, sys
from pathlib import Path
from dmc.broker.admission import Admissions, admit_local
from dmc.broker.broker import Broker, BrokerSettings
from dmc.broker.control import Control
from dmc.broker.ledger_json import LedgerJson
from dmc.broker.ledger_sqlite import LedgerSqlite
from dmc.broker.storage_dirs import StorageDirs
from dmc.broker.threads import ThreadIndex
from dmc.broker.verify import verify
from dmc.broker.wishes import wish
from dmc.clock import ManualClock
from dmc.conversions import MediaType
from dmc.errors import DiskFault, DiskFull, DmcError
from dmc.files import RealDisk, sha512_of
from dmc.items import ItemIds, Status, Wish
from dmc.jobs import ErrorNote, Report, ResultFacts
from dmc.journal import Folding

data, kind, source = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
disk, clock, full = RealDisk(), ManualClock(), {"admit": 0, "convert": 0, "wish": 0, "step": 0, "waits": 0}
storage = StorageDirs(data, disk)
storage.prepare()
always = Folding(eager_s=float("inf"))
reserve = 300_000
floor = 100_000 if kind == "sqlite" else 0  # Its log wants some room to be written back into the database.
if kind == "sqlite":
    ledger = LedgerSqlite.open(data, reserve_bytes=reserve)
else:
    ledger = LedgerJson.open(data, disk, folding=always, reserve_bytes=reserve)

class Copier:
    def __init__(self):
        self.reports = []
    def submit(self, job):
        result = Path(job.out_dir) / "result.bin"
        try:
            result.write_bytes(Path(job.original).read_bytes()[::-1])
            disk.sync_file(result)
        except OSError:
            full["convert"] += 1
            note = ErrorNote(code="DiskFull", message="no room.")
            self.reports.append(Report(item_id=job.item_id, attempt=job.attempt, kind="unavailable", errors=(note,)))
            return
        facts = ResultFacts(file_name=result.name, file_size=result.stat().st_size, sha512_checksum=sha512_of(result))
        self.reports.append(Report(item_id=job.item_id, attempt=job.attempt, kind="converted", result=facts))
    def poll(self):
        reports, self.reports = self.reports, []
        return reports
    def cancel(self, item_id):
        pass
    def free_slots(self):
        return 1 - len(self.reports)
    def close(self):
        pass

def settle():
    quiet = 0
    for _ in range(3000):
        try:
            acted = broker.step()
        except DiskFault:
            raise
        except DmcError:
            full["step"] += 1
            acted = False
        quiet = 0 if acted else quiet + 1
        clock.advance(0 if acted else 700)
        if quiet > 12:
            return

control = Control(data, disk, clock)
broker = Broker(ledger, storage, Copier(), clock, control, ThreadIndex(data, disk, clock), BrokerSettings(disk_floor=floor))
broker.start_up()
spare = data / "spare"
spare.write_bytes(os.urandom(400_000))
ballast = data / "ballast"
ballast.write_bytes(os.urandom(300_000))
admissions, answered, deleted = Admissions(ledger, storage, clock, ItemIds()), {}, set()
for turn in range(4):
    for number in range(200):
        source.write_bytes(os.urandom(150_000 if number % 2 else 3_000))
        try:
            item = admit_local(admissions, source, conversion_type="h265", options={}, media_type=MediaType.VIDEO, floor=0)
        except DiskFull:
            full["admit"] += 1
            if full["admit"] % 5 == 0:
                break
            continue
        answered[item.item_id] = item.sha512_checksum
    try:
        ledger.checkpoint()
    except DiskFull:
        pass
    settle()
    full["waits"] += ledger.counts()[Status.TO_DO] > 0  # The broker saw that there is no room for a result, and began none.
    ballast.unlink(missing_ok=True)  # What an operator does: make some room.
    settle()
    for item in ledger.select(limit=1000)[::2]:
        if item.status.is_finished:
            try:
                wish(ledger, item.item_id, Wish.DELETE)
                deleted.add(item.item_id)
            except DiskFull:
                full["wish"] += 1
    settle()
    if turn < 3 and storage.free_bytes() > 400_000:
        ballast.write_bytes(os.urandom(300_000))
spare.unlink()
control.ask("drain")  # Else what is freed below is converted into at once.
for item in ledger.select(limit=1000):
    if item.status.is_finished and storage.free_bytes() < 500_000:  # A start wants some room.
        wish(ledger, item.item_id, Wish.DELETE)
        deleted.add(item.item_id)
        settle()
for item_id, sha512 in answered.items():
    item = ledger.get(item_id)
    if item_id in deleted:
        continue
    assert item is not None and item.sha512_checksum == sha512, f"{item_id} is lost"
report = verify(ledger, storage, digests=True)
assert report.findings == (), report.findings
assert os.listdir(data / "quarantine") == []
statuses = {str(status): number for status, number in ledger.counts().items()}
assert full["admit"] and full["convert"] + full["step"] + full["waits"], full
assert full["wish"] == 0, full  # What makes room is never refused for lack of it.
assert len(answered) > 20, (len(answered), full)
broker.stop()
ledger.close()
ballast.unlink(missing_ok=True)
again = LedgerSqlite.open(data, reserve_bytes=reserve) if kind == "sqlite" else LedgerJson.open(data, disk, reserve_bytes=reserve)
assert {str(status): number for status, number in again.counts().items()} == statuses
print(len(answered), "answered", full, statuses)
"""


def in_a_tiny_file_system(folder: Path, command: list[str], megabytes: int = 3) -> list[str]:
    """The command inside a mount namespace of its own, with a few megabytes of tmpfs at `folder`."""
    mount = f'mount -t tmpfs -o size={megabytes}m none "$0" && exec "$@"'
    return ["unshare", "-rm", "sh", "-c", mount, str(folder), *command]


def may_mount(folder: Path) -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(in_a_tiny_file_system(folder, ["true"]), capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("kind", ["json", "sqlite"])
def test_a_file_system_that_is_really_full_loses_nothing_and_work_goes_on(kind, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    if not may_mount(data):
        pytest.skip("this machine lets nobody mount a tmpfs, not even in a namespace of its own")
    works = [sys.executable, "-c", FULL, str(data), kind, str(tmp_path / "source.mov")]
    command = in_a_tiny_file_system(data, works, {"json": 3, "sqlite": 4}[kind])  # SQLite's log stays as large as it once was.
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    print(done.stdout)
