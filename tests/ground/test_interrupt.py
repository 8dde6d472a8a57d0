"""Ctrl-C: lost ones come again, and what must not be broken off is finished first."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dmc.interrupt import undisturbed

BEGIN = """
import signal, sys, time, weakref
from dmc.interrupt import lose_no_interrupt
lose_no_interrupt()
try:
    {body}
    time.sleep(60)
    print("lost")
except KeyboardInterrupt:
    print("heard")
print(*sys.modules.get("slow").__all__) if "slow" in sys.modules else None
"""

SLOW = """
import signal
__all__ = ["begun"]
try:
    signal.raise_signal(signal.SIGINT)
except:
    __all__.append("broken off")
__all__.append("done")
"""


def _run(place: Path, body: str) -> "subprocess.CompletedProcess[str]":
    (place / "slow.py").write_text(SLOW)
    paths = f"{Path(__file__).parents[2]}:{place}"
    line = [sys.executable, "-c", BEGIN.replace("{body}", body)]
    return subprocess.run(line, env={"PYTHONPATH": paths}, capture_output=True, text=True, timeout=90, check=False)


def test_an_interrupt_that_falls_into_a_callback_comes_again(tmp_path: Path) -> None:
    done = _run(tmp_path, "thing = {1}; ref = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT)); del thing")
    assert (done.stdout, done.stderr, done.returncode) == ("heard\n", "", 0)


def test_an_interrupt_waits_until_an_import_is_done(tmp_path: Path) -> None:
    done = _run(tmp_path, "import slow")
    assert (done.stdout, done.stderr, done.returncode) == ("heard\nbegun done\n", "", 0)


def test_an_interrupt_that_becomes_another_error_is_no_fault_of_dmc(tmp_path: Path) -> None:
    """As when a compiled module calls back and makes an error of its own of whatever comes of it."""
    begin = """
import signal
from dmc.interrupt import lose_no_interrupt
lose_no_interrupt()
from dmc.cli import main
def app(*_, **__):
    try:
        {body}
    except BaseException as problem:
        raise RuntimeError(repr(problem))
main.app = app
print(main.run([]))
"""
    ends = []
    for body in ("signal.raise_signal(signal.SIGINT)", "[][0]"):
        line = [sys.executable, "-c", begin.replace("{body}", body)]
        environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(tmp_path)}
        done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=90, check=False)
        ends.append((done.stdout, "IndexError" in done.stderr))
    assert ends == [("130\n", False), ("70\n", True)]


def test_other_errors_of_callbacks_are_told_as_ever(tmp_path: Path) -> None:
    done = _run(tmp_path, "thing = {1}; ref = weakref.ref(thing, lambda _: [][0]); del thing; raise KeyboardInterrupt")
    assert done.stdout == "heard\n" and "IndexError" in done.stderr


def test_where_ctrl_c_is_ignored_it_stays_so(tmp_path: Path) -> None:
    body = "signal.signal(signal.SIGINT, signal.SIG_IGN); lose_no_interrupt(); signal.raise_signal(signal.SIGINT); time.sleep = print"
    assert _run(tmp_path, body).stdout == "60\nlost\n"


def test_ctrl_c_waits_until_what_must_not_be_broken_off_is_done() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), undisturbed():
        signal.raise_signal(signal.SIGINT)
        done.append("all of it")
    assert done and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_block_learns_of_a_ctrl_c_and_is_woken() -> None:
    told: list[object] = []
    with pytest.raises(KeyboardInterrupt), undisturbed(lambda: told.append("woken")) as is_interrupted:
        told.append(is_interrupted())
        signal.raise_signal(signal.SIGINT)
        told.append(is_interrupted())
    assert told == [False, "woken", True]


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
