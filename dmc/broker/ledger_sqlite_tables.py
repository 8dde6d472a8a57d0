"""The tables of the SQLite ledger, how one connects to them, and how a record stands in them.

Every statement may be repeated: those of a newer schema are run on a database of an older one.
"""

import sqlite3
from pathlib import Path

from dmc.errors import DiskFull, DmcError, Locked, TornLedger
from dmc.items import Item, read_item

SCHEMA = 2
"""1 → 2: the index of contents knows the status too."""

TABLES = """
CREATE TABLE IF NOT EXISTS items (
    id TEXT PRIMARY KEY, status TEXT NOT NULL, client TEXT NOT NULL, version INTEGER NOT NULL,
    idempotency TEXT, wish TEXT, acknowledged TEXT, digest TEXT NOT NULL, record TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_status ON items (status, id);
CREATE INDEX IF NOT EXISTS by_client ON items (client, id);
CREATE INDEX IF NOT EXISTS by_key ON items (client, idempotency, id) WHERE idempotency IS NOT NULL;
DROP INDEX IF EXISTS by_digest;
CREATE INDEX IF NOT EXISTS by_content ON items (digest, status, id);
CREATE INDEX IF NOT EXISTS by_wish ON items (id) WHERE wish IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_acknowledged ON items (acknowledged) WHERE acknowledged IS NOT NULL;
CREATE TABLE IF NOT EXISTS changes (number INTEGER PRIMARY KEY, seq INTEGER NOT NULL, id TEXT NOT NULL, record TEXT);
CREATE INDEX IF NOT EXISTS by_seq ON changes (seq);
CREATE TABLE IF NOT EXISTS counts (status TEXT PRIMARY KEY, items INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, told_from INTEGER NOT NULL);
"""

_MOST_LOG_PAGES = 4096  # Past this a change also writes the log back, some syncs more; a broker at rest does that before.


def connected(path: Path, lock_timeout_s: float) -> sqlite3.Connection:
    """A connection whose commits are durable when they return."""
    connection = sqlite3.connect(path, timeout=lock_timeout_s, isolation_level=None, check_same_thread=False)
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":  # SQLite says so instead of raising, also when a sync has failed.
        raise sqlite3.OperationalError("its write-ahead log cannot be set up")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_MOST_LOG_PAGES}")
    return connection


def fault_of(problem: sqlite3.Error, name: str) -> DmcError | None:
    """What a fault of the database `name` means; None where it can only be the disk's."""
    code = getattr(problem, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return DiskFull(f"writing {name}: the disk is full.", "Free some space; dmc goes on by itself.")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Locked(f"{name} is held by another process.")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return TornLedger(f"{name} is damaged: {problem}.", "Make it anew with: dmc broker rebuild")
    return None


def record_of(item: Item) -> str:
    return item.model_dump_json(exclude_none=True)


def item_of(record: str) -> Item:
    return read_item(record)
