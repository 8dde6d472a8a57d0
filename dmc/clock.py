"""Time as a seam: wall clock for records, monotonic clock for deadlines, and the one backoff formula.

Loops never call `time` themselves, so tests run days in milliseconds. Wall time is only ever written down; every
waiting and every timeout runs on the monotonic clock, so a clock that jumps changes nothing.
"""

import random
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What loops need of time."""

    def now(self) -> datetime:
        """Wall time, UTC, aware."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump and never run backwards."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until `event` is set (True) or `seconds` have passed (False)."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(seconds)


class ManualClock:
    """A clock that only moves when told to; `wait` moves it instead of waiting. Ships with the package for tests."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime(2026, 1, 1, tzinfo=UTC)
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if event.is_set():
            return True
        self.advance(seconds)
        return False

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass on both clocks."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Let only the wall clock jump, as an operator or NTP may do."""
        self._now += timedelta(seconds=seconds)


def rfc3339(moment: datetime) -> str:
    """`2026-11-21T08:09:10.123456Z`: how every timestamp of dmc is written."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def backoff(attempt: int, *, base: float = 1.0, cap: float = 60.0, draw: random.Random | None = None) -> float:
    """Seconds to wait before try `attempt` + 1, with full jitter: uniform in [0, min(cap, base * 2**attempt)].

    Source: Exponential Backoff and Jitter, AWS Architecture Blog.
    """
    ceiling = min(cap, base * 2.0 ** min(attempt, 30))
    return (draw or random).uniform(0.0, ceiling)
