"""A new version is installed while the old one works: what runs is left alone, what was cut short is done by the next, and back again.

The processes are real, started as the unit starts them; a scratch root and stand-in environments come from tests/test_install_services.py.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.journeys.household import tone, wait_for
from tests.patience import PATIENCE_S
from tests.ports import Port
from tests.test_install_services import Machine

SAMPLE = Path(__file__).parents[2] / "dmc/sample/nasa.mp4"
NEXT = "7.1.0"


class Site:
    """A machine on which dmc is installed and runs."""

    def __init__(self, folder: Path, port: Port) -> None:
        self.machine = Machine(folder)
        self.machine.run("server", "--yes")
        self.first = self.machine.current()
        self.home = self.machine.root / "var/lib/dmc"
        self.home.mkdir(parents=True)
        self.port = port.number
        (self.home / "server.toml").write_text(f"listen_on_port = {self.port}\nnumber_of_conversion_threads = 1\n")
        self.token = self.machine.dmc("server", "token", "create", "me").strip()

    def command(self, *words: str) -> list[str]:
        """What the unit starts (or the same program with other words), with the scratch root before its places."""
        unit = (self.machine.root / "etc/systemd/system/dmc-server.service").read_text()
        started = re.search(r"^ExecStart=(\S+) (.*)$", unit, re.M)
        assert started
        there = self.machine.root.parent / "dmc-as-installed"
        text = (self.machine.root / started.group(1).lstrip("/")).read_text()
        there.write_text(text.replace('"/opt/dmc', f'"{self.machine.root}/opt/dmc'))
        there.chmod(0o755)
        return [str(there), *(words or started.group(2).split())]

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "DMC_HOME": str(self.home)}

    @contextmanager
    def running(self, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
        """The service, called in a checkout of the next version; at the end asked to stop as a service manager asks."""
        with (self.home / "log").open("ab") as log:
            process = subprocess.Popen(
                self.command(*words), env=self.environment, stdout=log, stderr=log, start_new_session=True, cwd=self.machine.checkout
            )
        try:
            if not words:
                wait_for("the server", lambda: self._answers(process))
            yield process
            process.terminate()
            assert process.wait(PATIENCE_S) == 0, (self.home / "log").read_text()
            assert not processes_of(process)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _answers(self, process: "subprocess.Popen[bytes]") -> bool:
        assert process.poll() is None, (self.home / "log").read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def version(self) -> str:
        """What the server that runs says it is."""
        asked = Request(f"http://127.0.0.1:{self.port}/api/v1/server", headers={"Authorization": f"Bearer {self.token}"})
        with urlopen(asked) as reply:
            return str(json.load(reply)["version"])

    def add(self, file: Path, to: str) -> None:
        self.machine.dmc("broker", "add", str(file), "--to", to)

    def items(self) -> list[dict[str, Any]]:
        return list(json.loads(self.machine.dmc("broker", "list", "--json"))["items"])

    def statuses(self) -> list[str]:
        return [item["status"] for item in self.items()]

    def worker(self) -> int | None:
        """The pid of the worker that converts now."""
        with suppress(FileNotFoundError, ValueError):
            return next((int(pid) for pid in json.loads((self.home / "server/threads.json").read_text()) if pid.isdigit()), None)
        return None


def processes_of(leader: "subprocess.Popen[bytes]") -> dict[int, str]:
    """Command lines of a process and of all below it, and what they have mapped."""
    found: dict[int, str] = {}
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    below = {leader.pid} if leader.poll() is None else set()
    while grown := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= grown
    for pid in below:
        with suppress(OSError):
            found[pid] = Path(f"/proc/{pid}/cmdline").read_text() + Path(f"/proc/{pid}/maps").read_text()
    return found


@pytest.fixture
def port() -> Iterator[Port]:
    with Port() as kept:
        yield kept


needs_proc = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads what processes are made of from /proc")


def check_untouched(process: "subprocess.Popen[bytes]", first: str) -> dict[int, str]:
    """The process and all below it are of the first version, and would load what they lack from there."""
    made_of = processes_of(process)
    assert process.poll() is None and process.pid in made_of
    for words in made_of.values():
        assert "/opt/dmc/current/" not in words and f"/versions/{NEXT}" not in words
        assert f"/versions/{first}" in words
    return made_of


@needs_proc
def test_a_broker_that_runs_stays_with_the_files_of_its_version(tmp_path: Path, port: Port) -> None:
    site = Site(tmp_path, port)
    with site.running("broker", "run") as old:
        wait_for("the broker", (site.home / "server/broker.json").exists)
        site.machine.release(NEXT)
        site.machine.run("server", "--yes")
        assert site.machine.current() == NEXT
        assert len(check_untouched(old, site.first)) >= 2, "with the process that makes workers, one day anew"


@needs_proc
@pytest.mark.slow
def test_the_old_server_goes_on_undisturbed_the_new_one_finishes_the_queue_once_and_the_old_one_can_come_back(
    tmp_path: Path, port: Port
) -> None:
    site = Site(tmp_path, port)
    machine = site.machine
    shutil.copy(SAMPLE, tmp_path / "film.mp4")
    for number in range(3):
        (tmp_path / f"talk {number}.wav").write_bytes(tone(1))

    with site.running() as old:
        site.add(tmp_path / "film.mp4", "av1")
        worker = wait_for("a conversion", site.worker)
        os.killpg(worker, signal.SIGSTOP)  # Held in the middle of its work, however long the installation takes.
        for number in range(2):
            site.add(tmp_path / f"talk {number}.wav", "flac")
        assert site.statuses() == ["in_progress", "to_do", "to_do"]
        machine.release(NEXT)
        machine.run("server", "--yes")
        assert machine.current() == NEXT and machine.dmc("--version") == f"dmc {NEXT}\n"
        assert worker in check_untouched(old, site.first) and site.version() == site.first
        site.add(tmp_path / "talk 2.wav", "flac")  # By the new program, into the queue of the old one.
        assert sorted(site.statuses()) == ["in_progress", "to_do", "to_do", "to_do"], site.items()
    assert site.statuses() == ["to_do"] * 4, "what was being converted is put back, not failed"

    with site.running():
        assert site.version() == NEXT
        wait_for("the end of the queue", lambda: set(site.statuses()) == {"finished_successful"})
        assert [item["conversion_type"] for item in site.items()] == ["av1", "flac", "flac", "flac"]
    once = site.items()
    assert [(item.get("attempt", 1), item.get("crashes", 0)) for item in once] == [(1, 0)] * 4
    assert len(list((site.home / "server/finished").iterdir())) == 4
    machine.dmc("broker", "verify")

    machine.run("server", "--yes", "--rollback")
    assert machine.current() == site.first
    with site.running():
        assert site.version() == site.first
        assert site.items() == once, "nothing of it is done again"
    machine.dmc("broker", "verify")
