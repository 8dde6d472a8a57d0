"""Processes as launchers know them: a Python of our own begun apart from us, and signals to all that one left in its group."""

import os
import signal
import subprocess
import sys
from typing import Protocol


class Process(Protocol):
    """What is asked of a process; subprocess.Popen fits."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def kill(self) -> None: ...


def python(code: str, fd: int, *, own_session: bool = True) -> subprocess.Popen[bytes]:
    """A Python that runs `code` with descriptor `fd` open and nothing else of ours; Ctrl-C in the terminal does not reach it.

    Without a session of its own it gets a process group in ours: if we die while it is stopped, the kernel wakes that group, by SIGHUP
    and SIGCONT, so it never stays stopped as an orphan (POSIX, _Exit: "newly-orphaned process group").
    """
    group = None if own_session else 0
    command = [sys.executable, "-P", "-c", code]
    return subprocess.Popen(  # noqa: S603
        command,
        pass_fds=(fd,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=own_session,
        process_group=group,
    )


def search_path() -> list[str]:
    """Where this process finds its modules, said so that it does not depend on the current directory."""
    return [os.path.abspath(entry) for entry in sys.path]


def signal_group(process: Process, what: signal.Signals) -> None:
    """Send a signal to a worker, if it lives, and to what it left in its process group."""
    try:
        os.killpg(process.pid, what)
    except (ProcessLookupError, PermissionError):
        pass  # nobody is left in it, or only the dead
