"""How long work took, without the time in which the process stood still: frozen by a pause, or on a machine that slept.

A process does not notice that it is frozen; a thread that beats does, by the gap between two beats.
"""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

BEAT_S = 0.5
GAP_S = 2.0
"""A gap between two beats that no busy machine explains."""


class Stopwatch:
    """Runs as long as its context. `seconds`: the time that was worked."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._began = self._beaten = monotonic()
        self._still = 0.0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stopwatch", daemon=True)

    @property
    def seconds(self) -> float:
        self.beat()
        with self._lock:
            return self._beaten - self._began - self._still

    def beat(self) -> None:
        """Note that the process is at work now."""
        with self._lock:
            now = self._monotonic()
            gap, self._beaten = now - self._beaten, now
            if gap > GAP_S:
                self._still += gap - BEAT_S

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(BEAT_S):
            self.beat()
