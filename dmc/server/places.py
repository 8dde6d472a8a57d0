"""The places of what waits: 1 is next, by priority, then by age. Kept up by the ledger's changes, so that asking costs little however
long the queue is. Holds no truth and may be lost at any time. Blocking; may be asked by several threads.
"""

import threading
from bisect import bisect_left, insort

from dmc.broker.ledger import Ledger
from dmc.items import Item, Status

PAGE = 1000
MOST_CHANGES = 1000
"""After more changes than this all that waits is looked at anew."""

Key = tuple[int, str]


class Places:
    """See the top of this file."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._order: list[Key] = []
        self._keys: dict[str, Key] = {}
        self._seq: int | None = None

    def of(self, item_ids: list[str]) -> dict[str, int]:
        """The places of those that wait, all as of one moment."""
        with self._lock:
            self._catch_up()
            return {item_id: bisect_left(self._order, self._keys[item_id]) + 1 for item_id in item_ids if item_id in self._keys}

    def _catch_up(self) -> None:
        seq = self._ledger.seq
        if seq == self._seq:
            return
        changes = None if self._seq is None or seq - self._seq > MOST_CHANGES else self._ledger.changes_since(self._seq)
        if changes is None:
            self._take_stock()
        for change in changes or ():
            self._note(change.item_id, change.item)
            seq = change.seq
        self._seq = seq

    def _take_stock(self) -> None:
        self._order, self._keys, after = [], {}, ""
        while page := self._ledger.select(Status.TO_DO, after=after, limit=PAGE):
            self._keys |= {item.item_id: (-item.priority, item.item_id) for item in page}
            after = page[-1].item_id
        self._order = sorted(self._keys.values())

    def _note(self, item_id: str, item: Item | None) -> None:
        before = self._keys.pop(item_id, None)
        if before is not None:
            del self._order[bisect_left(self._order, before)]
        if item is not None and item.status is Status.TO_DO:
            self._keys[item_id] = (-item.priority, item_id)
            insort(self._order, self._keys[item_id])
