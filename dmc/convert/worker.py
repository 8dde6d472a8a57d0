"""The child's main: reads one order, builds its walls, runs the engine, says one report, ends.

The order of steps is the point: everything that could be turned against the machine is given up before the original is opened.
What libraries print, tracebacks, and the last words of a native crash go to the job's log file. Never writes but there and in out/.
"""

import errno
import faulthandler
import importlib
import os
import pkgutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from dmc.convert import sandbox
from dmc.convert.conversation import PROGRESS_EVERY_S
from dmc.convert.handover import lend
from dmc.convert.limits import Limits
from dmc.convert.progress import OnProgress
from dmc.convert.quiet import be_quiet
from dmc.convert.release import keep_to_one_heap, keep_to_small_pages
from dmc.convert.sidedata import libav_speaks
from dmc.convert.wire import LINE_LIMIT, Order, decode_order, encode
from dmc.errors import Broken, DmcError, NotFound, StillBroken, TooLarge, Unavailable
from dmc.files import translate
from dmc.jobs import ErrorNote, Job, Progress, Report
from dmc.log import Log, start_logging

Engine = Callable[[Job, Limits, OnProgress], Report]
"""Turns an original into a result; raises DmcError, or reports. It tells how far it is: fraction, speed, seconds to go."""

_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}
_PR_SET_PDEATHSIG = 1
_WORDS, _NOTES = 2000, 8


_NOT_NEEDED = ("av.__main__", "av.datasets")
_PILLOW = ("ImageChops", "ImageCms", "ImageColor", "ImageFile", "ImageMath", "ImageOps", "ImagePalette", "ImageSequence", "features")
_OURS = ("pictures", "pictures_check", "pictures_plan", "previews")


def warm_up() -> None:
    """Import all that a job on video or sound may need, and prepare its walls."""
    for module in pkgutil.walk_packages(importlib.import_module("av").__path__, "av."):
        if module.name not in _NOT_NEEDED:
            importlib.import_module(module.name)
    time.tzset()
    sandbox.prepare()


def warm_up_pictures() -> None:
    """Import what a picture or a preview needs besides; so that a forked worker imports nothing more."""
    for name in (*(f"PIL.{name}" for name in _PILLOW), *(f"dmc.convert.{name}" for name in _OURS)):
        importlib.import_module(name)
    importlib.import_module("PIL.Image").init()


def main(channel: int, parent_pid: int | None) -> int:
    """One job, ordered through descriptor `channel`; gives the exit code.

    `parent_pid` is whom we do not outlive: the fork server that forked us, or the owner of the one that we were; None where the channel
    alone is watched.
    """
    leave_ending_to_the_owner()
    order = decode_order(_read_line(channel))
    voice = _Voice(channel)
    try:
        quiet, loud = _settle_in(order, parent_pid)
        if not os.path.isfile(order.job.original):
            raise NotFound("the original is not there.")
        limits = Limits.from_plain(order.limits)
        engine = load(order.entry)
        walls = sandbox.apply(order.sandbox, [order.job.original], [order.job.out_dir], limits)
        voice.say("hello", walls.model_copy(update={"active": (*walls.active, *quiet, _who()), "missing": (*walls.missing, *loud)}))
        if order.watch_channel:
            threading.Thread(target=_end_with, args=(channel,), daemon=True).start()
    except (DmcError, OSError) as problem:
        report = _report_of(order.job, problem)
    else:
        report = run(engine, order.job, limits, voice.progress)
    sys.stdout.flush()
    sys.stderr.flush()
    voice.say("report", _shortened(report))
    return 0


def leave_ending_to_the_owner() -> None:
    """Ctrl-C and a service manager's SIGTERM reach every process of ours; the broker alone decides what becomes of its jobs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def run(engine: Engine, job: Job, limits: Limits, on_progress: Callable[[Progress], None]) -> Report:
    """`engine` on `job`, every error turned into a report: the last line of defence of this room."""
    try:
        return engine(job, limits, lambda fraction, speed, eta_s: on_progress(_progress(job, fraction, speed, eta_s)))
    except MemoryError:
        problem: DmcError = TooLarge("converting it needs more memory than one worker may use.", "Raise the limit memory_bytes.")
    except DmcError as refused:
        problem = refused
    except OSError as fault:
        Log("convert").fault("an engine failed", item=job.item_id)
        problem = _os_fault(fault)
    except Exception as unforeseen:  # noqa: BLE001
        Log("convert").fault("an engine failed", item=job.item_id)
        problem = StillBroken(f"the engine failed with {type(unforeseen).__name__}.", "The item's log holds the details.")
    return _report_of(job, problem)


def _progress(job: Job, fraction: float, speed: float | None, eta_s: float | None) -> Progress:
    return Progress(item_id=job.item_id, attempt=job.attempt, worker_pid=os.getpid(), fraction=fraction, speed=speed, eta_s=eta_s)


def load(entry: str) -> Any:
    """The function that `module:function` names."""
    module, _, name = entry.partition(":")
    return getattr(importlib.import_module(module), name)


def _os_fault(fault: OSError) -> DmcError:
    if fault.errno in _OF_THE_DISK:
        return translate(fault, "converting")
    return StillBroken(
        f"converting: {fault.strerror or fault}.", "The worker's walls, or its limits, refuse this; the item's log says where."
    )


def _report_of(job: Job, problem: DmcError | OSError) -> Report:
    error = _os_fault(problem) if isinstance(problem, OSError) else problem
    kind = "unavailable" if isinstance(error, Unavailable) else "crashed" if isinstance(error, Broken) else "failed"
    note = ErrorNote(code=error.code, message=error.message, hint=error.hint)
    return Report(item_id=job.item_id, attempt=job.attempt, kind=kind, errors=(note,))


def _shortened(report: Report) -> Report:
    """The report with its words cut to what fits a line; a hundred lost streams make long sentences."""
    notes = tuple(note.model_copy(update={"message": note.message[:_WORDS], "hint": note.hint[:_WORDS]}) for note in report.errors[:_NOTES])
    return report.model_copy(update={"errors": notes, "reason": report.reason[:_WORDS] if report.reason else report.reason})


class _Voice:
    """The worker's side of the channel; a broken one ends the process, since nobody is left to work for."""

    def __init__(self, channel: int) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._told_at = 0.0

    def progress(self, said: Progress) -> None:
        now = time.monotonic()
        if now - self._told_at < PROGRESS_EVERY_S:
            return
        self._told_at = now
        self.say("progress", said)

    def say(self, kind: Any, value: BaseModel) -> None:
        line = encode(kind, value)
        with self._lock:
            try:
                while line:
                    line = line[os.write(self._channel, line) :]
            except (BrokenPipeError, ConnectionResetError):
                os._exit(1)


def _read_line(channel: int) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n") and len(line) <= LINE_LIMIT:
        part = os.read(channel, LINE_LIMIT)
        if not part:
            os._exit(1)  # who ordered is gone
        line += part
    return bytes(line)


def _settle_in(order: Order, parent_pid: int | None) -> tuple[list[str], list[str]]:
    """Own session, own log, quiet priority, less rights, and an end when the parent ends; how quiet it is, in words."""
    if parent_pid is not None and os.getsid(0) != os.getpid():
        os.setsid()
    _open_log(order)
    os.umask(0o077)
    quiet = be_quiet(order.nice)
    keep_to_one_heap()
    keep_to_small_pages()
    if order.run_as is not None and os.getuid() == 0:
        _drop_rights(order.job, *order.run_as)
    if parent_pid is not None:
        sandbox.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # after the change of user, which would clear it
        if os.getppid() != parent_pid:
            os._exit(1)
    os.chdir(order.job.out_dir)
    tempfile.tempdir = order.job.out_dir
    return quiet


def _open_log(order: Order) -> None:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    log = os.open(order.job.log_file, flags, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(log)
    os.close(nothing)
    faulthandler.enable()
    start_logging("info")
    libav_speaks()
    Log("worker").info("begin", item=order.job.item_id, attempt=order.job.attempt, conversion=order.job.conversion_type)


def _drop_rights(job: Job, uid: int, gid: int) -> None:
    """Become another user; what the job needs goes along. The folders above the item's must let that user pass."""
    lend(job, uid, gid)
    os.setgroups([])
    os.setgid(gid)  # as root these two set the real, the effective and the saved id
    os.setuid(uid)


def _who() -> str:
    if os.getuid() != 0:
        return f"user {os.getuid()}"
    return "user root (no other user is configured for workers)"


def _end_with(channel: int) -> None:
    """End when the other end of the channel is gone, for systems that have no signal for that."""
    try:
        while os.read(channel, 1):
            pass
    finally:
        os._exit(1)
