"""What stands beside results, read once: facts and previews of finished items, from facts.json in their folders. Blocking.

They stand in the folders and not in the ledger, which holds what must never be lost and is read as a whole at every start.
What was read is kept for as many items as some pages show.
"""

import threading
from collections import OrderedDict
from pathlib import Path

from dmc.broker.storage import Storage
from dmc.items import Item, Status
from dmc.products import FACTS_FILE, MOST_BYTES, Products

KEPT = 2000
"""Items whose products are remembered; about 2 KB each."""


class Shelf:
    """Products of items by id; may be asked from any thread."""

    def __init__(self, storage: Storage, kept: int = KEPT) -> None:
        self._storage = storage
        self._kept = kept
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[int | None, Products | None]] = OrderedDict()

    def of(self, item: Item) -> Products | None:
        """The products of `item`; None if it has none. What was written anew, by a later attempt or by hand, is read anew."""
        if item.status is not Status.FINISHED_SUCCESSFUL:
            return None
        folder = self._storage.folder(item.item_id)
        if folder is None:
            return None
        written = _written(folder)
        with self._lock:
            known = self._known.get(item.item_id)
            if known is not None and written in (None, known[0]):
                self._known.move_to_end(item.item_id)
                return known[1]
        try:
            found = self._read(item, folder)
        except OSError:
            return None  # Not for good: it may be that too many files are open.
        with self._lock:
            self._known[item.item_id] = (written, found)
            self._known.move_to_end(item.item_id)
            while len(self._known) > self._kept:
                self._known.popitem(last=False)
        return found

    def _read(self, item: Item, folder: Path) -> Products | None:
        for _ in range(2):
            try:
                with (folder / "out" / FACTS_FILE).open("rb") as file:
                    return Products.read(file.read(MOST_BYTES + 1))
            except FileNotFoundError:
                folder = self._storage.folder(item.item_id) or folder  # The broker may have moved it meanwhile.
        return None


def _written(folder: Path) -> int | None:
    """When facts.json was written, in nanoseconds; None if it is not there."""
    try:
        return (folder / "out" / FACTS_FILE).stat().st_mtime_ns
    except OSError:
        return None
