"""How far a conversion is, told at most four times a second: fraction, speed in media seconds per second, seconds to go."""

import time
from collections.abc import Callable
from fractions import Fraction

OnProgress = Callable[[float, float | None, float | None], None]

EVERY_S = 0.25
VERIFY_SHARE = 0.1
"""The part of the bar that belongs to verification: decoding is about ten times as fast as encoding."""


class Meter:
    """Turns times reached in the media into progress. The fraction never falls; without a known length it stays 0 until the end."""

    def __init__(self, on_progress: OnProgress, length_s: float | None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._on_progress = on_progress
        self._length = length_s
        self._monotonic = monotonic
        self._began = monotonic()
        self._told = float("-inf")
        self._highest = 0.0

    def transcoded(self, reached: Fraction) -> None:
        """The encoder has come to `reached` seconds."""
        if self._is_time():
            share = self._share(reached)
            self._tell(share * (1 - VERIFY_SHARE), float(reached))

    def verified(self, reached: Fraction) -> None:
        """Verification has come to `reached` seconds."""
        if self._is_time():
            self._tell(1 - VERIFY_SHARE + VERIFY_SHARE * self._share(reached), None)

    def _is_time(self) -> bool:
        now = self._monotonic()
        if now - self._told < EVERY_S:
            return False
        self._told = now
        return True

    def _share(self, reached: Fraction) -> float:
        return min(1.0, max(0.0, float(reached) / self._length)) if self._length else 0.0

    def _tell(self, fraction: float, reached_s: float | None) -> None:
        self._highest = max(self._highest, fraction)
        took = self._monotonic() - self._began
        speed = max(0.0, reached_s / took) if reached_s is not None and took > 0 else None
        eta = took / self._highest * (1 - self._highest) if self._highest > 0.01 else None
        self._on_progress(self._highest, speed, eta)
