"""Forgets, once a day, acknowledged records of which nothing is left: neither the file nor its result has been where it was for a month.

While either lies there the record stays, since it is what keeps the file from being converted again. Nothing is inferred from a
folder that is offline. Belongs to the sync thread; only the looking runs in a worker.
"""

import os
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from dmc.client.catalog import Catalog
from dmc.client.crew import Crew
from dmc.client.records import OutboxRecord, OutboxStatus, decode_path
from dmc.client.roots import Roots
from dmc.clock import Clock
from dmc.log import Log

_LOG = Log("client")

EVERY_S = 24 * 3600.0
KEPT_S = 30 * 24 * 3600.0
MOST = 500
"""Records per day: each is a durable step of its own."""

Places = tuple[str, str, str | None]
"""A record's id, and the encoded paths of its file and its result."""


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
            self._crew.submit("sweep", partial(_gone, places), self._forget, _not_looked)

    def _forget(self, record_ids: Sequence[str]) -> None:
        count = 0
        for record_id in record_ids:
            record = self._catalog.get(record_id)
            if record is not None and self._is_over(record):
                self._catalog.remove(record)
                count += 1
            if count == MOST:
                break
        if count:
            _LOG.info("retired", records=count)

    def _is_over(self, record: OutboxRecord) -> bool:
        root = self._roots.by_key(record.root)
        if record.status is not OutboxStatus.ACKNOWLEDGED or (record.root is not None and (root is None or not root.is_there())):
            return False
        last = datetime.fromisoformat(record.last_checked_at or record.created_at)
        return (self._clock.now() - last).total_seconds() > KEPT_S


def _gone(places: Sequence[Places]) -> list[str]:
    """Those of which neither file nor result is there, though the folder of the result is. Runs in a worker thread."""
    return [record_id for record_id, file, result in places if not os.path.lexists(decode_path(file)) and _is_taken_away(result)]


def _is_taken_away(result: str | None) -> bool:
    if result is None:
        return True
    place = decode_path(result)
    return os.path.isdir(place.parent) and not os.path.lexists(place)


def _not_looked(problem: Exception) -> None:
    _LOG.warning("not retired", reason=repr(problem))
