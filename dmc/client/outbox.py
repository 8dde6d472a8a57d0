"""The outbox seam: the client's durable memory of what it promised. Variants: `outbox_journal.py`, `outbox_memory.py`.

Law (each line is a contract test run on every variant):
1. What `put` and `remove` were told is whole and durable when they return; several records go together or not at all.
2. A record is stored at one version above the one stored; else Conflict is raised and nothing changes.
3. `ids` are sorted, which is the order of creation.
4. What another process wrote is seen after `refresh`, which tells the ids that changed, or None: then read everything anew.
"""

from collections.abc import Sequence
from typing import Protocol

from dmc.client.records import OutboxRecord, OutboxStatus


class Outbox(Protocol):
    """Records by id; see the law above. Used by one thread at a time."""

    def get(self, record_id: str) -> OutboxRecord | None: ...

    def ids(self, status: OutboxStatus | None = None) -> list[str]: ...

    def find(self, prefix: str, limit: int = 2) -> list[str]:
        """Up to `limit` ids that start with `prefix`."""
        ...

    def counts(self) -> dict[OutboxStatus, int]:
        """Number of records per status; every status is a key."""
        ...

    def put(self, records: Sequence[OutboxRecord]) -> None:
        """Store each record over its version before. Raises Conflict, DiskFull, DiskFault, Locked."""
        ...

    def remove(self, record: OutboxRecord) -> None:
        """Forget `record`, which must be stored as it is."""
        ...

    def refresh(self) -> list[str] | None: ...

    def close(self) -> None: ...
