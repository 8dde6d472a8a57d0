"""How long finished items stay: what has been kept long enough is wished deleted, and goes the way of every deletion.

Acknowledged items are looked for once a minute. Once an hour, page by page, all items are walked through for the rest: the
trash, originals that may go before their item, and, if the settings say so, what nobody ever acknowledged. When the disk is
short the walk begins at once, and the trash goes early.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from dmc.broker.ledger import Guard, Ledger, Put
from dmc.clock import Clock, rfc3339
from dmc.errors import Conflict
from dmc.items import Item, Status, Wish

LOOK_EVERY_S = 60.0
WALK_EVERY_S = 3600.0
_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Rules:
    """Days. 0 for `originals_days`: as long as their items; for `unacknowledged_days`: until somebody deletes them."""

    acknowledged_days: float = 7.0
    originals_days: float = 0.0
    unacknowledged_days: float = 0.0
    trash_days: float = 7.0


Due = Literal["delete", "drop-original"]


def due(item: Item, now: datetime, rules: Rules, *, is_short: bool = False) -> Due | None:
    """What the time of an item has come for. `is_short`: the disk has less room than is kept free.

    1 unfinished, or something is wished → nothing · 2 in the trash → delete after its days, or when the disk is short ·
    3 nobody acknowledged it → delete after those days, if there are any · 4 acknowledged → delete after its days ·
    5 its original, where there is a result → drop after those days, if there are any
    """

    def over(since: str | None, days: float) -> bool:
        return since is not None and since < rfc3339(now - timedelta(days=days))

    if not item.status.is_finished or item.wish is not None:
        return None
    if item.trashed_at is not None:
        return "delete" if is_short or over(item.trashed_at, rules.trash_days) else None
    if item.acknowledged_at is None:
        return "delete" if rules.unacknowledged_days and over(item.finished_at, rules.unacknowledged_days) else None
    if over(item.acknowledged_at, rules.acknowledged_days):
        return "delete"
    has_result = item.status is Status.FINISHED_SUCCESSFUL and item.result is not None and item.gone is None
    return "drop-original" if has_result and rules.originals_days and over(item.acknowledged_at, rules.originals_days) else None


class Retention:
    """See the top of this file. `drop_original` gives up the original of an item."""

    def __init__(self, ledger: Ledger, clock: Clock, guard: Guard, rules: Rules, drop_original: Callable[[Item], None]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._guard = guard
        self._rules = rules
        self._drop_original = drop_original
        self._kept_for = timedelta(days=rules.acknowledged_days)
        self._next_look = self._next_walk = clock.monotonic()
        self._walked_to: str | None = None
        self._was_short = False

    def step(self, *, is_short: bool = False) -> bool:
        """Leave the wish `delete` in what has been kept long enough. Returns whether there may be more to do at once."""
        if is_short and not self._was_short:
            self._next_walk = self._clock.monotonic()
        self._was_short = is_short
        looked = self._look()
        return self._walk(is_short) or looked

    def _look(self) -> bool:
        now = self._clock.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + LOOK_EVERY_S
        before = rfc3339(self._clock.now() - self._kept_for)
        old = [item for item in self._ledger.acknowledged(before, _AT_ONCE) if item.wish is None and item.trashed_at is None]
        if not self._delete(old):
            return False
        if len(old) == _AT_ONCE:
            self._next_look = now
        return True

    def _walk(self, is_short: bool) -> bool:
        """One page of the walk, if there is one."""
        if self._walked_to is None:
            if self._clock.monotonic() < self._next_walk:
                return False
            self._next_walk = self._clock.monotonic() + (LOOK_EVERY_S if is_short else WALK_EVERY_S)
            self._walked_to = ""
        page = self._ledger.select(after=self._walked_to, limit=_AT_ONCE)
        now = self._clock.now()
        verbs = [(due(item, now, self._rules, is_short=is_short), item) for item in page]
        deleted = self._delete([item for verb, item in verbs if verb == "delete"])
        originals = [item for verb, item in verbs if verb == "drop-original"]
        for item in originals:
            self._drop_original(item)
        self._walked_to = page[-1].item_id if len(page) == _AT_ONCE else None
        return deleted or bool(originals) or self._walked_to is not None

    def _delete(self, old: list[Item]) -> bool:
        if not old:
            return False
        try:
            self._ledger.change([Put(item.wishing(Wish.DELETE), item.version) for item in old], self._guard)
        except Conflict:
            return False  # Somebody changed one of them; all are looked at again next time.
        return True
