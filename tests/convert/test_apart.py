"""A child forked at the very beginning: what it inherits, and how it ends. Each case in a process of its own, with one thread."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process which descriptors it has")

_BEGIN = """
import json, os, signal, subprocess, sys, time
from dmc.convert.apart import fork_apart
keep, told = os.pipe()
"""


def _told_by(code: str) -> Any:
    """What a fresh process that runs `code` prints, as JSON."""
    env = {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PATH": os.defpath}
    command = [sys.executable, "-c", _BEGIN + code]
    done = subprocess.run(command, stdin=subprocess.PIPE, capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_child_holds_nothing_of_ours_but_what_it_is_told_to_keep() -> None:
    code = """
def work():
    here = {}
    for name in os.listdir("/proc/self/fd"):
        if name != "2" and os.path.exists(f"/proc/self/fd/{name}"):  # the one that lists them is closed by now
            here[name] = os.readlink(f"/proc/self/fd/{name}")
    mine = [os.getsid(0) == os.getpid(), signal.getsignal(signal.SIGINT) == signal.SIG_IGN]
    mine.append(not signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    os.write(told, json.dumps([here, mine, told]).encode())

other = os.open(os.devnull, os.O_RDONLY)
child = fork_apart(work, told)
os.close(told)
print(os.read(keep, 4096).decode())
assert child.wait() == 0 and child.poll() == 0 and not signal.pthread_sigmask(signal.SIG_BLOCK, ())
"""
    held, mine, told = _told_by(code)
    assert held.pop("0") == held.pop("1") == os.devnull
    assert list(held) == [str(told)] and held[str(told)].startswith("pipe:")
    assert all(mine)


def test_its_exit_code_is_told_as_popen_tells_it() -> None:
    code = """
def raises():
    sys.stderr = open(os.devnull, "w")
    raise ValueError("never upwards")

ends = (lambda: None, raises, lambda: os._exit(7), lambda: os.kill(os.getpid(), signal.SIGKILL))
print(json.dumps([fork_apart(work, told).wait() for work in ends]))
"""
    assert _told_by(code) == [0, 70, 7, -9]


def test_it_is_waited_for_in_vain_and_killed() -> None:
    code = """
child = fork_apart(lambda: time.sleep(600), told)
running = child.poll()
try:
    child.wait(0.05)
    patience = "enough"
except subprocess.TimeoutExpired:
    patience = "over"
child.kill()
end = child.wait(60)
child.kill()  # the dead is left alone
print(json.dumps([running, patience, end]))
"""
    assert _told_by(code) == [None, "over", -9]


def test_ctrl_c_and_an_end_by_the_service_manager_are_for_the_parent() -> None:
    code = """
def work():
    os.write(told, b"ready")
    time.sleep(600)

child = fork_apart(work, told)
os.read(keep, 5)
for number in (signal.SIGINT, signal.SIGTERM):
    os.kill(child.pid, number)
try:
    child.wait(0.2)
except subprocess.TimeoutExpired:
    print(json.dumps("unmoved"))
child.kill()
child.wait()
"""
    assert _told_by(code) == "unmoved"
