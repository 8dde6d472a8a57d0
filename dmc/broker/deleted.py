"""Which items somebody deleted for good, and whose they were: a line for each in `deleted.jsonl` of the data folder.

The broker writes the line before the record goes; the server, which may be another process, reads it, so that a client that was away
need not offer its file again. No id is ever used twice, and the ledger is asked first: a line too many says nothing false. A line
that is lost does no harm, the client then offers its file once more. No backup holds the file: what is restored says of nothing
that somebody deleted it.
"""

import json
import threading
from pathlib import Path

from dmc.files import Disk, write_durably

FILE_NAME = "deleted.jsonl"
MOST = 20_000
"""Items that are remembered at least; of twice as many the older half is forgotten."""


class Deleted:
    """See the top of this file. Blocking; may be asked by several threads. Raises OSError."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk
        self._lock = threading.Lock()
        self._owners: dict[str, str] = {}
        self._inode: int | None = None
        self._size = 0

    def owner(self, item_id: str) -> str | None:
        """The client of an item that somebody deleted; None of any other."""
        with self._lock:
            self._catch_up()
            return self._owners.get(item_id)

    def note(self, item_id: str, client_id: str) -> None:
        """Remember; durable on return."""
        with self._lock:
            is_cut = self._catch_up()
            if item_id in self._owners:
                return
            line = _line(item_id, client_id)
            if self._inode is None or len(self._owners) >= 2 * MOST:
                kept = list(self._owners.items())[-MOST:]
                write_durably(self._disk, self._path, b"".join([*(_line(*pair) for pair in kept), line]))
            else:
                self._disk.append_synced(self._path, b"\n" + line if is_cut else line)

    def _catch_up(self) -> bool:
        """Read what came since the last look; whether the file ends in a line that was cut."""
        found = self._disk.stat(self._path)
        if found is None or found.st_ino != self._inode or found.st_size < self._size:
            self._owners, self._inode, self._size = {}, None if found is None else found.st_ino, 0
        if found is None or found.st_size == self._size:
            return False
        whole, end, cut = self._disk.read_from(self._path, self._size).rpartition(b"\n")
        self._size += len(whole + end)
        for line in whole.splitlines():
            try:
                item_id, owner = json.loads(line)
            except (ValueError, TypeError):
                continue  # It was cut by a power cut or a full disk.
            self._owners[item_id] = owner
        return bool(cut)


def _line(item_id: str, client_id: str) -> bytes:
    return json.dumps([item_id, client_id]).encode() + b"\n"
