"""A child forked from this process that lives apart from it: what was imported before is imported once, and its pages are held once.

Only for a process with a single thread that has nothing open yet but its standard streams: the front door of `dmc convert`, at its very
beginning. Linux only.
"""

import contextlib
import gc
import os
import signal
import subprocess
import time
import traceback
from collections.abc import Callable

_LOOK_EVERY_S = 0.01
_FAULT = 70


class Forked:
    """A child of this process, with those methods of subprocess.Popen that launch.py needs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        """The exit code, or minus the signal; None while it runs."""
        return self._look(os.WNOHANG)

    def wait(self, timeout: float | None = None) -> int:
        """As `poll`, when it has ended; raises subprocess.TimeoutExpired after `timeout` seconds."""
        if timeout is None:
            while (code := self._look(0)) is None:
                pass
            return code
        until = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("worker", timeout)
            time.sleep(_LOOK_EVERY_S)
        return code

    def kill(self) -> None:
        """Its pid is its own as long as nobody has asked for its exit code."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def _look(self, how: int) -> int | None:
        if self._code is None:
            try:
                pid, status = os.waitpid(self.pid, how)
            except ChildProcessError:
                pid, status = self.pid, 0  # Somebody else has reaped it.
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code


def fork_apart(work: Callable[[], None], keep: int) -> Forked:
    """A child that does `work` and ends: in a session of its own, deaf to Ctrl-C, with nothing of ours open but stderr and `keep`.

    Raises OSError where the system gives no process.
    """
    gc.freeze()  # Else each look for garbage would write on every page, and none would stay shared.
    ours = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        pid = os.fork()
        if pid == 0:
            _child(work, keep, ours)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, ours)
    return Forked(pid)


def _child(work: Callable[[], None], keep: int, mask: set[int | signal.Signals]) -> None:
    """Never returns: what the parent has begun is the parent's to end."""
    code = _FAULT
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _close_all_but(keep)
        work()
        code = 0
    except BaseException:  # noqa: BLE001  nothing may leave a forked child upwards
        traceback.print_exc()
    finally:
        os._exit(code)


def _close_all_but(keep: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(null, standard)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != keep:
            with contextlib.suppress(OSError):  # the one that listed the others
                os.close(int(name))
