"""Converting here and now, without a server: the same worker processes, results renamed into place without replacing.

Everything is written into a hidden folder beside the target (`.dmc-…`) and published only when it was verified; that
folder goes away whatever happens.
"""

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dmc.errors import DmcError, UsageFault, WholeFileMismatch
from dmc.files import Disk, publish, sha512_of, temp_name, translate
from dmc.interrupt import undisturbed
from dmc.jobs import ErrorNote, Job, Progress, Report


class Pool(Protocol):
    """What is needed of convert/pool.py."""

    def submit(self, job: Job) -> None: ...
    def poll(self) -> "list[Progress | Report]": ...
    def free_slots(self) -> int: ...
    def wait(self, timeout_s: float) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of one local conversion; `target` is the published result, `sidecars` lie beside it, `receipt` is what the worker wrote."""

    source: Path
    report: Report
    target: Path | None
    receipt: Path | None
    sidecars: tuple[Path, ...] = ()


class LocalRun:
    """Converts files one after the other or side by side; see `run`.

    `names(source, ending)` gives the names a result may take, best first.
    """

    def __init__(self, pool: Pool, disk: Disk, names: Callable[[Path, str], Iterable[Path]]) -> None:
        self._pool = pool
        self._disk = disk
        self._names = names
        self._rooms: dict[str, tuple[Path, Path, os.stat_result]] = {}

    def run(
        self,
        sources: list[Path],
        conversion_type: str,
        options: dict[str, Any],
        on_progress: Callable[[Path, Progress], None],
        on_end: Callable[[Ended], None],
    ) -> None:
        """Convert all, tell each end as it comes, close the pool. Nothing is left behind, also on Ctrl-C."""
        waiting = list(reversed(sources))
        try:
            while waiting or self._rooms:
                while waiting and self._pool.free_slots():
                    source = waiting.pop()
                    try:
                        self._begin(source, conversion_type, options)
                    except (OSError, DmcError) as problem:
                        on_end(Ended(source, _not_begun(source, problem), None, None))
                self._pool.wait(0.5)
                for said in self._pool.poll():
                    source, room, was = self._rooms[said.item_id]
                    if isinstance(said, Progress):
                        on_progress(source, said)
                        continue
                    report = said if _is_as_it_was(source, was) else _changed(said, source)
                    with undisturbed():  # A result that stands under its name is told of, too.
                        on_end(self._end(source, room, was, report))
                    self._forget(said.item_id)
        finally:
            with undisturbed():
                self._pool.close()  # First: nobody may write into a room that is being removed.
                for item_id in list(self._rooms):
                    self._forget(item_id)

    def _begin(self, source: Path, conversion_type: str, options: dict[str, Any]) -> None:
        was, digest = source.stat(), sha512_of(source)  # First: a file that cannot be read leaves no room behind.
        target = next(iter(self._names(source, "")))
        room = target.parent / temp_name()
        item_id = room.name
        self._rooms[item_id] = (source, room, was)  # Before it is there: Ctrl-C leaves none behind.
        try:
            self._furnish(room)
            self._pool.submit(
                Job(
                    item_id=item_id,
                    attempt=1,
                    original=os.path.abspath(source),
                    out_dir=str(room / "out"),
                    log_file=str(room / "log.txt"),
                    label=_label_of(source),
                    conversion_type=conversion_type,
                    options=options,
                    file_size=was.st_size,
                    sha512_checksum=digest,
                    sidecars=True,
                )
            )
        except (OSError, DmcError):
            self._forget(item_id)
            raise

    def _furnish(self, room: Path) -> None:
        self._disk.make_folder(room)
        self._disk.make_folder(room / "out")
        self._disk.write(room / "log.txt", b"")

    def _end(self, source: Path, room: Path, was: os.stat_result, report: Report) -> Ended:
        receipt = room / "out" / "receipt.json"
        if report.result is None:
            return Ended(source, report, None, receipt if receipt.is_file() and report.kind != "failed" else None)
        made = room / "out" / report.result.file_name
        target = self._publish(made, self._names(source, made.suffix))
        _keep_times(was, target)
        beside = tuple(self._publish_beside(file, made, target) for file in sorted(made.parent.glob(f"{made.stem}.*")))
        for sidecar in beside:
            _keep_times(was, sidecar)
        return Ended(source, report, target, receipt, beside)

    def _publish_beside(self, file: Path, made: Path, target: Path) -> Path:
        """`result.3.mks` under the name of the published result: `holiday.3.mks`, with a number more if there is one already."""
        ending = file.name.removeprefix(made.stem)
        names = (target.with_name(f"{target.stem}{more}{ending}") for more in ("", *(f" ({n})" for n in range(2, 1000))))
        return self._publish(file, names)

    def _publish(self, made: Path, names: Iterable[Path]) -> Path:
        for target in names:
            try:
                publish(self._disk, made, target)
            except FileExistsError:
                continue
            return target
        raise UsageFault("no free name was found for the result.")

    def _forget(self, item_id: str) -> None:
        shutil.rmtree(self._rooms[item_id][1], ignore_errors=True)
        del self._rooms[item_id]  # Afterwards: Ctrl-C removes the rest.


def _label_of(source: Path) -> str:
    return os.fsencode(source.name).decode("utf-8", "replace")


def _not_begun(source: Path, problem: OSError | DmcError) -> Report:
    said = translate(problem, f"reading {_label_of(source)}") if isinstance(problem, OSError) else problem
    note = ErrorNote(code=said.code, message=said.message, hint=said.hint)
    return Report(item_id=temp_name(), attempt=1, kind="failed", errors=(note,))


def _is_as_it_was(source: Path, was: os.stat_result) -> bool:
    try:
        now = source.stat()
    except OSError:
        return True  # It was moved away: what was converted was all of it.
    return (now.st_size, now.st_mtime_ns, now.st_ino) == (was.st_size, was.st_mtime_ns, was.st_ino)


def _changed(report: Report, source: Path) -> Report:
    """What is said of a result that was made of neither the file of before nor that of now."""
    if report.kind == "cancelled":
        return report
    problem = WholeFileMismatch(f"{_label_of(source)} changed while it was converted.", "Convert it again when it is complete.")
    note = ErrorNote(code=problem.code, message=problem.message, hint=problem.hint)
    return Report(item_id=report.item_id, attempt=report.attempt, kind="failed", media_type=report.media_type, errors=(note,))


def _keep_times(was: os.stat_result, target: Path) -> None:
    """The result carries the original's time and is never readable by more people than the original was."""
    os.utime(target, ns=(was.st_atime_ns, was.st_mtime_ns))
    os.chmod(target, was.st_mode & 0o666)
