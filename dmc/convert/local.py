"""Converting here and now, without a server: the same worker processes, results renamed into place without replacing.

Everything is written into a hidden folder beside the target (`.dmc-…`) and published only when it was verified; that
folder goes away whatever happens.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dmc.convert.source import Source
from dmc.errors import DmcError, StillBroken, UsageFault, WholeFileMismatch
from dmc.files import Disk, publish, temp_name, translate
from dmc.interrupt import undisturbed
from dmc.jobs import ErrorNote, Job, Progress, Report

_WITHOUT_DIGEST = ("failed", "unavailable", "crashed", "cancelled")


class Pool(Protocol):
    """What is needed of convert/pool.py."""

    def submit(self, job: Job) -> None: ...
    def poll(self) -> "list[Progress | Report]": ...
    def free_slots(self) -> int: ...
    def wait(self, timeout_s: float) -> None: ...
    def wake(self) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of one local conversion; `target` is the published result, `sidecars` lie beside it, `receipt` is what the worker wrote,
    with the source's digest."""

    source: Path
    report: Report
    target: Path | None
    receipt: Path | None
    sidecars: tuple[Path, ...] = ()


@dataclass(slots=True)
class _Room:
    """Where one source is converted; `report`: the worker's, from when it was heard."""

    folder: Path
    source: Source
    report: Report | None = None

    @property
    def ended(self) -> Report | None:
        """The report, when nothing is left to wait for: what is no failure waits for the source's digest."""
        return self.report if self.report and (self.source.is_read or self.report.kind in _WITHOUT_DIGEST) else None


class LocalRun:
    """Converts files one after the other or side by side; see `run`.

    `names(source, ending)` gives the names a result may take, best first.
    """

    def __init__(self, pool: Pool, disk: Disk, names: Callable[[Path, str], Iterable[Path]]) -> None:
        self._pool = pool
        self._disk = disk
        self._names = names
        self._rooms: dict[str, _Room] = {}

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
        with undisturbed(self._pool.wake) as is_interrupted:  # No room is left behind, and a result under its name is told of, too.
            try:
                while waiting or self._rooms:
                    if is_interrupted():
                        raise KeyboardInterrupt
                    while waiting and self._pool.free_slots() and not is_interrupted():
                        source = waiting.pop()
                        try:
                            self._begin(source, conversion_type, options)
                        except (OSError, DmcError) as problem:
                            on_end(Ended(source, _not_begun(source, problem), None, None))
                    self._pool.wait(0.5)
                    self._listen(on_progress, on_end)
            finally:
                self._pool.close()  # First: nobody may write into a room that is being removed.
                for item_id in list(self._rooms):
                    self._forget(item_id)

    def _listen(self, on_progress: Callable[[Path, Progress], None], on_end: Callable[[Ended], None]) -> None:
        for said in self._pool.poll():
            if isinstance(said, Progress):
                on_progress(self._rooms[said.item_id].source.path, said)
            else:
                self._rooms[said.item_id].report = said
        for item_id, room in list(self._rooms.items()):
            if room.ended is not None:
                on_end(self._end(room, _believed(room.ended, room)))
                self._forget(item_id)

    def _begin(self, source: Path, conversion_type: str, options: dict[str, Any]) -> None:
        target = next(iter(self._names(source, "")))
        opened = Source(source, self._pool.wake)  # First: a file that cannot be read leaves no room behind.
        room = target.parent / temp_name()
        item_id = room.name
        self._rooms[item_id] = _Room(room, opened)
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
                    file_size=opened.was.st_size,
                    sha512_checksum="",  # It is computed meanwhile, and put into the receipt.
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

    def _end(self, room: _Room, report: Report) -> Ended:
        source = room.source
        receipt = room.folder / "out" / "receipt.json"
        if report.result is None:
            return Ended(source.path, report, None, receipt if receipt.is_file() and report.kind != "failed" else None)
        made = room.folder / "out" / report.result.file_name
        try:
            for file in made.parent.glob(f"{made.stem}.*"):
                self._disk.sync_file(file)
        except OSError as problem:
            said = translate(problem, f"keeping the result of {_label_of(source.path)}")
            return Ended(source.path, _failed(report.item_id, said, report), None, None)
        target = self._publish(made, self._names(source.path, made.suffix))
        _keep_times(source.was, target)
        beside = tuple(self._publish_beside(file, made, target) for file in sorted(made.parent.glob(f"{made.stem}.*")))
        for sidecar in beside:
            _keep_times(source.was, sidecar)
        return Ended(source.path, report, target, receipt, beside)

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
        room = self._rooms[item_id]
        shutil.rmtree(room.folder, ignore_errors=True)
        room.source.close()
        del self._rooms[item_id]


def _label_of(source: Path) -> str:
    return os.fsencode(source.name).decode("utf-8", "replace")


def _not_begun(source: Path, problem: OSError | DmcError) -> Report:
    said = translate(problem, f"reading {_label_of(source)}") if isinstance(problem, OSError) else problem
    return _failed(temp_name(), said)


def _believed(report: Report, room: _Room) -> Report:
    """The worker's report, its receipt signed with the digest of the source; a failure where that is not what was converted."""
    source = room.source
    if report.kind == "cancelled":
        return report
    if not source.is_as_it_was():
        problem = WholeFileMismatch(f"{_label_of(source.path)} changed while it was converted.", "Convert it again when it is complete.")
        return _failed(report.item_id, problem, report)
    if report.kind in _WITHOUT_DIGEST:
        return report
    try:
        digest = source.sha512()
    except OSError as problem:
        return _failed(report.item_id, translate(problem, f"reading {_label_of(source.path)}"), report)
    try:
        _sign(room.folder / "out" / "receipt.json", digest)
    except (ValueError, LookupError, TypeError):
        return _failed(report.item_id, StillBroken("the worker's receipt cannot be understood."), report)
    return report


def _failed(item_id: str, said: DmcError, report: Report | None = None) -> Report:
    note = ErrorNote(code=said.code, message=said.message, hint=said.hint)
    return Report(item_id=item_id, attempt=1, kind="failed", media_type=report.media_type if report else None, errors=(note,))


def _sign(receipt: Path, sha512: str) -> None:
    """Put the digest of the source into a receipt; what is no receipt raises ValueError, LookupError or TypeError."""
    if receipt.is_file():
        content = json.loads(receipt.read_bytes())
        content["source"]["sha512"] = sha512
        receipt.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _keep_times(was: os.stat_result, target: Path) -> None:
    """The result carries the original's time and is never readable by more people than the original was."""
    os.utime(target, ns=(was.st_atime_ns, was.st_mtime_ns))
    os.chmod(target, was.st_mode & 0o666)
