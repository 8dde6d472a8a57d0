"""Rooms live and end together."""

import os
import signal
import sys
import threading
from collections.abc import Iterator

import pytest

from dmc.cli.running import Rooms, ServerRoom, stop_on_signals
from dmc.errors import DiskFault, StillBroken
from tests.patience import PATIENCE_S


def test_a_room_that_dies_stops_the_others_and_the_process_learns_why() -> None:
    rooms = Rooms(threading.Event())
    ended = threading.Event()

    def dies(_: threading.Event) -> None:
        raise DiskFault("the disk is broken.")

    def lives(stop: threading.Event) -> None:
        stop.wait()
        ended.set()

    rooms.begin("lives", lives)
    rooms.begin("dies", dies)
    with pytest.raises(DiskFault, match="the disk is broken"):
        rooms.wait()
    assert ended.is_set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_room_that_dies_of_something_unforeseen_is_a_fault_of_ours() -> None:
    rooms = Rooms(threading.Event())

    def dies(_: threading.Event) -> None:
        raise ZeroDivisionError("oh")

    rooms.begin("dies", dies)
    with pytest.raises(StillBroken) as caught:
        rooms.wait()
    assert caught.value.exit_code == 70


@pytest.fixture
def sigterm() -> Iterator[None]:
    """What SIGTERM does here comes back: an ignored one would be inherited by the processes of other tests."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("sigterm")
def test_a_signal_that_another_thread_caught_ends_everything_too() -> None:
    main = threading.get_ident()

    def catches_it(stop: threading.Event) -> None:
        while sys._current_frames()[main].f_code is not threading.Condition.wait.__code__:
            threading.Event().wait(0.01)
        threading.Event().wait(0.1)  # From that frame into the wait itself; what is tested holds if it is late, too.
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        stop.wait()

    with stop_on_signals() as stop:
        rooms = Rooms(stop)
        rooms.begin("catches it", catches_it)
        rooms.wait()
        assert stop.is_set()


class _Server:
    """What ServerRoom asks of a server, with a part in the background that breaks."""

    fingerprint = None
    stopped = False

    async def start(self, host: str, port: int) -> tuple[str, int]:
        return host, port

    async def fault(self) -> None:
        raise ZeroDivisionError("the feed is broken")

    async def stop(self) -> None:
        self.stopped = True


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_in_the_background_of_the_server_ends_the_process() -> None:
    rooms, server = Rooms(threading.Event()), _Server()
    rooms.begin("server", ServerRoom(server, "127.0.0.1", 1).run)  # type: ignore[arg-type]
    with pytest.raises(StillBroken, match="the feed is broken"):
        rooms.wait()
    assert server.stopped


def test_a_room_that_ends_too_early_stops_the_others() -> None:
    rooms = Rooms(threading.Event())
    rooms.begin("short", lambda _: None)
    rooms.wait()
    assert rooms.stop.is_set()


def test_ctrl_c_asks_to_stop_and_its_handler_of_before_comes_back() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(PATIENCE_S)
    assert {number: signal.getsignal(number) for number in before} == before


@pytest.mark.usefixtures("sigterm")
def test_sigterm_asks_to_stop_and_is_obeyed_once() -> None:
    with stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(PATIENCE_S)
    os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN


@pytest.mark.usefixtures("sigterm")
def test_a_signal_that_comes_while_the_event_is_being_waited_for_is_heard() -> None:
    with stop_on_signals() as stop:
        with stop._cond:  # As inside of `wait`.
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(PATIENCE_S)


def test_the_second_ctrl_c_is_told_apart_from_the_first() -> None:
    twice = threading.Event()
    with stop_on_signals(twice) as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(PATIENCE_S) and not twice.is_set()
        os.kill(os.getpid(), signal.SIGINT)
        assert twice.wait(PATIENCE_S)
