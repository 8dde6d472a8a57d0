"""How far a conversion is, told at most four times a second: fraction, speed in media seconds per second, seconds to go.

Also the sign of life of a worker inside one long call of a library, which nobody can look into.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnProgress = Callable[[float, float | None, float | None], None]

EVERY_S = 0.25
VERIFY_SHARE = 0.1
"""The part of the bar that belongs to verification: decoding is about ten times as fast as encoding."""


class Meter:
    """Turns times reached in the media into progress. The fraction never falls.

    Without a known length it counts the bytes read, and for verification the time that transcoding came to.
    """

    def __init__(self, on_progress: OnProgress, length_s: float | None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._on_progress = on_progress
        self._length = length_s
        self._monotonic = monotonic
        self._began = monotonic()
        self._told = float("-inf")
        self._highest = 0.0
        self._last = 0.0

    def transcoded(self, reached: float | None, read: float = 0.0) -> None:
        """The encoder has come to `reached` seconds, and the reader to the share `read` of the source; None: it is still at work."""
        if reached is not None:
            self._last = max(self._last, reached)
        if self._is_time():
            share = self._share(reached) if self._length and reached is not None else min(1.0, read)
            self._tell(share * (1 - VERIFY_SHARE), reached)

    def verified(self, reached: float) -> None:
        """Verification has come to `reached` seconds."""
        self._length = self._length or self._last
        if self._is_time():
            self._tell(1 - VERIFY_SHARE + VERIFY_SHARE * self._share(reached), None)

    def _is_time(self) -> bool:
        now = self._monotonic()
        if now - self._told < EVERY_S:
            return False
        self._told = now
        return True

    def _share(self, reached: float) -> float:
        return min(1.0, max(0.0, reached / self._length)) if self._length else 0.0

    def _tell(self, fraction: float, reached_s: float | None) -> None:
        self._highest = max(self._highest, fraction)
        took = self._monotonic() - self._began
        speed = max(0.0, reached_s / took) if reached_s is not None and took > 0 else None
        eta = took / self._highest * (1 - self._highest) if self._highest > 0.01 else None
        self._on_progress(self._highest, speed, eta)


@contextmanager
def alive(beat: Callable[[], None], most_s: float, every_s: float = 5.0) -> Iterator[None]:
    """Call `beat` from a thread every few seconds while the body runs, for at most `most_s`, so that a hanging call is still found out."""
    over = threading.Event()

    def ring() -> None:
        for _ in range(int(most_s // every_s)):  # beats, not time: while the process is frozen none is used up
            if over.wait(every_s):
                return
            beat()

    bell = threading.Thread(target=ring, name="sign of life", daemon=True)
    bell.start()
    try:
        yield
    finally:
        over.set()
        bell.join()


def patience_s(size: int) -> float:
    """Seconds that moving, hashing or syncing a file of `size` bytes may take on a slow and busy disk."""
    return 60.0 + size / 5e6
