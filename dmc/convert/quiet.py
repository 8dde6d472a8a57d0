"""Leaves processor and disk to everybody else, since a conversion has time: `nice`, and the idle class of input and output.

Not every kernel lets a process ask for the idle class (containers often refuse it); what was refused is said. Source: ioprio_set(2).
"""

import ctypes
import os
import sys

from dmc.convert.libc import LIBC

NICE = 10

_SET, _GET = {"x86_64": 251, "aarch64": 30}, {"x86_64": 252, "aarch64": 31}
_THIS_PROCESS = 1
_CLASS_SHIFT, _IDLE = 13, 3


def be_quiet(nice: int) -> tuple[list[str], list[str]]:
    """Make this process quiet; what was done and what could not be, in words. `nice` is 0 (like everybody) to 19."""
    os.nice(nice)
    done = [f"nice {nice}"] if nice else []
    problem = _set(_IDLE << _CLASS_SHIFT)
    return (done, [f"idle I/O: {problem}"]) if problem else ([*done, "idle I/O"], [])


def idle_refused() -> str | None:
    """Why this kernel does not let a process choose its class of input and output; None if it does. Changes nothing."""
    number = _number(_GET)
    if number is None:
        return _ABSENT
    now = LIBC.syscall(ctypes.c_long(number), ctypes.c_int(_THIS_PROCESS), ctypes.c_int(0))
    return os.strerror(ctypes.get_errno()) if now < 0 else _set(now)


_ABSENT = "this system has no such class"


def _number(numbers: dict[str, int]) -> int | None:
    return numbers.get(os.uname().machine) if sys.platform.startswith("linux") else None


def _set(value: int) -> str | None:
    """Why it was refused, or None."""
    number = _number(_SET)
    if number is None:
        return _ABSENT
    if LIBC.syscall(ctypes.c_long(number), ctypes.c_int(_THIS_PROCESS), ctypes.c_int(0), ctypes.c_int(value)) == 0:
        return None
    return os.strerror(ctypes.get_errno())
