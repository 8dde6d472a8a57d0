"""The ledger seam: the server's index of items. Variants sort beside it (`ledger_json.py`, `ledger_memory.py`).

Law (each line is a contract test run on every variant):
1. A change is whole and durable when `change` returns; if it raises, nothing of it is there, now or later.
2. An op whose `expected_version` is not the record's current one (0: no record) raises Conflict, and with it the whole change.
3. A put carries the whole record, one version above the expected one, and only allowed transitions (items.py).
4. `select` is sorted by item id, which is the order of creation; pages follow each other by `after` without gaps or twins.
5. A reader never sees a torn record and never waits for a writer.
6. `changes_since(seq)` tells, in order, the newest state of everything that changed after `seq`, or None if it no longer can: then
   read everything anew. Of several changes that another process made to one item only the last may be told.
7. `watch` returns as soon as a change of anybody (also another process) is visible, or at its timeout.
8. Safe under many threads; several processes may have the same ledger open.
9. `moment` tells all records as they were at one moment, whatever is changed meanwhile; nobody waits for it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from dmc.errors import WrongStatus
from dmc.items import TRANSITIONS, Item, Status
from dmc.locks import Waits


@dataclass(frozen=True, slots=True)
class Put:
    """Store `item`, whose version is `expected_version` + 1 (0: there must be no such record)."""

    item: Item
    expected_version: int

    @property
    def item_id(self) -> str:
        return self.item.item_id


@dataclass(frozen=True, slots=True)
class Delete:
    """Forget the record of a finished item."""

    item_id: str
    expected_version: int


Op = Put | Delete

Guard = Callable[[], None]
"""Called under the ledger's lock right before a change is written; what it raises refuses the change."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change as `changes_since` tells it; `item` is None for a delete."""

    seq: int
    item_id: str
    item: Item | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that `verify` has to say: `kind` is a word, `item_id` may be empty, `detail` a sentence."""

    kind: str
    detail: str
    item_id: str = ""


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """What `verify` found; no findings is a clean ledger."""

    records: int
    seq: int
    findings: tuple[Finding, ...] = field(default=())


class Ledger(Protocol):
    """The index of items; see the law above."""

    def get(self, item_id: str) -> Item | None: ...

    def select(self, status: Status | None = None, client_id: str | None = None, after: str = "", limit: int = 200) -> list[Item]:
        """Up to `limit` items with ids above `after`."""
        ...

    def find(self, prefix: str, limit: int = 2) -> list[str]:
        """Up to `limit` ids that start with `prefix`."""
        ...

    def counts(self) -> dict[Status, int]:
        """Number of items per status; every status is a key."""
        ...

    def newest_id(self) -> str | None:
        """The largest item id; None in an empty ledger."""
        ...

    def with_key(self, client_id: str, idempotency_key: str) -> Item | None:
        """The newest item that this client admitted under this key."""
        ...

    def with_content(self, sha512: str, status: Status) -> Iterator[Item]:
        """Items of this status whose original has these bytes, the newest first. Costs what is taken from it, not how many there are."""
        ...

    def wished(self) -> list[Item]:
        """Every item that a wish was left in."""
        ...

    def acknowledged(self, before: str, limit: int = 200) -> list[Item]:
        """Up to `limit` finished items that were acknowledged before a time (RFC 3339 UTC, as `clock.rfc3339` writes it)."""
        ...

    def change(self, ops: Sequence[Op], guard: Guard | None = None) -> int:
        """Apply all ops or none; returns the sequence number. Raises Conflict, WrongStatus, DiskFull, DiskFault, Locked."""
        ...

    @property
    def seq(self) -> int:
        """The number of the last change this process has seen."""
        ...

    @property
    def waits(self) -> Waits:
        """How long this process waited for the lock of all writers; nothing is counted where there is none."""
        ...

    def changes_since(self, seq: int) -> list[Change] | None: ...

    def watch(self, seq: int, timeout_s: float) -> int:
        """Wait until the ledger is past `seq`, at most `timeout_s`; returns the sequence number then."""
        ...

    def checkpoint(self) -> None:
        """Fold the journal into the snapshot now."""
        ...

    def moment(self) -> AbstractContextManager[tuple[int, Iterator[Item]]]:
        """The sequence number of now, and every record as of then, sorted by id; to be used inside the `with` only."""
        ...

    def verify(self) -> LedgerReport: ...

    def close(self) -> None: ...


def check_op(status: Status | None, op: Op) -> None:
    """Raise WrongStatus for a change from `status` (None: no record) that items.py does not allow, ValueError for a wrong version."""
    to = op.item.status if isinstance(op, Put) else None
    if isinstance(op, Put) and op.item.version != op.expected_version + 1:
        raise ValueError(f"a put of {op.item_id} carries version {op.item.version}, not {op.expected_version + 1}")
    if status != to and (status, to) not in TRANSITIONS:
        raise WrongStatus(f"an item cannot go from {status or 'nothing'} to {to or 'nothing'}.")
