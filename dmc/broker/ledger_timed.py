"""A ledger that notes how long its changes take, and what a process tells others of that. Everything else is the ledger's own."""

import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self, cast

from dmc.broker.ledger import Guard, Ledger, Op


@dataclass(frozen=True, slots=True)
class Effort:
    """What the ledger has cost one process since it began: `writes` took `write_s` seconds, those that failed included; of these
    `lock_wait_s` were waited for the lock, which was asked for `lock_waits` times."""

    writes: int = 0
    write_s: float = 0.0
    lock_waits: int = 0
    lock_wait_s: float = 0.0

    def to_plain(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Any) -> Self | None:
        """None for what another version may have written."""
        try:
            return cls(int(plain["writes"]), float(plain["write_s"]), int(plain["lock_waits"]), float(plain["lock_wait_s"]))
        except (KeyError, TypeError, ValueError):
            return None


class TimedLedger:
    """See the top of this file."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._writes = 0
        self._write_s = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def change(self, ops: Sequence[Op], guard: Guard | None = None) -> int:
        started = time.perf_counter()
        try:
            return self._ledger.change(ops, guard)
        finally:
            took = time.perf_counter() - started
            with self._lock:
                self._writes += 1
                self._write_s += took

    def effort(self) -> Effort:
        """What the ledger has cost this process so far."""
        with self._lock:
            return Effort(self._writes, self._write_s, self._ledger.waits.count, self._ledger.waits.seconds)

    def as_ledger(self) -> Ledger:
        """The same, as what it is besides."""
        return cast(Ledger, self)
