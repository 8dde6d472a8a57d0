"""The ledger as a SQLite database, for a million items: opens at once and holds nothing in memory. Standard library only.

Write-ahead log with synchronous=FULL: a commit is one fsync. Records are the same lines of JSON as in index.json, beside the
few columns that are asked for. The last changes are kept in a table of their own, so that others can follow.
"""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from dmc.broker.ledger import Change, Finding, Guard, LedgerReport, Op, Put, check_op
from dmc.broker.ledger_sqlite_tables import SCHEMA, TABLES, connected, fault_of, item_of, record_of
from dmc.broker.reserve import Reserve
from dmc.errors import Conflict, DiskFault, DiskFull, DmcError, Locked, Refused, TornLedger
from dmc.items import Item, Status
from dmc.locks import Waits

INDEX_FILE = "index.sqlite"
RESERVE_FILE = "index.sqlite-reserve"
REMEMBERED_CHANGES = 20_000
_LOOK_EVERY_S = 0.1
_PAGE = 50
_BEYOND = "\U0010ffff"  # Sorts behind every id.


class LedgerSqlite:
    """See the seam, ledger.py. One connection writes and one reads, so that readers do not wait for a writer."""

    def __init__(self, path: Path, lock_timeout_s: float, reserve_bytes: int) -> None:
        self._path = path
        self._reserve = Reserve(path.with_name(RESERVE_FILE), reserve_bytes)
        self._fault: DmcError | None = None
        self._changed = threading.Condition()
        self._writing, self._reading = threading.Lock(), threading.Lock()
        self.waits = Waits()
        with self._translated():
            self._writer = connected(path, lock_timeout_s)
            self._reader = connected(path, lock_timeout_s)

    @classmethod
    def open(cls, data: Path, *, recover: bool = True, lock_timeout_s: float = 10.0, reserve_bytes: int = 1024 * 1024) -> Self:
        """The ledger of a data folder. Raises Locked, TornLedger, Refused (of a newer version), DiskFull, DiskFault."""
        self = cls(data / INDEX_FILE, lock_timeout_s, reserve_bytes)
        with self._translated():
            (schema,) = self._writer.execute("PRAGMA user_version").fetchone()
            if schema > SCHEMA:
                raise Refused(f"{INDEX_FILE} was written by a newer dmc (schema {schema}, this one knows {SCHEMA}).", "Update dmc.")
            if schema < SCHEMA:
                self._create()
        if recover:
            self._make_durable()
        return self

    def _make_durable(self) -> None:
        """Write into the database, onto new pages, what a dying process has left in the log and may never have synced."""
        if self._with_room(lambda: self._write_back("FULL")):
            raise Locked(f"{self._path.name} is held by another process.")
        self._reserve.fill()

    def _create(self) -> None:
        with self._transaction():
            for statement in TABLES.split(";"):
                self._writer.execute(statement)
            self._writer.executemany("INSERT OR IGNORE INTO counts VALUES (?, 0)", [(status.value,) for status in Status])
            self._writer.execute("INSERT OR IGNORE INTO state VALUES (1, 0, 0)")
            self._writer.execute(f"PRAGMA user_version = {SCHEMA}")

    # --- Reading ---------------------------------------------------------------------------------------------------

    @property
    def seq(self) -> int:
        return int(self._one("SELECT seq FROM state")[0])

    def get(self, item_id: str) -> Item | None:
        rows = self._rows("SELECT record FROM items WHERE id = ?", item_id)
        return item_of(rows[0][0]) if rows else None

    def select(self, status: Status | None = None, client_id: str | None = None, after: str = "", limit: int = 200) -> list[Item]:
        where, values = ["id > ?"], [after]
        for column, value in (("status", status), ("client", client_id)):
            if value is not None:
                where.append(f"{column} = ?")
                values.append(str(value))
        sql = f"SELECT record FROM items WHERE {' AND '.join(where)} ORDER BY id LIMIT ?"  # noqa: S608 - columns are named above
        return [item_of(row[0]) for row in self._rows(sql, *values, limit)]

    def find(self, prefix: str, limit: int = 2) -> list[str]:
        rows = self._rows("SELECT id FROM items WHERE id >= ? AND id < ? ORDER BY id LIMIT ?", prefix, prefix + _BEYOND, limit)
        return [row[0] for row in rows]

    def counts(self) -> dict[Status, int]:
        counts = dict(self._rows("SELECT status, items FROM counts"))
        return {status: counts.get(status.value, 0) for status in Status}

    def newest_id(self) -> str | None:
        return self._one("SELECT max(id) FROM items")[0]  # type: ignore[no-any-return]

    def with_key(self, client_id: str, idempotency_key: str) -> Item | None:
        sql = "SELECT record FROM items WHERE client = ? AND idempotency = ? ORDER BY id DESC LIMIT 1"
        rows = self._rows(sql, client_id, idempotency_key)
        return item_of(rows[0][0]) if rows else None

    def with_content(self, sha512: str, status: Status) -> Iterator[Item]:
        sql = "SELECT id, record FROM items WHERE digest = ? AND status = ? AND id < ? ORDER BY id DESC LIMIT ?"
        before, page = _BEYOND, 1
        while rows := self._rows(sql, sha512, status.value, before, page):
            yield from (item_of(record) for _, record in rows)
            before, page = rows[-1][0], _PAGE

    def wished(self) -> list[Item]:
        return [item_of(row[0]) for row in self._rows("SELECT record FROM items WHERE wish IS NOT NULL ORDER BY id")]

    def acknowledged(self, before: str, limit: int = 200) -> list[Item]:
        sql = "SELECT record FROM items WHERE acknowledged < ? AND status IN (?, ?) ORDER BY id LIMIT ?"
        finished = [status.value for status in Status if status.is_finished]
        return [item_of(row[0]) for row in self._rows(sql, before, *finished, limit)]

    def changes_since(self, seq: int) -> list[Change] | None:
        with self._reading, self._translated():
            now, told_from = self._reader.execute("SELECT seq, told_from FROM state").fetchone()
            if not told_from <= seq <= now:
                return None
            rows = self._reader.execute(
                "SELECT seq, id, record FROM changes WHERE seq > ? AND seq <= ? ORDER BY number", (seq, now)
            ).fetchall()
        return [Change(number, item_id, None if record is None else item_of(record)) for number, item_id, record in rows]

    def watch(self, seq: int, timeout_s: float) -> int:
        deadline = time.monotonic() + timeout_s
        while True:
            with self._changed:
                now = self.seq
                left = deadline - time.monotonic()
                if now > seq or left <= 0:
                    return now
                self._changed.wait(min(left, _LOOK_EVERY_S))

    # --- Changing --------------------------------------------------------------------------------------------------

    def change(self, ops: Sequence[Op], guard: Guard | None = None) -> int:
        if not ops:
            return self.seq
        self._reserve.refill()  # Before conversions take the room: a log that cannot be written back could never shrink.
        # Something new may not use up the reserve, a change of what exists may.
        return self._with_room(lambda: self._change(ops, guard), may_use_reserve=all(op.expected_version for op in ops))

    def _with_room(self, do: Callable[[], int], *, may_use_reserve: bool = True) -> int:
        """Do it; on a full disk again with the log's room given back, and again with the reserve's, into which the log goes."""
        with contextlib.suppress(DiskFull):
            return do()
        try:
            self._write_back("TRUNCATE")
            return do()
        except DiskFull:
            if not may_use_reserve or not self._reserve.drop():
                raise
        with contextlib.suppress(DiskFull):
            self._write_back("TRUNCATE")
        return do()

    def _change(self, ops: Sequence[Op], guard: Guard | None) -> int:
        with self._transaction() as seq:
            for op in ops:
                self._apply(op)
            if guard is not None:
                guard()
            records = [(seq, op.item_id, record_of(op.item) if isinstance(op, Put) else None) for op in ops]
            self._writer.executemany("INSERT INTO changes (seq, id, record) VALUES (?, ?, ?)", records)
            self._forget_old_changes()
            self._writer.execute("UPDATE state SET seq = ?", (seq,))
        with self._changed:
            self._changed.notify_all()
        return seq

    def _apply(self, op: Op) -> None:
        row = self._writer.execute("SELECT version, status FROM items WHERE id = ?", (op.item_id,)).fetchone()
        version, status = (row[0], Status(row[1])) if row else (0, None)
        if version != op.expected_version:
            raise Conflict(f"{op.item_id} has changed meanwhile (version {version}, expected {op.expected_version}).")
        check_op(status, op)
        if status is not None:
            self._count(status, -1)
        if isinstance(op, Put):
            self._store(op.item)
        else:
            self._writer.execute("DELETE FROM items WHERE id = ?", (op.item_id,))

    def _store(self, item: Item) -> None:
        asked_for = (item.idempotency_key, item.wish, item.acknowledged_at, item.sha512_checksum)
        values = (item.item_id, item.status.value, item.client_id, item.version, *asked_for, record_of(item))
        self._writer.execute("INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        self._count(item.status, 1)

    def _count(self, status: Status, by: int) -> None:
        self._writer.execute("UPDATE counts SET items = items + ? WHERE status = ?", (by, status.value))

    def _forget_old_changes(self) -> None:
        """Keep the last changes; `told_from` says from where on all are there."""
        (newest,) = self._writer.execute("SELECT max(number) FROM changes").fetchone()
        row = self._writer.execute("SELECT max(seq) FROM changes WHERE number <= ?", (newest - REMEMBERED_CHANGES,)).fetchone()
        if row[0] is not None:
            self._writer.execute("DELETE FROM changes WHERE seq <= ?", row)
            self._writer.execute("UPDATE state SET told_from = ?", row)

    def write_anew(self, items: Iterable[Item], *, after_seq: int = 0) -> int:
        """Let `items` be the whole ledger, in one transaction; returns the seq, which is above `after_seq`."""
        with self._transaction() as next_seq:
            seq = max(next_seq, after_seq + 1)
            self._writer.execute("DELETE FROM items")
            self._writer.execute("DELETE FROM changes")
            self._writer.execute("UPDATE counts SET items = 0")
            for item in items:
                self._store(item)
            self._writer.execute("UPDATE state SET seq = ?, told_from = ?", (seq, seq))
        return seq

    def checkpoint(self) -> None:
        self._write_back("PASSIVE")
        self._reserve.fill()

    def _write_back(self, how: str) -> int:
        """Write the log into the database; returns whether somebody was in the way."""
        with self._writing, self._translated():
            return int(self._writer.execute(f"PRAGMA wal_checkpoint({how})").fetchone()[0])

    @contextlib.contextmanager
    def moment(self) -> Iterator[tuple[int, Iterator[Item]]]:
        with self._translated():
            connection = connected(self._path, 0.0)  # Of its own: a long read holds nobody up.
        with contextlib.closing(connection):
            with self._translated():
                connection.execute("BEGIN")
                (seq,) = connection.execute("SELECT seq FROM state").fetchone()
                rows = connection.execute("SELECT record FROM items ORDER BY id")
            yield seq, (item_of(row[0]) for row in rows)

    def verify(self) -> LedgerReport:
        findings = [Finding("damaged", str(row[0])) for row in self._rows("PRAGMA integrity_check") if row[0] != "ok"]
        for item_id, status, record in self._rows("SELECT id, status, record FROM items"):
            try:
                item = item_of(record)
                if (item.item_id, item.status) != (item_id, status):
                    findings.append(Finding("misplaced", "the record says another id or status than its row.", item_id))
            except TornLedger:
                findings.append(Finding("bad-record", "the record does not fit the model of an item.", item_id))
        return LedgerReport(sum(self.counts().values()), self.seq, tuple(findings))

    def close(self) -> None:
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()

    # --- Connections and faults ------------------------------------------------------------------------------------

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        with self._reading, self._translated():
            return self._reader.execute(sql, values).fetchall()

    def _one(self, sql: str) -> Any:
        return self._rows(sql)[0]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[int]:
        """All or nothing, alone among threads and processes; gives the sequence number of the change."""
        with self._translated(), contextlib.ExitStack() as held:
            with self.waits.counted():
                held.enter_context(self._writing)
                self._writer.execute("BEGIN IMMEDIATE")
            try:
                known = self._writer.execute("SELECT name FROM sqlite_master WHERE name = 'state'").fetchone()
                row = self._writer.execute("SELECT seq FROM state").fetchone() if known else None
                yield (row[0] if row else 0) + 1
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        if self._fault is not None:
            raise self._fault
        try:
            yield
        except sqlite3.Error as problem:
            raise self._told(problem) from problem

    def _told(self, problem: sqlite3.Error) -> DmcError:
        known = fault_of(problem, self._path.name)
        if known is not None:
            return known
        self._fault = DiskFault(
            f"{self._path.name}: {problem}.",
            "Nothing more is read or written until dmc is started anew; look at the disk and the system log.",
        )
        return self._fault
