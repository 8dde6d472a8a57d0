"""The ledger in memory: the same law without a disk, for tests and for trying things out. Lost when the process ends."""

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dmc.broker.ledger import Change, Guard, LedgerReport, Op, Put, check_op
from dmc.errors import Conflict
from dmc.items import Item, Status
from dmc.locks import Waits

_REMEMBERED_CHANGES = 10_000


class LedgerMemory:
    """See the seam, ledger.py."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: dict[str, Item] = {}
        self._changes: deque[Change] = deque(maxlen=_REMEMBERED_CHANGES)
        self._seq = 0
        self.waits = Waits()

    @property
    def seq(self) -> int:
        return self._seq

    def get(self, item_id: str) -> Item | None:
        return self._items.get(item_id)

    def select(self, status: Status | None = None, client_id: str | None = None, after: str = "", limit: int = 200) -> list[Item]:
        fitting = (
            item
            for item in self._sorted()
            if item.item_id > after and status in (None, item.status) and client_id in (None, item.client_id)
        )
        return [item for item, _ in zip(fitting, range(limit), strict=False)]

    def find(self, prefix: str, limit: int = 2) -> list[str]:
        return [item.item_id for item in self._sorted() if item.item_id.startswith(prefix)][:limit]

    def counts(self) -> dict[Status, int]:
        with self._changed:
            return {status: sum(item.status is status for item in self._items.values()) for status in Status}

    def newest_id(self) -> str | None:
        with self._changed:
            return max(self._items, default=None)

    def with_key(self, client_id: str, idempotency_key: str) -> Item | None:
        fitting = [item for item in self._sorted() if (item.client_id, item.idempotency_key) == (client_id, idempotency_key)]
        return fitting[-1] if fitting else None

    def with_content(self, sha512: str, status: Status) -> Iterator[Item]:
        return (item for item in reversed(list(self._sorted())) if item.sha512_checksum == sha512 and item.status is status)

    def wished(self) -> list[Item]:
        return [item for item in self._sorted() if item.wish is not None]

    def acknowledged(self, before: str, limit: int = 200) -> list[Item]:
        return [i for i in self._sorted() if i.status.is_finished and i.acknowledged_at is not None and i.acknowledged_at < before][:limit]

    def change(self, ops: Sequence[Op], guard: Guard | None = None) -> int:
        with self._changed:
            after = dict(self._items)
            for op in ops:
                _apply(after, op)
            if guard is not None:
                guard()
            if ops:
                self._seq += 1
                self._items = after
                self._changes.extend(Change(self._seq, op.item_id, op.item if isinstance(op, Put) else None) for op in ops)
                self._changed.notify_all()
            return self._seq

    def changes_since(self, seq: int) -> list[Change] | None:
        with self._changed:
            if seq > self._seq or (len(self._changes) == _REMEMBERED_CHANGES and seq < self._changes[0].seq):
                return None
            return [change for change in self._changes if change.seq > seq]

    def watch(self, seq: int, timeout_s: float) -> int:
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._changed.wait_for(lambda: self._seq > seq, max(0.0, deadline - time.monotonic()))
            return self._seq

    def checkpoint(self) -> None:
        """Nothing is kept, so there is nothing to fold."""

    @contextmanager
    def moment(self) -> Iterator[tuple[int, Iterator[Item]]]:
        with self._changed:
            seq, items = self._seq, self._items  # A change makes a new dictionary.
        yield seq, (items[item_id] for item_id in sorted(items))

    def verify(self) -> LedgerReport:
        return LedgerReport(len(self._items), self._seq)

    def close(self) -> None:
        """Nothing is open."""

    def _sorted(self) -> Iterator[Item]:
        with self._changed:
            items = self._items
        return (items[item_id] for item_id in sorted(items))


def _apply(items: dict[str, Item], op: Op) -> None:
    known = items.get(op.item_id)
    version = known.version if known else 0
    if version != op.expected_version:
        raise Conflict(f"{op.item_id} has changed meanwhile (version {version}, expected {op.expected_version}).")
    check_op(known.status if known else None, op)
    if isinstance(op, Put):
        items[op.item_id] = op.item
    else:
        del items[op.item_id]
