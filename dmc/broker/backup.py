"""What of a data folder goes into a backup, while server and broker work on it: the records of one moment, and files of items.

It takes no lock and changes nothing. Files of items are immutable once they are admitted or finished, but their folders
move and vanish meanwhile: an item whose files could not be had whole is simply not among those whose media are in.
"""

import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dmc.broker.archive import ArchiveWriter
from dmc.broker.ledger import Ledger
from dmc.broker.storage import Storage
from dmc.files import TEMP_PREFIX
from dmc.items import Item, read_item

ITEMS = "ledger/items.jsonl"
_ADMITTED = ("ticket.json", "outcome.json")
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Put:
    """What got into a backup: the number of records, the sequence number of their moment, ids of items whose files are whole in it."""

    items: int
    seq: int
    media: tuple[str, ...] = ()


def put_all(ledger: Ledger, archive: ArchiveWriter, scratch: Path, storage: Storage | None) -> Put:
    """Put all records of one moment into the backup, one a line, and, if there is a `storage`, the files of their items.

    The records are gathered in an unnamed file in the folder `scratch`, for a tar must know the size before.
    """
    count = 0
    with tempfile.TemporaryFile(dir=scratch) as file:
        with ledger.moment() as (seq, items):
            for item in items:
                file.write(item.model_dump_json(exclude_none=True).encode() + b"\n")
                count += 1
        size = file.tell()
        file.seek(0)
        archive.add_file(ITEMS, file, size)
        file.seek(0)
        told = (read_item(line) for line in file) if storage is not None else ()
        media = [item.item_id for item in told if storage is not None and item.gone != "files" and _put_item(item, storage, archive)]
    return Put(count, seq, tuple(media))


def _put_item(item: Item, storage: Storage, archive: ArchiveWriter) -> bool:
    """Whether all that its record tells of got in. A file that moves while it is looked for is looked for again."""
    needed = {} if item.gone == "original" else {item.current_file_name: item.file_size}
    if item.result is not None:
        needed |= {f"out/{told.file_name}": told.file_size for told in item.result.files}
    sizes: dict[str, int] = {}
    for _ in range(_TRIES):
        folder = storage.folder(item.item_id)
        if folder is None:
            break
        for name in _names(item, folder):
            if name not in sizes:
                size = _put_file(folder / name, f"media/{item.item_id}/{name}", archive)
                if size is not None:
                    sizes[name] = size
        if needed.items() <= sizes.items():
            return True
    return False


def _names(item: Item, folder: Path) -> list[str]:
    """Files to take: of a finished item all, of another one what was admitted; the rest is a worker's, who is at it."""
    if not item.status.is_finished:
        return [*_ADMITTED, item.current_file_name]
    found = []
    for here, _, names in os.walk(folder):
        found += [str(Path(here, name).relative_to(folder)) for name in names if not name.startswith(TEMP_PREFIX)]
    return sorted(found)


def _put_file(path: Path, name: str, archive: ArchiveWriter) -> int | None:
    """Bytes that were put in; None if there is no such file, or it became shorter."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        whole = stat.S_ISREG(found.st_mode) and archive.add_file(name, file, found.st_size)
    return found.st_size if whole else None
