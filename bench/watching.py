"""The client in front of folders: how fast a drop is taken, what a first scan costs, and what it does when there is nothing to do.

Used by transfer.py. The client runs as a process of its own, with its watcher and its outbox on disk, and knows no server.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dmc.client.outbox_journal import JournalOutbox
from dmc.files import RealDisk

SETTLE_S = 2.0
PER_FOLDER = 1000
IDLE_S = 30.0
RESCAN_S = 300.0

CLIENT = """
import sys, threading
from pathlib import Path
from dmc.client.crew import ThreadCrew
from dmc.client.model import ObservedPath, Timing
from dmc.client.outbox_journal import JournalOutbox
from dmc.client.sync import Sync
from dmc.client.watch import Watcher
from dmc.clock import SystemClock
from dmc.files import RealDisk
home, clock = Path(sys.argv[1]), SystemClock()
outbox = JournalOutbox.open(home / "state/outbox.json", RealDisk())
Sync(state=home / "state", observed=[ObservedPath(home / "drop")], servers=[], outbox=outbox, disk=RealDisk(), clock=clock,
     crew=ThreadCrew(), watcher=Watcher(clock),
     timing=Timing(settle_s=float(sys.argv[2]), rescan_s=float(sys.argv[3]))).run(threading.Event())
"""
WALK = """
import resource, sys, time
from pathlib import Path
from dmc.client.ignore import IgnoreRules
from dmc.client.scan import walk
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began, count = time.perf_counter(), 0
for _ in walk(Path(sys.argv[1]), IgnoreRules(())): count += 1
print(count, time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@contextmanager
def client(home: Path, settle_s: float, rescan_s: float) -> "Iterator[subprocess.Popen[bytes]]":
    (home / "state").mkdir(exist_ok=True)
    command = [sys.executable, "-c", CLIENT, str(home), str(settle_s), str(rescan_s)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def cpu_s(pid: int) -> float:
    """Seconds of processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return round(int(line.split()[1]) / 1024, 1)


def known(home: Path) -> "JournalOutbox":
    path = home / "state" / "outbox.json"
    while not path.exists():
        time.sleep(0.05)
    return JournalOutbox.open(path, RealDisk(), recover=False)


def until(outbox: JournalOutbox, count: int, every_s: float) -> None:
    while len(outbox.ids()) < count:
        time.sleep(every_s)
        outbox.refresh()


def pickup(home: Path, drops: int = 8) -> dict[str, object]:
    """Seconds from when a file was quiet for the whole window to its line in the outbox."""
    (home / "drop").mkdir(parents=True)
    late = []
    with client(home, SETTLE_S, 1e6):
        outbox = known(home)
        for number in range(drops):
            (home / "drop" / f"{number}.mp4").write_bytes(os.urandom(200_000))
            written = time.monotonic()
            until(outbox, number + 1, 0.01)
            late.append(time.monotonic() - written - SETTLE_S)
        outbox.close()
    return {"median_s": round(statistics.median(late[1:]), 3), "most_s": round(max(late[1:]), 3)}


def plant(folder: Path, files: int) -> None:
    for number in range(files):
        if number % PER_FOLDER == 0:
            here = folder / f"{number // PER_FOLDER:04}"
            here.mkdir(parents=True)
        (here / f"{number}.jpg").write_bytes(b"%d" % number)


def scan(tree: Path, rounds: int = 5) -> dict[str, object]:
    """One walk against find, which also looks at each file's size and time; in turns, from a warm cache."""
    find = ["find", str(tree), "-type", "f", "-printf", "%s %T@ %i\\n"]
    plain, full, ours, grown = [], [], [], []
    for _ in range(rounds):
        for command, times in ((find[:4], plain), (find, full)):
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times.append(time.perf_counter() - began)
        said = subprocess.run([sys.executable, "-c", WALK, str(tree)], check=True, capture_output=True, text=True).stdout.split()
        ours.append(float(said[1]))
        grown.append(int(said[2]) / 1024)
    walk_s, find_s, stat_s = (statistics.median(times) for times in (ours, plain, full))
    return {
        "files": int(said[0]),
        "walk_s": round(walk_s, 3),
        "find_s": round(find_s, 3),
        "find_with_facts_s": round(stat_s, 3),
        "ratio_to_find": round(walk_s / find_s, 2),
        "ratio_to_find_with_facts": round(walk_s / stat_s, 2),
        "memory_grown_mib": round(max(grown), 1),
    }


def idle(home: Path, files: int) -> dict[str, object]:
    """Every file taken into the outbox, then what the client uses of one processor while nothing happens, walks included."""
    with client(home, 0.2, 1e6) as process:
        began, outbox = time.monotonic(), known(home)
        until(outbox, files, 0.5)
        taken_s, peak = time.monotonic() - began, peak_mib(process.pid)
        outbox.close()
        time.sleep(10)  # The last folding of the outbox is no idleness yet.
        quiet = _share(process.pid)
    with client(home, 0.2, 12.0) as process:
        time.sleep(20)
        walking = _share(process.pid)
    walk_cpu_s = max(0.0, walking - quiet) * 12.0
    return {
        "files": files,
        "all_in_outbox_s": round(taken_s, 1),
        "peak_mib": peak,
        "quiet_percent": round(100 * quiet, 3),
        "one_walk_cpu_s": round(walk_cpu_s, 2),
        "percent_with_walks_every_300_s": round(100 * (quiet + walk_cpu_s / RESCAN_S), 3),
    }


def _share(pid: int) -> float:
    before, began = cpu_s(pid), time.monotonic()
    time.sleep(IDLE_S)
    return (cpu_s(pid) - before) / (time.monotonic() - began)


def measure(folder: Path, files: int, only: set[str]) -> dict[str, object]:
    told: dict[str, object] = {}
    if "pickup" in only:
        told["pickup"] = pickup(folder / "pickup")
        print(f"pickup: {json.dumps(told['pickup'])}", flush=True)
    if only & {"scan", "idle"}:
        home = folder / "many"
        plant(home / "drop", files)
        for name, one in (("scan", lambda: scan(home / "drop")), ("idle", lambda: idle(home, files))):
            if name in only:
                told[name] = one()
                print(f"{name}: {json.dumps(told[name])}", flush=True)
    return told
