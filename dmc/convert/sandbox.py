"""The walls a worker builds around itself before it opens a file: limits of the kernel, no new rights, Landlock, seccomp.

`apply` is called once, in the child, before any thread starts (Landlock and seccomp bind the thread that asks, and what it
starts later). In `best-effort` a missing wall is said, in `required` it is an error, in `off` only the limits are set.
What is said is what was done: nothing is listed as active that was not switched on without error.
"""

import ctypes
import functools
import os
import resource
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from dmc.convert import landlock, seccomp
from dmc.convert.libc import LIBC
from dmc.convert.limits import Limits
from dmc.convert.wire import SandboxMode, Walls
from dmc.errors import Broken

_PR_SET_NO_NEW_PRIVS = 38
_LIBRARY_READS = ("/sys/devices/system/cpu", "/sys/devices/system/node", "/dev/urandom", "/dev/null")
"""What encoders look at to choose their number of threads; holds nothing of anybody."""


def prctl(option: int, value: int) -> None:
    """prctl(2) with one value; raises OSError. Linux only, elsewhere nothing happens."""
    if not sys.platform.startswith("linux"):
        return
    if LIBC.prctl(ctypes.c_int(option), ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def status(mode: SandboxMode) -> Walls:
    """Which walls this machine can build, found out without building any; for `dmc doctor` and the log."""
    if mode == "off":
        return Walls(mode=mode, active=("limits",), missing=("Landlock: switched off", "seccomp: switched off"))
    active, missing = ["limits"], []
    for name, absent in (("Landlock", landlock.absent()), ("seccomp", seccomp.absent())):
        if absent is None:
            active.append(name)
        else:
            missing.append(f"{name}: {absent}")
    return Walls(mode=mode, active=tuple(active), missing=tuple(missing))


def prepare() -> None:
    """Work out once what `apply` needs in every worker alike; called in the process that workers are forked from. Builds nothing."""
    _library_reads()
    if seccomp.absent() is None:
        seccomp.prepare()


def apply(mode: SandboxMode, read: Sequence[str], write: Sequence[str], limits: Limits) -> Walls:
    """Build the walls: from here on only `read` (files or folders) can be read and only `write` (folders) be written.

    Raises Broken (code `SandboxMissing`) in mode `required` when one of them cannot be built.
    """
    active, missing = _set_limits(limits)
    if mode == "off":
        return Walls(mode=mode, active=tuple(active), missing=(*missing, "Landlock: switched off", "seccomp: switched off"))
    steps = (
        ("no new privileges", _no_new_privileges),
        ("Landlock", lambda: landlock.restrict([*read, *_library_reads()], write)),
        ("seccomp", seccomp.restrict),
    )
    for name, build in steps:
        try:
            active.append(build())
        except OSError as problem:
            missing.append(f"{name}: {problem.strerror or problem}")
    walls = Walls(mode=mode, active=tuple(active), missing=tuple(missing))
    if mode == "required" and missing:
        raise Broken(
            f"the worker's walls could not be built: {'; '.join(missing)}.",
            'Use a kernel with Landlock and seccomp, or set sandbox = "best-effort".',
            code="SandboxMissing",
        )
    return walls


def _set_limits(limits: Limits) -> tuple[list[str], list[str]]:
    """Limits that the kernel counts; those that are already tighter stay. Gives what was set and what could not be, in words."""
    wanted = [
        (resource.RLIMIT_AS, limits.memory_bytes, f"{limits.memory_bytes >> 20} MiB of memory"),
        (resource.RLIMIT_FSIZE, limits.file_size_bytes, f"{limits.file_size_bytes >> 20} MiB per file"),
        (resource.RLIMIT_NOFILE, limits.open_files, f"{limits.open_files} open files"),
        (resource.RLIMIT_CORE, 0, "no core dump"),
    ]
    if limits.cpu_s > 0:
        wanted.append((resource.RLIMIT_CPU, limits.cpu_s, f"{limits.cpu_s} s of processor"))
    done, failed = [], []
    for kind, most, words in wanted:
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        kept = hard if kind == resource.RLIMIT_CPU else most  # so that it ends by SIGXCPU, which can be told, not by SIGKILL
        try:
            resource.setrlimit(kind, (most, kept))
            done.append(words)
        except (ValueError, OSError):
            failed.append(f"limit of {words}: refused by this system")
    return [f"limits: {', '.join(done)}"], failed


def _no_new_privileges() -> str:
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    return "no new privileges"


@functools.cache
def _library_reads() -> tuple[str, ...]:
    """Code that is loaded late (Python modules and shared libraries beside them), and what encoders ask of the machine."""
    places = sysconfig.get_paths()
    code = {places[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")} | {str(Path(__file__).resolve().parents[1])}
    return tuple(path for path in (*sorted(code), *_LIBRARY_READS) if os.path.exists(path))
