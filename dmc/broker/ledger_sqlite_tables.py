"""The tables of the SQLite ledger. Every statement may be repeated: those of a newer schema are run on a database of an older one."""

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
