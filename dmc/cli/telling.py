"""When progress is worth a line where no bar can be drawn: at each tenth, and after half a minute without one."""

import time
from collections.abc import Callable

STEP = 0.1
QUIET_S = 30.0


class Milestones:
    """Asked with each share (0 to 1) of a thing whether to tell it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[str, tuple[float, float]] = {}

    def __call__(self, key: str, share: float) -> bool:
        """Whether `share` is a tenth further than what was told last, or that is 30 s ago."""
        now = self._clock()
        before, at = self._told.setdefault(key, (0.0, now))
        if share < before + STEP and (share <= before or now < at + QUIET_S):
            return False
        self._told[key] = (share, now)
        return True
