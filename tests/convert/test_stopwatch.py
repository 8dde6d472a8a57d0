"""Time in which nobody worked is not told as work."""

import os
import signal
import subprocess
import sys
import time

import pytest

from dmc.convert.stopwatch import BEAT_S, Stopwatch

_CHILD = """
import sys, time
from dmc.convert.stopwatch import Stopwatch
with Stopwatch() as watch:
    print("runs", flush=True)
    sys.stdin.readline()
    print(watch.seconds, flush=True)
"""


def test_a_gap_counts_as_standing_still() -> None:
    now = [100.0]
    watch = Stopwatch(lambda: now[0])
    for step in (0.5, 0.5, 60.0, 0.5, 1.5):
        now[0] += step
        watch.beat()
    assert watch.seconds == pytest.approx(3.0 + BEAT_S)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="nothing can be frozen there")
def test_a_frozen_process_says_how_long_it_worked() -> None:
    began = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", _CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None and child.stdout is not None
        assert child.stdout.readline() == "runs\n"
        os.kill(child.pid, signal.SIGSTOP)
        time.sleep(5)  # It shall stand still for that long.
        os.kill(child.pid, signal.SIGCONT)
        child.stdin.write("\n")
        child.stdin.flush()
        assert float(child.stdout.readline()) <= time.monotonic() - began - 5 + 2 * BEAT_S
