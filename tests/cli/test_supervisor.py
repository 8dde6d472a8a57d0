"""What a service manager hears of dmc: sd_notify's datagrams, on both kinds of sockets, and a watchdog that is not fed in vain."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmc.cli.supervisor import Notifier, Pulse
from dmc.clock import ManualClock
from dmc.errors import DiskFull
from dmc.homes import Supervision, supervision

HEARING_S = 60.0


class Manager:
    """The other end of `$NOTIFY_SOCKET`."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1))
        self._socket.settimeout(HEARING_S)

    def hear(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self._socket.recv(4096).decode().splitlines())

    def hear_until(self, key: str) -> dict[str, str]:
        while key not in (said := self.hear()):
            pass
        return said

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["a path", "an abstract name"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(str(tmp_path / "notify") if request.param == "a path" else f"@dmc-test-{os.getpid()}")
    yield manager
    manager.close()


def test_words_arrive_on_both_kinds_of_sockets_and_hold_one_line_each(manager: Manager) -> None:
    Notifier(manager.address).say(READY="1", STATUS="two\nlines")
    assert manager.hear() == {"READY": "1", "STATUS": "two lines"}


def test_without_a_manager_or_with_one_that_is_gone_nothing_happens(tmp_path: Path) -> None:
    assert not Notifier(None)
    Notifier(None).say(READY="1")
    Notifier(str(tmp_path / "gone")).say(READY="1")


def test_the_watchdog_is_fed_while_all_parts_move_and_not_when_one_stands_still(manager: Manager) -> None:
    counts = {"broker": 0, "server": 0}
    pulse = Pulse(
        Supervision(manager.address, 60.0), ManualClock(), {name: lambda name=name: counts[name] for name in counts}, lambda: "3 to do"
    )
    for moving, stuck in ((("broker", "server"), []), (("broker", "server"), []), (("server",), ["broker"]), (("broker", "server"), [])):
        for name in moving:
            counts[name] += 1
        assert pulse.look() == stuck
        said = manager.hear()
        assert ("WATCHDOG" in said) == (not stuck)
        assert said["STATUS"] == ("stuck: broker" if stuck else "3 to do")


def test_three_looks_fit_into_the_patience_of_the_watchdog(manager: Manager) -> None:
    clock, stop = ManualClock(), threading.Event()
    turns = iter(range(100))

    def sign() -> int:
        turn = next(turns)
        if turn == 5:
            stop.set()
        return turn

    began = clock.monotonic()
    Pulse(Supervision(manager.address, 60.0), clock, {"broker": sign}).run(stop)
    assert clock.monotonic() - began == 6 * 20.0
    said = [manager.hear() for _ in range(8)]
    assert "READY" in said[0] and all("WATCHDOG" in one for one in said[1:7]) and "STOPPING" in said[7]


def test_a_status_that_cannot_be_told_does_not_starve_the_watchdog(manager: Manager) -> None:
    def full() -> str:
        raise DiskFull("no space is left.")

    Pulse(Supervision(manager.address, 60.0), ManualClock(), {}, full).look()
    assert manager.hear() == {"WATCHDOG": "1", "STATUS": "no space is left."}


def test_the_variables_of_the_manager() -> None:
    assert supervision({}) == Supervision(None, None)
    assert supervision({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "60000000"}) == Supervision("/x", 60.0)
    mine, foreign = str(os.getpid()), str(os.getpid() + 1)
    assert supervision({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "5000000", "WATCHDOG_PID": mine}).watchdog_s == 5.0
    assert supervision({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "5000000", "WATCHDOG_PID": foreign}).watchdog_s is None
    assert supervision({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "soon"}).watchdog_s is None


@pytest.mark.parametrize("command", [["server", "run"], ["broker", "run"], ["client", "run"]])
def test_a_real_process_says_ready_feeds_the_watchdog_and_says_when_it_stops(tmp_path: Path, command: list[str]) -> None:
    manager = Manager(str(tmp_path / "notify"))
    environment = os.environ | {
        "NOTIFY_SOCKET": manager.address,
        "WATCHDOG_USEC": "1500000",
        "DMC_HOME": str(tmp_path / "home"),
        "DMC_SERVER__LISTEN_ON_PORT": "0",
    }
    process = subprocess.Popen([sys.executable, "-m", "dmc", *command], env=environment, stderr=subprocess.PIPE)
    try:
        ready = manager.hear()
        assert ready["READY"] == "1" and ready["STATUS"] in ("0 to do, 0 in progress, 0 finished", "watching 0 folders")
        manager.hear_until("WATCHDOG")
        process.send_signal(signal.SIGTERM)
        assert "stopping" in manager.hear_until("STOPPING")["STATUS"]
        until = time.monotonic() + HEARING_S
        while process.poll() is None and time.monotonic() < until:  # Asked again at any moment of its way out, it still ends in order.
            process.send_signal(signal.SIGTERM)
            time.sleep(0.001)
    finally:
        process.kill()
        _, errors = process.communicate(timeout=60)
        manager.close()
    assert process.returncode == 0, errors
