"""What the callers of a ledger have been told, noted while it works."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from dmc.broker.ledger import Delete, Guard, Ledger, Op, Put
from dmc.errors import DiskFault
from dmc.items import Item


@dataclass
class Promises:
    """What callers have been told, and what they have asked for without an answer yet."""

    answered: dict[str, Item] = field(default_factory=dict)
    asked: dict[str, tuple[Item, ...]] = field(default_factory=dict)
    deleting: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)

    def copy(self) -> "Promises":
        return Promises(dict(self.answered), dict(self.asked), set(self.deleting), set(self.deleted))


class Witness:
    """A ledger that notes what it promises."""

    def __init__(self, ledger: Ledger, promises: Promises) -> None:
        self._ledger = ledger
        self._promises = promises

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)

    @property
    def seq(self) -> int:
        return self._ledger.seq

    def change(self, ops: Sequence[Op], guard: Guard | None = None) -> int:
        noted = self._promises
        for op in ops:
            if isinstance(op, Put):
                noted.asked[op.item_id] = (*noted.asked.get(op.item_id, ()), op.item)
            else:
                noted.deleting.add(op.item_id)
        try:
            seq = self._ledger.change(ops, guard)
        except DiskFault:
            raise  # Whether the change will be there is unknown: it stays asked for.
        except Exception:
            for op in ops:
                noted.asked[op.item_id] = noted.asked.get(op.item_id, ())[:-1]
                noted.deleting.discard(op.item_id)
            raise
        for op in ops:
            if isinstance(op, Put):
                noted.answered[op.item_id] = op.item
                noted.asked.pop(op.item_id, None)
            elif isinstance(op, Delete):
                noted.deleted.add(op.item_id)
        return seq
