"""Forgets acknowledged records of which nothing is left: neither the file nor its result has been where it was for a month.

Looks once a day. While either lies there the record stays, since it is what keeps the file from being converted again, and so it does
while the original lies in the trash. The month begins with the first look that misses both and is written down then; a look that sees
either ends it. Nothing is inferred from a folder that is offline, nor from one for results whose disk is not there. Belongs to the sync
thread; only the looking runs in a worker.
"""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from dmc.client.catalog import Catalog
from dmc.client.crew import Crew
from dmc.client.records import NOT_MISSING, OutboxRecord, OutboxStatus, decode_path
from dmc.client.roots import Roots
from dmc.clock import Clock, rfc3339
from dmc.log import Log

_LOG = Log("client")

EVERY_S = 24 * 3600.0
KEPT_S = 30 * 24 * 3600.0
APART_S = 12 * 3600.0
"""Between the look that finds the month over and the one that ends the record: looks of different days, a start in between or not."""
MOST = 500
"""Records that end per day, each in a durable step of its own, and records of one durable line."""

Places = tuple[str, str, str | None]
"""A record's id, and the encoded paths of its file and its result."""


@dataclass(frozen=True, slots=True)
class Looked:
    """Ids: `missed`, neither file nor result was there; `seen`, one of them was, though the record says that both are missing."""

    missed: Sequence[str]
    seen: Sequence[str]


class Retire:
    """The end of records. `step` looks when it is time."""

    def __init__(self, catalog: Catalog, roots: Roots, crew: Crew, clock: Clock) -> None:
        self._catalog = catalog
        self._roots = roots
        self._crew = crew
        self._clock = clock
        self._next_at = clock.monotonic()

    def step(self, now: float) -> None:
        """`now` is monotonic."""
        if now < self._next_at or not self._crew.free("sweep"):
            return
        self._next_at = now + EVERY_S
        places = self._catalog.places(OutboxStatus.ACKNOWLEDGED)
        if places:
            there = [root.observed.apart or root.observed.path for root in self._roots.all if root.home_is_there()]
            self._crew.submit("sweep", partial(_look, places, self._catalog.missing(), there), self._looked, _not_looked)

    def _looked(self, looked: Looked) -> None:
        for start in range(0, len(looked.seen), MOST):
            self._catalog.update_all(looked.seen[start : start + MOST], seen)
        now = self._clock.now()
        over, to_note = self._sorted(looked.missed, now)
        for record in over[:MOST]:
            self._catalog.remove(record)
        for start in range(0, len(to_note), MOST):
            self._catalog.update_all(to_note[start : start + MOST], partial(missed, now=now))
        if over:
            _LOG.info("retired", records=len(over[:MOST]))

    def _sorted(self, record_ids: Sequence[str], now: datetime) -> tuple[list[OutboxRecord], list[str]]:
        """Of those that were missed: the records that end, and the ids of those with something to write down."""
        over, to_note = [], []
        there: dict[str, bool] = {}
        for record_id in record_ids:
            record = self._catalog.get(record_id)
            if record is None or record.trash is not None or (record.root is not None and not self._is_there(record.root, there)):
                continue
            if is_over(record, now):
                over.append(record)
            elif missed(record, now) is not None:
                to_note.append(record_id)
        return over, to_note

    def _is_there(self, key: str, known: dict[str, bool]) -> bool:
        """Whether the root is, and is no mount point without its disk where its results go; looked at once per day, not once per record."""
        if key not in known:
            root = self._roots.by_key(key)
            known[key] = root is not None and root.is_there() and not root.home_is_offline()
        return known[key]


def missed(record: OutboxRecord, now: datetime) -> OutboxRecord | None:
    """The record after a look that missed its file and its result; None if there is nothing new to write down.

    The first such look is written down, and the first one a month later; a clock that was set back begins anew.
    """
    if record.status is not OutboxStatus.ACKNOWLEDGED:
        return None
    since, again = _seconds(record.missing_since, now), _seconds(record.missing_again, now)
    if since is None or since < 0:
        return record.changed(missing_since=rfc3339(now), missing_again=None)
    if since <= KEPT_S:
        return record.changed(missing_again=None) if again is not None else None
    return record.changed(missing_again=rfc3339(now)) if again is None or again < 0 else None


def is_over(record: OutboxRecord, now: datetime) -> bool:
    """Whether the record ends with a look that missed both: the month was over at an earlier one already.

    A clock that jumps ahead by a year ends a month, but no day between two looks of a running client.
    """
    since, again = _seconds(record.missing_since, now), _seconds(record.missing_again, now)
    return record.status is OutboxStatus.ACKNOWLEDGED and (since or 0) > KEPT_S and (again or 0) >= APART_S


def seen(record: OutboxRecord) -> OutboxRecord | None:
    """The record after a look that saw its file or its result."""
    return record.changed(**NOT_MISSING) if record.missing_since is not None else None


def _seconds(since: str | None, now: datetime) -> float | None:
    return None if since is None else (now - datetime.fromisoformat(since)).total_seconds()


def _look(places: Sequence[Places], missing: Collection[str], there: Sequence[Path]) -> Looked:
    """`missing`: the records that were missed before; `there`: folders with results whose disks are. Runs in a worker thread."""
    gone, back = [], []
    for record_id, file, result in places:
        if _is_gone(decode_path(file)) and _is_taken_away(result, there):
            gone.append(record_id)
        elif record_id in missing and any(os.path.lexists(decode_path(place)) for place in (file, result) if place is not None):
            back.append(record_id)
    return Looked(gone, back)


def _is_taken_away(result: str | None, there: Sequence[Path]) -> bool:
    """Whether the result lies there no more, though its folder is there, or was deleted below one that is."""
    if result is None:
        return True
    place = decode_path(result)
    return _is_gone(place) and (os.path.isdir(place.parent) or any(place.is_relative_to(folder) for folder in there))


def _is_gone(place: Path) -> bool:
    try:
        os.lstat(place)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False  # A share that stutters, a folder that is locked: nobody can tell.
    return False


def _not_looked(problem: Exception) -> None:
    _LOG.warning("not retired", reason=repr(problem))
