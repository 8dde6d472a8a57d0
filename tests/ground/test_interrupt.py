"""Ctrl-C: lost ones come again, and what must not be broken off is finished first."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dmc.interrupt import undisturbed

WHERE_NO_EXCEPTION_LEAVES = """
import signal, time, weakref
from dmc.interrupt import lose_no_interrupt

class Thing: ...

def falls(what):
    thing = Thing()
    return thing, weakref.ref(thing, what)

lose_no_interrupt()
thing, ref = falls(lambda _: {what})
del thing
try:
    for _ in range({steps}):
        time.sleep(0.001)
    print("lost")
except KeyboardInterrupt:
    print("heard")
"""


def _run(what: str, *, steps: int) -> "subprocess.CompletedProcess[str]":
    code = WHERE_NO_EXCEPTION_LEAVES.replace("{what}", what).replace("{steps}", str(steps))
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_an_interrupt_that_falls_into_a_callback_comes_again() -> None:
    done = _run("signal.raise_signal(signal.SIGINT)", steps=50_000)
    assert (done.stdout, done.stderr, done.returncode) == ("heard\n", "", 0)


def test_other_errors_of_callbacks_are_told_as_ever() -> None:
    done = _run("[][0]", steps=50)
    assert done.stdout == "lost\n" and "IndexError" in done.stderr


def test_ctrl_c_waits_until_what_must_not_be_broken_off_is_done() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), undisturbed():
        signal.raise_signal(signal.SIGINT)
        done.append("all of it")
    assert done and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_is_not_disturbed_is_as_before() -> None:
    with pytest.raises(ValueError, match="mine"), undisturbed():
        raise ValueError("mine")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_ctrl_c_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with undisturbed():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_may_clean_up_too() -> None:
    done: list[str] = []

    def clean_up() -> None:
        with undisturbed():
            done.append("all of it")

    thread = threading.Thread(target=clean_up)
    thread.start()
    thread.join()
    assert done
