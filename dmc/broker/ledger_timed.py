"""A ledger that notes how long its changes take. Everything else is the ledger's own."""

import threading
import time
from collections.abc import Sequence
from typing import Any, cast

from dmc.broker.ledger import Guard, Ledger, Op


class TimedLedger:
    """Changes of this process: `writes` of them took `write_s` seconds, those that failed included."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self.writes = 0
        self.write_s = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def change(self, ops: Sequence[Op], guard: Guard | None = None) -> int:
        started = time.perf_counter()
        try:
            return self._ledger.change(ops, guard)
        finally:
            took = time.perf_counter() - started
            with self._lock:
                self.writes += 1
                self.write_s += took


def timed(ledger: Ledger) -> Ledger:
    """The same ledger, timed."""
    return cast(Ledger, TimedLedger(ledger))
