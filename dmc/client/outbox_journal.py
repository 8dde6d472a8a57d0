"""The outbox on disk: `outbox.json` with its journal (dmc/journal.py), one record per line, sections named after the statuses."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from dmc.client.outbox import Outbox
from dmc.client.records import SECTIONS, OutboxRecord, OutboxStatus
from dmc.errors import Refused, TornLedger
from dmc.files import Disk
from dmc.journal import Document, Edit, encode_record


class JournalOutbox(Outbox):
    """See outbox.py for the law. Several processes may have it open; each sees the others' changes after `refresh`."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._seen = document.seq

    @classmethod
    def open(cls, path: Path, disk: Disk, *, recover: bool = True) -> Self:
        """Open or make the outbox at `path`; `recover` is for the running client, without it a command looks in beside it."""
        return cls(Document.open(path, sections=SECTIONS, disk=disk, recover=recover))

    def get(self, record_id: str) -> OutboxRecord | None:
        entry = self._document.get(record_id)
        if entry is None:
            return None
        try:
            return OutboxRecord.model_validate_json(entry.raw)
        except ValidationError as problem:
            if any(error["type"] == "extra_forbidden" for error in problem.errors()):
                raise Refused(f"the outbox record {record_id} was written by a newer dmc.", "Update dmc.") from None
            raise TornLedger(f"the outbox record {record_id} does not fit: {problem.errors()[0]['msg']}.") from None

    def ids(self, status: OutboxStatus | None = None) -> list[str]:
        return self._document.ids(status)

    def find(self, prefix: str, limit: int = 2) -> list[str]:
        return self._document.find(prefix, limit)

    def counts(self) -> dict[OutboxStatus, int]:
        counted = self._document.counts()
        return {status: counted.get(status, 0) for status in OutboxStatus}

    def put(self, records: Sequence[OutboxRecord]) -> None:
        if records:
            self._document.commit([_edit(record) for record in records])

    def remove(self, record: OutboxRecord) -> None:
        self._document.commit([Edit(record.id, record.version, None, None)])

    def refresh(self) -> list[str] | None:
        self._document.refresh()
        changes = self._document.changes_since(self._seen)
        self._seen = self._document.seq
        return None if changes is None else sorted({record_id for _, record_id, _ in changes})

    def close(self) -> None:
        self._document.checkpoint()
        self._document.close()


def _edit(record: OutboxRecord) -> Edit:
    return Edit(record.id, record.version - 1, record.status, encode_record(record.model_dump(mode="json", exclude_defaults=True)))
