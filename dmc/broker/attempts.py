"""Which items must rest before they are tried again, and how often they may be: in memory, anew with each start."""

import random
from dataclasses import dataclass

from dmc.clock import Clock, backoff

MOST_TRIES = 8
"""So often a fault that time can heal is waited out, before the attempt ends with it."""

_BASE_S = 2.0
_CAP_S = 600.0


@dataclass(slots=True)
class _Rest:
    tries: int = 0
    until: float = 0.0


class Attempts:
    """Rests of items, with backoff. The disk floor is another matter: nobody's fault, so it is not counted here."""

    def __init__(self, clock: Clock, draw: random.Random | None = None) -> None:
        self._clock = clock
        self._draw = draw
        self._rests: dict[str, _Rest] = {}

    def rest(self, item_id: str) -> int:
        """Let an item rest, each time longer; returns how often it had to by now."""
        rest = self._rests.setdefault(item_id, _Rest())
        rest.tries += 1
        rest.until = self._clock.monotonic() + _BASE_S / 2 + backoff(rest.tries, base=_BASE_S, cap=_CAP_S, draw=self._draw)
        return rest.tries

    def tries(self, item_id: str) -> int:
        rest = self._rests.get(item_id)
        return 0 if rest is None else rest.tries

    def forget(self, item_id: str) -> None:
        """The item has come to an end, or to a new beginning."""
        self._rests.pop(item_id, None)

    def resting(self) -> frozenset[str]:
        """Items that must not be begun yet."""
        now = self._clock.monotonic()
        return frozenset(item_id for item_id, rest in self._rests.items() if rest.until > now)
