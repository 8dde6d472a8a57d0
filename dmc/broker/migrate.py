"""From one kind of ledger to the other: every record as it is, the sequence numbers going on.

The caller holds broker.lock and no server runs. The old files get another name in the end, so that nobody opens them by
mistake; until then they are the truth, and beginning again is safe.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from dmc.broker.ledger import Ledger
from dmc.broker.recovery import every
from dmc.files import Disk
from dmc.items import Item

SUFFIX = ".migrated"
JSON_FILES = ("index.json", "index.journal", "index.json.prev", "index.journal.prev", "index.reserve")
SQLITE_FILES = ("index.sqlite", "index.sqlite-wal", "index.sqlite-shm", "index.sqlite-reserve")

Write = Callable[[Iterable[Item], int], int]
"""Makes these items the whole of the new ledger, with a sequence number above the given one."""


def migrate(old: Ledger, write: Write) -> int:
    """Write all items of `old` into the new ledger; returns their number."""
    write(every(old), old.seq)
    return sum(old.counts().values())


def put_away(data: Path, disk: Disk, names: tuple[str, ...]) -> None:
    """Give the files of the old ledger, which is closed, another name."""
    for name in names:
        if disk.stat(data / name) is not None:
            disk.rename(data / name, data / (name + SUFFIX))
    disk.sync_folder(data)
