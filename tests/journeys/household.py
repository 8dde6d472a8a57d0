"""A household for journeys: a real server and a real client as processes of their own, in a scratch folder.

Waiting is always for a state that must come, with a deadline that is only ever reached by a failure.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from tests import warm
from tests.patience import PATIENCE_S
from tests.ports import Port
from tests.warm import POSSIBLE, WarmProcess

Process: TypeAlias = "subprocess.Popen[bytes] | WarmProcess"


def wait_for(what: str, happened: Callable[[], Any], deadline_s: float = PATIENCE_S) -> Any:
    """The first true answer of `happened`."""
    end = time.monotonic() + deadline_s
    while (asked := time.monotonic()) < end:
        if answer := happened():
            return answer
        # A journey watches other processes from outside: there is nothing to wait on but their traces. Half the time is theirs.
        time.sleep(min(max(0.05, time.monotonic() - asked), 0.25))
    raise AssertionError(f"waited {deadline_s:g} s in vain for: {what}")


class Household:
    """One server and one client with an observed folder `inbox`. `warm`: its processes have dmc loaded already when they begin."""

    def __init__(self, home: Path, *, server_settings: str = "", client_settings: str = "", warm: bool = POSSIBLE) -> None:
        self.home, self.warm = home, warm
        self.inbox = home / "inbox"
        self.inbox.mkdir(parents=True)
        self._kept = Port()
        self.port = self._kept.number
        self.data = home / "server"
        (home / "server.toml").write_text(
            f"listen_on_port = {self.port}\nlist_of_supported_media_types = ['video', 'audio', 'image']\n"
            f"limits.disk_floor = 0\n{server_settings}\n"
        )
        (home / "client.toml").write_text(
            f"settle_s = 0.3\nsettle_empty_s = 1.0\nrescan_interval_s = 5.0\n{client_settings}\n"
            f"[[list_of_paths_to_observe]]\npath = {str(self.inbox)!r}\n"
            f"[[list_of_servers]]\nport = {self.port}\ntoken_file = {str(home / 'token')!r}\n"
        )
        self._processes: list[Process] = []
        token = self.dmc("server", "token", "create", "household", "--scopes", "read,write,admin")
        (home / "token").touch(mode=0o600)
        (home / "token").write_text(token)

    def go_through(self, port: int) -> None:
        """Let the client reach the server through a proxy at `port`."""
        settings = self.home / "client.toml"
        settings.write_text(settings.read_text().replace(f"port = {self.port}", f"port = {port}"))

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DMC_")}
        return {**kept, "DMC_HOME": str(self.home), "PYTHONPATH": str(Path(__file__).parents[2])}

    def dmc(self, *arguments: str, expect: int | None = 0) -> str:
        """Run a command to its end; returns its stdout."""
        done = self.run(*arguments)
        if expect is not None:
            assert done.returncode == expect, f"dmc {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end, however it ends."""
        begin = warm.run if self.warm else warm.cold
        return begin(*arguments, environment=self.environment, timeout=PATIENCE_S)

    def start(self, *arguments: str) -> Process:
        """Start a command that stays; its words go to a log file of the household."""
        return self.start_as([] if self.warm else [sys.executable, "-m", "dmc"], *arguments)

    def start_as(self, dmc: list[str], *arguments: str) -> Process:
        """Start a command that stays, with something else in the place of `dmc`; nothing: a warm process."""
        process: Process
        with (self.home / f"{'-'.join(a for a in arguments if a.isalpha())}.out.log").open("ab") as log, open(os.devnull, "rb") as nothing:
            if dmc:
                process = subprocess.Popen([*dmc, *arguments], env=self.environment, stdin=nothing, stdout=log, stderr=log)
            else:
                process = WarmProcess(arguments, self.environment, nothing.fileno(), log.fileno(), log.fileno())
        self._processes.append(process)
        return process

    def start_server(self) -> Process:
        process = self.start("server", "run")
        wait_for("the server to answer", lambda: self._answers(process))
        return process

    def start_client(self) -> Process:
        return self.start("client", "run")

    def _answers(self, process: Process) -> bool:
        assert process.poll() is None, f"the server ended with {process.returncode}:\n{self.words()}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def words(self) -> str:
        """The last lines of every log, for a failing test."""
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-4000:]}" for log in sorted(self.home.glob("*.log")))

    def items(self) -> list[dict[str, Any]]:
        """Every item of the server's ledger."""
        return list(json.loads(self.dmc("broker", "list", "--json", "--limit", "10000"))["items"])

    def statuses(self) -> list[str]:
        return sorted(item["status"] for item in self.items())

    def results(self) -> list[Path]:
        """Files in the results folder, hidden ones left out."""
        return sorted(path for path in (self.inbox / "converted").rglob("*") if path.is_file() and not path.name.startswith(".dmc-"))

    def drop(self, name: str, content: bytes) -> Path:
        """Put a file into the observed folder as a person would: written, then closed."""
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def close(self) -> None:
        """Kill what is still there; a process that ended by itself is left alone."""
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._kept.close()


@contextlib.contextmanager
def household(home: Path, **settings: Any) -> Iterator[Household]:
    """A household that is closed at the end, its logs shown if the story went wrong."""
    house = Household(home, **settings)
    try:
        yield house
    except BaseException:
        print(house.words())
        raise
    finally:
        house.close()


def tone(seconds: float, *, rate: int = 48000) -> bytes:
    """A WAV file of mono 16-bit noise: cheap to make, real work to encode, a size that can be chosen."""
    size = int(seconds * rate) * 2
    block = os.urandom(1 << 20)
    samples = (block * (size // len(block) + 1))[:size]
    head = b"RIFF" + (36 + size).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    head += b"\x01\x00\x01\x00" + rate.to_bytes(4, "little") + (rate * 2).to_bytes(4, "little") + b"\x02\x00\x10\x00"
    return head + b"data" + size.to_bytes(4, "little") + samples
