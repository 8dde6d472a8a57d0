"""What one worker has said so far, checked against its job. Pure: bytes and times in, progress and one report out.

The worker is not trusted: lines have a length, a pace and a sender, and after the report there is silence. Whatever breaks
that is Rubbish. Also the one place where a report is compared with what really lies in out/.
"""

import os
import stat
from dataclasses import dataclass, field

from dmc.convert.wire import LINE_LIMIT, Rubbish, Walls, decode
from dmc.jobs import Job, Progress, Report

PROGRESS_EVERY_S = 0.25
"""At most four progress values per second and job."""

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
    strange = _strange_entry(job.out_dir)
    if strange is not None:
        return f"{strange!r} in out/ is neither a file nor a folder of its own"
    if report.kind != "converted":
        return None if report.result is None else f"it names a result, yet says {report.kind}"
    if report.result is None:
        return "it names no result"
    name = report.result.file_name
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        return "the name of its result is no file name"
    try:
        found = os.lstat(os.path.join(job.out_dir, name))
    except (OSError, ValueError):
        return "its result is not there"
    if not stat.S_ISREG(found.st_mode):
        return "its result is no file"
    if found.st_size != report.result.file_size:
        return f"its result has {found.st_size} bytes, not {report.result.file_size}"
    return None


def _strange_entry(folder: str) -> str | None:
    """The first entry that is neither a folder nor a file with a single name; links could lead out of the room."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return None
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            inner = _strange_entry(entry.path)
            if inner is not None:
                return f"{entry.name}/{inner}"
        elif not entry.is_file(follow_symlinks=False) or entry.stat(follow_symlinks=False).st_nlink != 1:
            return entry.name
    return None
