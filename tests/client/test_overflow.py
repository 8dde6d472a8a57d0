"""C4: more files than the kernel can tell of, dropped while the client is stopped, are all found by one walk."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dmc.client.outbox_journal import JournalOutbox
from dmc.files import RealDisk

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
sync = Sync(
    state=home / "state", observed=[ObservedPath(home / "drop")], servers=[],
    outbox=JournalOutbox.open(home / "state/outbox.json", RealDisk()),
    disk=RealDisk(), clock=clock, crew=ThreadCrew(), watcher=Watcher(clock), timing=Timing(settle_s=0.2, rescan_s=100_000),
)
sync.run(threading.Event())
"""


def wait_for(home: Path, count: int, seconds: float) -> None:
    outbox = JournalOutbox.open(home / "state/outbox.json", RealDisk(), recover=False)
    deadline = time.monotonic() + seconds
    while len(outbox.ids()) < count:
        assert time.monotonic() < deadline, f"only {len(outbox.ids())} of {count} were found"
        time.sleep(0.1)
        outbox.refresh()


@pytest.mark.slow
def test_C4_twenty_thousand_files_dropped_while_the_client_is_stopped_are_all_found(tmp_path: Path) -> None:
    (tmp_path / "drop").mkdir()
    (tmp_path / "state").mkdir()
    (tmp_path / "drop" / "first.mp4").write_bytes(b"first")
    with subprocess.Popen([sys.executable, "-c", CLIENT, str(tmp_path)], stderr=subprocess.PIPE) as client:
        try:
            wait_for(tmp_path, 1, 30)
            client.send_signal(signal.SIGSTOP)
            for number in range(20_000):
                (tmp_path / "drop" / f"{number}.mp4").write_bytes(b"%d" % number)
            client.send_signal(signal.SIGCONT)
            wait_for(tmp_path, 20_001, 120)
            os.kill(client.pid, 0)
        finally:
            client.kill()
