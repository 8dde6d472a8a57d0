"""Plans for many files at once: each is looked at by a worker in its locked room, several side by side; nothing is touched.

Rooms are folders in the system's folder for temporary files and go away whatever happens. Of many pictures of one kind some are
encoded, evenly spread, and speak for the others.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmc.conversions import MediaType
from dmc.convert.estimate import SAMPLES, Estimate, Expectation, kept_if_larger, read_estimate
from dmc.convert.local import Pool
from dmc.errors import StillBroken
from dmc.interrupt import undisturbed
from dmc.jobs import Job, Progress, Report

PICTURES_TRIED = 48
"""How many pictures of one ending and type are encoded; the others are told from these."""

_UNSURE = 0.5
"""By how much a single picture may differ from what others of its kind came to."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file of `file_size` bytes and what it shall become; `picture`: it looks like one."""

    path: Path
    file_size: int
    conversion_type: str
    options: dict[str, Any]
    picture: bool = False


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would be done with one file."""

    wanted: Wanted
    estimate: Estimate

    @property
    def gain(self) -> int | None:
        """Bytes that would be saved, negative where the result is larger; 0 where nothing changes, None where nobody knows."""
        if self.estimate.outcome != "convert":
            return 0
        return None if self.estimate.expected is None else self.wanted.file_size - self.estimate.expected.size


class ForecastRun:
    """Looks at files side by side; see `run`. `samples`: encode pieces, too."""

    def __init__(self, pool: Pool, *, samples: bool = True) -> None:
        self._pool = pool
        self._samples = samples
        self._rooms: dict[str, tuple[Wanted, Path]] = {}

    def run(self, files: Sequence[Wanted], on_progress: Callable[[float], None]) -> list[Forecast]:
        """A forecast for each file, in the order of `files`; closes the pool. `on_progress` hears the share that is done."""
        tried = _pictures_to_try(files) if self._samples else set()
        found: dict[Path, Forecast] = {}
        under_way: dict[str, float] = {}
        waiting = list(reversed(files))
        with undisturbed(self._pool.wake) as is_interrupted:
            home = Path(tempfile.mkdtemp(prefix="dmc-plan-"))
            try:
                while waiting or self._rooms:
                    if is_interrupted():
                        raise KeyboardInterrupt
                    while waiting and self._pool.free_slots() and not is_interrupted():
                        wanted = waiting.pop()
                        self._begin(home, wanted, self._samples and (not wanted.picture or wanted.path in tried))
                    self._pool.wait(0.5)
                    for said in self._pool.poll():
                        if isinstance(said, Progress):
                            under_way[said.item_id] = said.fraction
                            continue
                        under_way.pop(said.item_id, None)
                        made = self._end(said)
                        found[made.wanted.path] = made
                    on_progress((len(found) + sum(under_way.values())) / len(files))
            finally:
                self._pool.close()  # First: nobody may write into a room that is being removed.
                shutil.rmtree(home, ignore_errors=True)
        return _filled_in([found[wanted.path] for wanted in files])

    def _begin(self, home: Path, wanted: Wanted, samples: bool) -> None:
        room = Path(tempfile.mkdtemp(dir=home))
        (room / "out").mkdir()
        (room / "log.txt").touch()
        self._rooms[room.name] = (wanted, room)
        self._pool.submit(
            Job(
                item_id=room.name,
                attempt=1,
                original=os.path.abspath(wanted.path),
                out_dir=str(room / "out"),
                log_file=str(room / "log.txt"),
                label=os.fsencode(wanted.path.name).decode("utf-8", "replace"),
                conversion_type=wanted.conversion_type,
                options={**wanted.options, SAMPLES: samples},
                file_size=wanted.file_size,
                sha512_checksum="",
                sidecars=True,
            )
        )

    def _end(self, report: Report) -> Forecast:
        wanted, room = self._rooms.pop(report.item_id)
        try:
            made = read_estimate(room / "out") if report.kind == "skipped" else _refusal(report)
        except StillBroken as problem:
            made = Estimate(outcome="refuse", reason=problem.message, hint=problem.hint)
        shutil.rmtree(room, ignore_errors=True)
        return Forecast(wanted, made)


def _refusal(report: Report) -> Estimate:
    """What cannot be looked at cannot be converted, for the same reason."""
    first = report.errors[0] if report.errors else None
    reason, hint = (first.message, first.hint) if first is not None else ("the worker gave no reason.", "")
    return Estimate(outcome="refuse", reason=reason.rstrip("."), hint=hint, media_type=report.media_type)


def _kind_of(wanted: Wanted) -> tuple[str, str]:
    return wanted.path.suffix.lower(), wanted.conversion_type


def _pictures_to_try(files: Sequence[Wanted]) -> set[Path]:
    """Of each kind of pictures all, or as many as are allowed, from the smallest to the largest evenly."""
    kinds: dict[tuple[str, str], list[Wanted]] = {}
    for wanted in files:
        if wanted.picture:
            kinds.setdefault(_kind_of(wanted), []).append(wanted)
    tried: set[Path] = set()
    for pictures in kinds.values():
        pictures.sort(key=lambda wanted: wanted.file_size)
        step = max(1.0, len(pictures) / PICTURES_TRIED)
        tried |= {pictures[int(n * step)].path for n in range(min(len(pictures), PICTURES_TRIED))}
    return tried


def _filled_in(found: list[Forecast]) -> list[Forecast]:
    """Pictures that were not encoded, told from those of the same kind that were."""
    kinds: dict[tuple[str, str], list[Forecast]] = {}
    for one in found:
        if one.estimate.expected is not None and one.estimate.media_type is MediaType.IMAGE:
            kinds.setdefault(_kind_of(one.wanted), []).append(one)
    return [_told_from(one, kinds.get(_kind_of(one.wanted), [])) for one in found]


def _told_from(one: Forecast, others: list[Forecast]) -> Forecast:
    made = one.estimate
    if made.outcome != "convert" or made.expected is not None or made.media_type is not MediaType.IMAGE or not others:
        return one
    known = [other.estimate.expected for other in others if other.estimate.expected is not None]
    before = sum(other.wanted.file_size for other in others) or 1
    size = one.wanted.file_size * sum(expected.size for expected in known) / before
    told = Expectation(
        size=round(size),
        low=round(size * (1 - _UNSURE)),
        high=round(size * (1 + _UNSURE)),
        seconds=one.wanted.file_size * sum(expected.seconds for expected in known) / before,
        basis="others",
    )
    return Forecast(one.wanted, kept_if_larger(made.model_copy(update={"expected": told}), one.wanted.file_size))
