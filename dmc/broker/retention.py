"""How long acknowledged results are kept: after that the item is wished deleted, and goes the way of every deletion.

What nobody acknowledged is kept until somebody deletes it. It looks once a minute and takes a bounded number each time.
"""

from datetime import timedelta

from dmc.broker.ledger import Guard, Ledger, Put
from dmc.clock import Clock, rfc3339
from dmc.errors import Conflict
from dmc.items import Wish

LOOK_EVERY_S = 60.0
_AT_ONCE = 200


class Retention:
    """See the top of this file."""

    def __init__(self, ledger: Ledger, clock: Clock, guard: Guard, *, days: float) -> None:
        self._ledger = ledger
        self._clock = clock
        self._guard = guard
        self._kept_for = timedelta(days=days)
        self._next_look = clock.monotonic()

    def step(self) -> bool:
        """Leave the wish `delete` in what has been kept long enough. Returns whether there was any."""
        now = self._clock.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + LOOK_EVERY_S
        before = rfc3339(self._clock.now() - self._kept_for)
        old = [item for item in self._ledger.acknowledged(before, _AT_ONCE) if item.wish is None]
        if not old:
            return False
        try:
            self._ledger.change([Put(item.wishing(Wish.DELETE), item.version) for item in old], self._guard)
        except Conflict:
            return False  # Somebody changed one of them; all are looked at again next time.
        if len(old) == _AT_ONCE:
            self._next_look = now
        return True
