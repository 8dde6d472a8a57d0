"""Previews of files that were converted before there were any, or whose previews were lost: made by workers in their locked rooms.

A worker reads the file and writes into a folder for temporary files; nothing of the item is touched here. What it left is believed only as
far as it fits: plain files, as large and with the digests that its facts.json says.
"""

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmc.convert import places
from dmc.convert.gallery import Gallery
from dmc.convert.limits import Limits
from dmc.convert.local import Pool
from dmc.convert.previews import leave_products
from dmc.convert.probe import probe
from dmc.convert.progress import OnProgress
from dmc.interrupt import undisturbed
from dmc.jobs import Job, Progress, Report
from dmc.products import FACTS_FILE, MOST_BYTES, Products

ENTRY = "dmc.convert.previews_again:make"
_LARGEST = 8 << 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file to look at, of the item `item_id`, and what its conversion was asked for; `label` is what people call it."""

    item_id: str
    path: Path
    label: str
    conversion_type: str
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Made:
    """Files by name, facts.json the last; none of them where `problem` says why not."""

    wanted: Wanted
    files: dict[str, bytes]
    problem: str = ""


def make(job: Job, limits: Limits, on_progress: OnProgress) -> Report:
    """Write facts and previews of the file of `job` into its out folder; errors of the file pass through."""
    facts = probe(Path(job.original), limits, job.label)
    on_progress(0.0, None, None)
    origin = places.without_places(facts) if job.options.get("strip_location") else facts
    leave_products(Path(job.out_dir), Gallery(), Path(job.original), facts, origin, limits)
    return Report(item_id=job.item_id, attempt=job.attempt, kind="skipped", media_type=facts.media_type, reason="previews")


class PreviewsRun:
    """Makes previews side by side; see `run`. `home` lies on the same disk as the files, for the time of the run.

    A worker sees its file by a link in its room: where it becomes another user, the item's own folder is closed to it.
    """

    def __init__(self, pool: Pool, home: Path) -> None:
        self._pool = pool
        self._rooms: dict[str, tuple[Wanted, Path, os.stat_result]] = {}
        self._home = home

    def run(self, files: Sequence[Wanted], on_end: Callable[[Made], None]) -> None:
        """Tell each end as it comes; closes the pool."""
        waiting = list(reversed(files))
        try:
            self._home.mkdir()
            self._home.chmod(0o711)
            while waiting or self._rooms:
                while waiting and self._pool.free_slots():
                    wanted = waiting.pop()
                    try:
                        self._begin(wanted)
                    except FileNotFoundError:
                        on_end(Made(wanted, {}, "it was deleted meanwhile"))
                self._pool.wait(0.5)
                for said in self._pool.poll():
                    if not isinstance(said, Progress):
                        wanted, room, was = self._rooms[said.item_id]
                        _as_before(wanted.path, was)
                        on_end(_made(wanted, room / "out", said))
                        del self._rooms[said.item_id]
                        shutil.rmtree(room, ignore_errors=True)
        finally:
            with undisturbed():
                self._pool.close()  # First: nobody may write into a room that is being removed.
                for wanted, _room, was in self._rooms.values():
                    _as_before(wanted.path, was)
                shutil.rmtree(self._home, ignore_errors=True)

    def _begin(self, wanted: Wanted) -> None:
        was = wanted.path.stat()
        room = self._home / wanted.item_id
        room.mkdir(mode=0o700)
        original = _link_in(room, wanted.path)
        (room / "out").mkdir()
        (room / "log.txt").touch()
        self._rooms[wanted.item_id] = (wanted, room, was)
        self._pool.submit(
            Job(
                item_id=wanted.item_id,
                attempt=1,
                original=os.path.abspath(original),
                out_dir=str(room / "out"),
                log_file=str(room / "log.txt"),
                label=wanted.label,
                conversion_type=wanted.conversion_type,
                options=wanted.options,
                file_size=was.st_size,
                sha512_checksum="",
                previews=True,
            )
        )


def _link_in(room: Path, path: Path) -> Path:
    """The same file in `room`; where the disk knows no links, the file itself."""
    link = room / f"file{path.suffix}"
    try:
        os.link(path, link)
    except FileNotFoundError:
        raise
    except OSError:
        return path
    return link


def _as_before(path: Path, was: os.stat_result) -> None:
    """Group and mode, which a worker that becomes another user was lent."""
    with suppress(OSError):
        now = path.stat()
        if os.path.samestat(now, was) and (now.st_gid, now.st_mode) != (was.st_gid, was.st_mode):
            os.chown(path, -1, was.st_gid)
            os.chmod(path, stat.S_IMODE(was.st_mode))


def _made(wanted: Wanted, out: Path, report: Report) -> Made:
    if report.kind != "skipped":
        return Made(wanted, {}, report.errors[0].message if report.errors else "the worker gave no reason.")
    text = _plain(out / FACTS_FILE, MOST_BYTES)
    told = None if text is None else Products.read(text)
    if text is None or told is None:
        return Made(wanted, {}, "the worker said nothing that can be understood.")
    files: dict[str, bytes] = {}
    for preview in (told.poster, told.sprite, told.waveform):
        if preview is not None:
            data = _plain(out / preview.file_name, _LARGEST)
            if data is None or len(data) != preview.file_size or hashlib.sha512(data).hexdigest() != preview.sha512_checksum:
                return Made(wanted, {}, f"the worker left another {preview.file_name} than it said.")
            files[preview.file_name] = data
    return Made(wanted, {**files, FACTS_FILE: text}, "; ".join(told.notes) if not files else "")


def _plain(path: Path, most: int) -> bytes | None:
    """A file of at most so many bytes, never through a link."""
    with suppress(OSError), os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        data = file.read(most + 1)
        return data if len(data) <= most else None
    return None
