"""The ledger as `index.json` and its journal: made for a home, 100,000 items with ease, readable with cat and jq.

Records stay lines of JSON in memory and become items when asked for. What may follow what is checked here (versions,
transitions); how bytes reach the disk is journal.py's business.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Self

from dmc.broker.ledger import Change, Finding, Guard, LedgerReport, Op, Put, check_op
from dmc.broker.ledger_lookup import Lookup
from dmc.errors import Refused, TornLedger
from dmc.files import Disk, translate
from dmc.items import Item, Status, read_item
from dmc.journal import Document, Edit, Entry, Folding
from dmc.journal_glance import Glance, glance
from dmc.journal_load import JournalSource
from dmc.journal_snapshot import decode_snapshot
from dmc.locks import Waits

INDEX_FILE = "index.json"
SCHEMA = 1
_SECTIONS = tuple(status.value for status in Status)
_PAGE = 500
_KEPT = 2000
"""Items that stay read, about 2 KB each: everybody asks for the same few, the queue and what has just changed."""

_DIGEST = re.compile(rb'"sha512_checksum":"([0-9a-f]{128})"')


class LedgerJson:
    """See the seam, ledger.py."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._by_key = Lookup(document, _keys_in)
        self._by_content = Lookup(document, _contents_in)
        self._item = lru_cache(_KEPT)(item_of)

    @classmethod
    def open(
        cls,
        data: Path,
        disk: Disk,
        *,
        recover: bool = True,
        lock_timeout_s: float = 10.0,
        folding: Folding | None = None,
        reserve_bytes: int = 1024 * 1024,
    ) -> Self:
        """The ledger of a data folder. `recover`: as a process that stays (journal.py says what that means)."""
        document = Document.open(
            data / INDEX_FILE,
            sections=_SECTIONS,
            disk=disk,
            schema=SCHEMA,
            recover=recover,
            lock_timeout_s=lock_timeout_s,
            folding=folding,
            reserve_bytes=reserve_bytes,
        )
        return cls(document)

    @staticmethod
    def write_anew(data: Path, disk: Disk, items: Iterable[Item], *, after_seq: int = 0) -> int:
        """Let `items` be the whole ledger of a data folder, whatever its index says; copies of that are kept.

        Returns the sequence number, which is above `after_seq` and above any that the old journal tells.
        """
        document = Document.open(data / INDEX_FILE, sections=_SECTIONS, disk=disk, schema=SCHEMA, unread=True)
        return document.begin_anew(((item.item_id, item.status.value, raw_of(item)) for item in items), after_seq)

    @staticmethod
    def glance(
        data: Path, disk: Disk, status: Status | None = None, client_id: str | None = None, after: str = "", limit: int = 200
    ) -> tuple[list[Item], dict[Status, int]] | None:
        """A page as `select` gives it, and the counts, without reading the whole index; None if that is not possible now."""

        def ask(seen: Glance) -> tuple[list[Item], dict[Status, int]]:
            items = (item_of(entry) for _, entry in seen.records(status, after) if needle in entry.raw)
            page = list(islice((item for item in items if client_id in (None, item.client_id)), limit))
            counts = seen.counts()
            return page, {status: counts.get(status, 0) for status in Status}

        needle = _client_needle(client_id)
        files = JournalSource(disk, data / INDEX_FILE, _SECTIONS, SCHEMA, {})
        try:
            return glance(disk, files, SCHEMA, ask)
        except TornLedger:
            return None  # A record that is no item: for whoever reads everything to tell.
        except OSError as problem:
            raise translate(problem, "reading the index") from problem

    @staticmethod
    def read_odd(content: bytes) -> list[Item]:
        """The items in an index that a person edited or restored; raises Refused if it cannot be one."""
        snapshot = decode_snapshot(content, _SECTIONS, trusted=False)
        if snapshot is None or snapshot.schema != SCHEMA:
            raise Refused("this file is no index of this version of dmc.", 'It should be JSON like {"schema": 1, "to_do": {…}, …}.')
        try:
            items = [item_of(entry) for entry in snapshot.entries.values()]
        except TornLedger as problem:
            raise Refused(f"this index holds a record that is no item. {problem.message}") from problem
        for (key, entry), item in zip(snapshot.entries.items(), items, strict=True):
            if (item.item_id, item.status) != (key, entry.section):
                raise Refused(f"the record under {key} says another id or status than its place.", "Mend it by hand.")
        return items

    @property
    def waits(self) -> Waits:
        return self._document.waits

    @property
    def seq(self) -> int:
        return self._document.refresh()

    def get(self, item_id: str) -> Item | None:
        self._document.refresh()
        entry = self._document.get(item_id)
        return None if entry is None else self._item(entry)

    def select(self, status: Status | None = None, client_id: str | None = None, after: str = "", limit: int = 200) -> list[Item]:
        self._document.refresh()
        needle = _client_needle(client_id)
        found: list[Item] = []
        for entry in self._entries(status, after, limit if client_id is None else _PAGE):
            if needle in entry.raw:  # Much quicker than reading the record, but another field may hold the same text.
                item = self._item(entry)
                if client_id in (None, item.client_id):
                    found.append(item)
            if len(found) == limit:
                break
        return found

    def _entries(self, status: Status | None, after: str, page: int) -> Iterator[Entry]:
        while keys := self._document.ids(status, after, page):
            for key in keys:
                entry = self._document.get(key)
                if entry is not None and status in (None, entry.section):
                    yield entry
            after = keys[-1]

    def find(self, prefix: str, limit: int = 2) -> list[str]:
        self._document.refresh()
        return self._document.find(prefix, limit)

    def counts(self) -> dict[Status, int]:
        self._document.refresh()
        counts = self._document.counts()
        return {status: counts.get(status, 0) for status in Status}

    def newest_id(self) -> str | None:
        self._document.refresh()
        return self._document.newest_id()

    def with_key(self, client_id: str, idempotency_key: str) -> Item | None:
        self._document.refresh()
        found = (self.get(item_id) for item_id in self._by_key.ids((client_id, idempotency_key)))
        mine = (item for item in found if item is not None)
        return next((item for item in mine if (item.client_id, item.idempotency_key) == (client_id, idempotency_key)), None)

    def with_content(self, sha512: str, status: Status) -> Iterator[Item]:
        self._document.refresh()
        for item_id in self._by_content.ids(_content_key(sha512.encode(), status)):
            entry = self._document.get(item_id)
            if entry is not None and entry.section == status and (item := item_of(entry)).sha512_checksum == sha512:
                yield item

    def wished(self) -> list[Item]:
        self._document.refresh()
        return [item for item in self._holding(b'"wish":"') if item.wish is not None]

    def acknowledged(self, before: str, limit: int = 200) -> list[Item]:
        self._document.refresh()
        found: list[Item] = []
        for item in self._holding(b'"acknowledged_at":"'):
            if item.status.is_finished and item.acknowledged_at is not None and item.acknowledged_at < before:
                found.append(item)
                if len(found) == limit:
                    break
        return found

    def _holding(self, text: bytes) -> Iterator[Item]:
        _, entries = self._document.moment()
        return (item_of(entries[key]) for key in sorted(key for key, entry in entries.items() if text in entry.raw))

    def change(self, ops: Sequence[Op], guard: Guard | None = None) -> int:
        self._document.refresh()
        return self._document.commit([self._edit(op) for op in ops], guard)

    def _edit(self, op: Op) -> Edit:
        """The edit for an op; what is checked here against a record that has changed meanwhile fails by its version."""
        entry = self._document.get(op.item_id)
        if entry is not None and entry.version == op.expected_version:
            check_op(Status(entry.section), op)
        elif op.expected_version == 0:
            check_op(None, op)
        if isinstance(op, Put):
            return Edit(op.item_id, op.expected_version, op.item.status, raw_of(op.item))
        return Edit(op.item_id, op.expected_version, None, None)

    def changes_since(self, seq: int) -> list[Change] | None:
        changes = self._document.changes_since(seq)
        if changes is None:
            return None
        return [Change(number, key, None if entry is None else self._item(entry)) for number, key, entry in changes]

    def watch(self, seq: int, timeout_s: float) -> int:
        return self._document.watch(seq, timeout_s)

    def checkpoint(self) -> None:
        self._document.checkpoint()

    @contextmanager
    def moment(self) -> Iterator[tuple[int, Iterator[Item]]]:
        self._document.refresh()
        seq, entries = self._document.moment()
        yield seq, (item_of(entries[key]) for key in sorted(entries))

    def verify(self) -> LedgerReport:
        findings = [Finding(damage.kind, damage.detail, damage.id) for damage in self._document.verify()]
        ids = self._document.ids()
        for key in ids:
            entry = self._document.get(key)
            try:
                if entry is not None and (item_of(entry).item_id, item_of(entry).status) != (key, entry.section):
                    findings.append(Finding("misplaced", "the record says another id or status than its place in the index.", key))
            except TornLedger:
                findings.append(Finding("bad-record", "the record does not fit the model of an item.", key))
        return LedgerReport(len(ids), self._document.seq, tuple(findings))

    def close(self) -> None:
        self._document.close()


def _client_needle(client_id: str | None) -> bytes:
    """What the record of every item of a client holds, and hardly any other; of everybody's, if None."""
    return b"" if client_id is None else b'"client_id":' + json.dumps(client_id).encode()


def raw_of(item: Item) -> bytes:
    """The record as a line, its version first, empty fields left out."""
    rest = item.model_dump_json(exclude_none=True, exclude={"version"})
    return b'{"version":%d,%s' % (item.version, rest[1:].encode())


def item_of(entry: Entry) -> Item:
    return read_item(entry.raw)


def _keys_in(entry: Entry) -> list[tuple[str, str]]:
    if b'"idempotency_key":"' not in entry.raw:
        return []
    item = item_of(entry)
    return [] if item.idempotency_key is None else [(item.client_id, item.idempotency_key)]


def _contents_in(entry: Entry) -> list[int]:
    """Every digest in the record: the original's, and perhaps more."""
    return [_content_key(digest, entry.section) for digest in _DIGEST.findall(entry.raw)]


def _content_key(digest: bytes, section: str) -> int:
    """A number, since there may be many: the beginning of the digest, and the section."""
    return int(digest[:14], 16) * len(_SECTIONS) + _SECTIONS.index(section)
