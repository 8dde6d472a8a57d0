"""What one worker has said so far, checked against its job. Pure: bytes and times in, progress and one report out.

The worker is not trusted: lines have a length, a pace and a sender, and after the report there is silence. Whatever breaks
that is Rubbish. Also where a report is compared with what really lies in out/, and where silence becomes a report.
"""

import os
import re
import signal
import stat
from dataclasses import dataclass, field
from typing import Any

from dmc.convert.launch import NOT_BEGUN
from dmc.convert.wire import LINE_LIMIT, Rubbish, Walls, decode
from dmc.jobs import ErrorNote, Job, MadeFile, Progress, Report

PROGRESS_EVERY_S = 0.25
"""At most four progress values per second and job."""

_MOST_FILES = 1000
_SHA512 = re.compile(r"[0-9a-f]{128}")
_LINES_AT_ONCE = 64
_LINES_PER_S = 16.0


@dataclass(slots=True)
class Conversation:
    """One worker's side of a job, begun at `began` (monotonic seconds)."""

    job: Job
    began: float
    heard_at: float = field(init=False)
    walls: Walls | None = None
    report: Report | None = None
    _buffer: bytearray = field(default_factory=bytearray)
    _lines: int = 0
    _fraction: float = 0.0
    _told_at: float | None = None

    def __post_init__(self) -> None:
        self.heard_at = self.began

    def hear(self, data: bytes, now: float) -> list[Progress]:
        """Take in bytes; gives the progress worth telling. Raises Rubbish."""
        self._buffer += data
        told: list[Progress] = []
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            told.extend(self._take(line, now))
        if len(self._buffer) > LINE_LIMIT:
            raise Rubbish("it sent a line without an end")
        if self.report is not None and self._buffer:
            raise Rubbish("it went on after its report")
        return told

    def _take(self, line: bytes, now: float) -> list[Progress]:
        self._lines += 1
        if len(line) > LINE_LIMIT:
            raise Rubbish("it sent too long a line")
        if self._lines > _LINES_AT_ONCE + _LINES_PER_S * (now - self.began):
            raise Rubbish("it sent far more lines than agreed")
        if self.report is not None:
            raise Rubbish("it went on after its report")
        said = decode(line)
        self.heard_at = now
        if isinstance(said, Walls):
            self.walls = said
            return []
        if (said.item_id, said.attempt) != (self.job.item_id, self.job.attempt):
            raise Rubbish("it spoke of another item")
        if isinstance(said, Progress):
            return self._pace(said, now)
        if said.kind == "cancelled":
            raise Rubbish("it claimed to be cancelled")
        self.report = said
        return []

    def _pace(self, said: Progress, now: float) -> list[Progress]:
        """Never falling, within 0..1, at most four a second."""
        self._fraction = max(self._fraction, min(1.0, said.fraction))
        if self._told_at is not None and now - self._told_at < PROGRESS_EVERY_S:
            return []
        self._told_at = now
        return [said.model_copy(update={"fraction": self._fraction})]


def doubt(job: Job, report: Report) -> str | None:
    """Why `report` cannot be believed, given what lies in out/; None if it can. Call it when nobody writes there any more."""
    if (report.item_id, report.attempt) != (job.item_id, job.attempt):
        return "it is about another item"
    try:
        strange = _strange_entry(job.out_dir)
    except OSError as problem:
        return f"out/ cannot be read ({problem.strerror})"
    if strange is not None:
        return strange
    if report.kind != "converted":
        return None if report.result is None else f"it names a result, yet says {report.kind}"
    if report.result is None:
        return "it names no result"
    names = [told.file_name for told in report.result.files]
    if len(set(names)) != len(names):
        return "it names a file twice"
    return next((why for told in report.result.files if (why := _strange_file(job, told)) is not None), None)


def _strange_file(job: Job, told: MadeFile) -> str | None:
    """What is wrong with one file of a result."""
    name = told.file_name
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        return "the name of its result is no file name"
    if _SHA512.fullmatch(told.sha512_checksum) is None:
        return "the digest of its result is none"
    try:
        found = os.lstat(os.path.join(job.out_dir, name))
    except (OSError, ValueError):
        return "its result is not there"
    if not stat.S_ISREG(found.st_mode):
        return "its result is no file"
    if found.st_size != told.file_size:
        return f"its result has {found.st_size} bytes, not {told.file_size}"
    return None


def _strange_entry(folder: str) -> str | None:
    """What is wrong with an output folder: anything but files with a single name, since links could lead out of the room."""
    with os.scandir(folder) as entries:
        for number, entry in enumerate(entries):
            if number == _MOST_FILES:
                return f"out/ holds more than {_MOST_FILES} files"
            if not entry.is_file(follow_symlinks=False) or entry.stat(follow_symlinks=False).st_nlink != 1:
                return f"{entry.name!r} in out/ is no file of its own"
    return None


def death_of(job: Job, code: int | None) -> Report:
    """The report of a worker that ended without one; `code` is its exit code, or minus the signal, or None if nobody saw it."""
    if code == -signal.SIGXCPU:
        return report_of(job, "failed", "TooLarge", "it took more processor time than one job may use.", "Raise the limit cpu_s.")
    if code == NOT_BEGUN:
        hint = "It is tried again. The machine may lack memory, processes or open files."
        return report_of(job, "unavailable", "NoWorker", "no worker could be started.", hint)
    hint = "The item's log holds its last words."
    if code is None:
        return report_of(job, "crashed", "WorkerDied", "the process that starts the workers died, and the worker with it.", hint)
    if code == -signal.SIGKILL:
        hint = "Perhaps the machine ran out of memory; the system's log would say so."
    how = f"was ended by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
    return report_of(job, "crashed", "WorkerDied", f"the worker {how} and left no result.", hint)


def _signal_name(number: int) -> str:
    """`SIGKILL (Killed)`; real-time signals have no name."""
    known = {known.value: known.name for known in signal.Signals}
    return f"{known[number]} ({signal.strsignal(number)})" if number in known else f"signal {number}"


def report_of(job: Job, kind: Any, code: str, message: str, hint: str = "") -> Report:
    """A report with one error."""
    note = ErrorNote(code=code, message=message, hint=hint)
    return Report(item_id=job.item_id, attempt=job.attempt, kind=kind, errors=(note,))
