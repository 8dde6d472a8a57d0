"""The outbox in memory: obeys the law of `outbox.py` but for outliving the process. For tests, and for clients without state."""

from collections.abc import Sequence

from dmc.client.outbox import Outbox
from dmc.client.records import OutboxRecord, OutboxStatus
from dmc.errors import Conflict


class MemoryOutbox(Outbox):
    """A dictionary with versions. Several views of one `shared` dictionary stand for several processes."""

    def __init__(self, shared: dict[str, OutboxRecord] | None = None) -> None:
        self._records: dict[str, OutboxRecord] = {} if shared is None else shared
        self._seen: dict[str, int] = {}

    def get(self, record_id: str) -> OutboxRecord | None:
        return self._records.get(record_id)

    def ids(self, status: OutboxStatus | None = None) -> list[str]:
        return sorted(known for known, record in self._records.items() if status is None or record.status is status)

    def find(self, prefix: str, limit: int = 2) -> list[str]:
        return [known for known in self.ids() if known.startswith(prefix)][:limit]

    def counts(self) -> dict[OutboxStatus, int]:
        return {status: len(self.ids(status)) for status in OutboxStatus}

    def put(self, records: Sequence[OutboxRecord]) -> None:
        for record in records:
            stored = self._records.get(record.id)
            if (stored.version if stored else 0) != record.version - 1:
                raise Conflict(f"the record {record.id} was changed by somebody else.")
        for record in records:
            self._records[record.id] = record
            self._seen[record.id] = record.version

    def remove(self, record: OutboxRecord) -> None:
        stored = self._records.get(record.id)
        if stored is None or stored.version != record.version:
            raise Conflict(f"the record {record.id} was changed by somebody else.")
        del self._records[record.id]
        self._seen.pop(record.id, None)

    def refresh(self) -> list[str] | None:
        now = {known: record.version for known, record in self._records.items()}
        changed = [known for known in now.keys() | self._seen.keys() if now.get(known) != self._seen.get(known)]
        self._seen = now
        return sorted(changed)

    def close(self) -> None:
        pass
