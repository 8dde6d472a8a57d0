"""The items that matter, kept in such an order that a step looks at few of them, however many wait."""

from bisect import bisect_left, insort
from collections.abc import Iterator

from dmc.broker.decide import Standing
from dmc.items import Status, Wish


class Queue:
    """See the top of this file. `to_do` is the number of items of that status, held ones too."""

    def __init__(self) -> None:
        self._standings: dict[str, Standing] = {}
        self._pressing: dict[str, Standing] = {}
        self._order: list[tuple[int, str]] = []
        self.to_do = 0

    def note(self, standing: Standing) -> bool:
        """Take in how an item stands now; returns whether it matters."""
        self.forget(standing.item_id)
        if not standing.matters:
            return False
        self._standings[standing.item_id] = standing
        self.to_do += standing.status is Status.TO_DO
        if _waits(standing):
            insort(self._order, _place(standing))
        elif _presses(standing):
            self._pressing[standing.item_id] = standing
        return True

    def forget(self, item_id: str) -> None:
        """The item matters no more."""
        known = self._standings.pop(item_id, None)
        if known is None:
            return
        self.to_do -= known.status is Status.TO_DO
        self._pressing.pop(item_id, None)
        if _waits(known):
            del self._order[bisect_left(self._order, _place(known))]

    def clear(self) -> None:
        self._standings.clear()
        self._pressing.clear()
        self._order.clear()
        self.to_do = 0

    def pressing(self) -> list[Standing]:
        """Items that may want something at once: those in progress, and those that somebody wishes something of."""
        return list(self._pressing.values())

    def waiting(self) -> Iterator[Standing]:
        """Items that wait to be begun: the highest priority first, then the oldest. Costs what is taken from it."""
        for _, item_id in self._order:
            yield self._standings[item_id]


def _waits(one: Standing) -> bool:
    return one.status is Status.TO_DO and one.wish is not Wish.CANCEL and not one.is_held


def _presses(one: Standing) -> bool:
    return one.status is not Status.TO_DO or one.wish is Wish.CANCEL


def _place(one: Standing) -> tuple[int, str]:
    return (-one.priority, one.item_id)
