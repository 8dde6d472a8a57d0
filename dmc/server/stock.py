"""What `/metrics` tells of items and of the ledger: bytes that are stored, what was finished, how long writes took, the last backup.

Finished items are counted from the first look of this process on, from the ledger's changes; what was there before is not.
"""

import json
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Summary
from prometheus_client.metrics_core import Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from dmc.broker.control import Control
from dmc.broker.ledger import Ledger
from dmc.broker.ledger_timed import Effort, TimedLedger
from dmc.items import Item, Status
from dmc.server.shelf import Shelf
from dmc.server.statistics import Statistics

LAST_BACKUP = "backup.json"
"""In the data folder; `dmc backup` writes it."""


class Stock:
    """See the top of this file. `look` is blocking."""

    def __init__(self, data: Path, ledger: Ledger, shelf: Shelf, statistics: Statistics, control: Control) -> None:
        self._data = data
        self._control = control
        self._shelf = shelf
        self._statistics = statistics
        self.ledger = ledger
        statistics.finished = self._finished

    def register(self, numbers: CollectorRegistry) -> None:
        """Make the series in `numbers`."""
        self._bytes = Gauge("dmc_storage_bytes", "Bytes of items; those of twins count for each", ["kind"], registry=numbers)
        self._done = Counter("dmc_items_finished", "Items that were finished", ["outcome"], registry=numbers)
        self._took = Summary("dmc_item_duration_seconds", "Seconds from the begin of a conversion to its end", registry=numbers)
        self._media = Counter("dmc_media_processed_seconds", "Seconds of sound and video in finished items", registry=numbers)
        self._backup = Gauge("dmc_last_backup_timestamp_seconds", "When the last backup was made; 0: never", registry=numbers)
        if isinstance(self.ledger, TimedLedger):
            numbers.register(_Efforts(self.ledger, self._control))

    def look(self) -> None:
        """Bring the series up to now."""
        counts = self._statistics.counts()
        for kind in ("originals", "results", "trashed"):
            self._bytes.labels(kind).set(getattr(counts, kind))
        self._backup.set(self._last_backup())

    def _finished(self, item: Item) -> None:
        failed = item.status is Status.FINISHED_WITH_ERRORS or item.outcome is None
        self._done.labels("failed" if failed or item.outcome is None else item.outcome.value).inc()
        if item.started_at is not None and item.finished_at is not None:
            took = datetime.fromisoformat(item.finished_at) - datetime.fromisoformat(item.started_at)
            self._took.observe(max(0.0, took.total_seconds()))
        found = None if failed else self._shelf.of(item)
        if found is not None and found.facts is not None and found.facts.duration_s is not None:
            self._media.inc(found.facts.duration_s)

    def _last_backup(self) -> float:
        try:
            return datetime.fromisoformat(json.loads((self._data / LAST_BACKUP).read_bytes())["made_at"]).timestamp()
        except (OSError, ValueError, KeyError, TypeError):
            return 0.0


class _Efforts(Collector):
    """What the ledger costs, of this process and, where the broker is one of its own, of that one as its sign of life tells it."""

    def __init__(self, ledger: TimedLedger, control: Control) -> None:
        self._ledger = ledger
        self._control = control

    def collect(self) -> list[Metric]:
        writes = SummaryMetricFamily("dmc_ledger_write_seconds", "Seconds that changes took, made durable", labels=["process"])
        waits = SummaryMetricFamily("dmc_lock_wait_seconds", "Seconds that were waited for the ledger's lock", labels=["process"])
        for process, effort in self._efforts().items():
            writes.add_metric([process], effort.writes, effort.write_s)
            waits.add_metric([process], effort.lock_waits, effort.lock_wait_s)
        return [writes, waits]

    def _efforts(self) -> dict[str, Effort]:
        efforts = {"server": self._ledger.effort()}
        beat = None if self._control.is_held else self._control.last_beat()
        return efforts if beat is None or beat.effort is None else efforts | {"broker": beat.effort}
