"""Finding items of the JSON ledger by something other than their id: built at the first question, then kept up by what changes.

It only ever finds too much: ids of records that have changed or gone since stay in it, so whoever asks looks at the records.
"""

import threading
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

from dmc.journal import Document, Entry

Key = TypeVar("Key", bound=Hashable)
_PAGE = 500


class Lookup(Generic[Key]):
    """Ids of a document by the keys that `keys_of` sees in a record."""

    def __init__(self, document: Document, keys_of: Callable[[Entry], Iterable[Key]]) -> None:
        self._document = document
        self._keys_of = keys_of
        self._lock = threading.Lock()
        self._ids: dict[Key, tuple[str, ...]] = {}
        self._seq: int | None = None

    def ids(self, key: Key) -> list[str]:
        """Ids that have or had this key, the newest first."""
        with self._lock:
            self._catch_up()
            return sorted(self._ids.get(key, ()), reverse=True)

    def _catch_up(self) -> None:
        seq = self._document.seq
        changes = None if self._seq is None else self._document.changes_since(self._seq)
        if changes is None:
            self._ids = {}
            self._take_all()
        for _, item_id, entry in changes or ():
            self._note(item_id, entry)
        self._seq = seq

    def _take_all(self) -> None:
        after = ""
        while page := self._document.ids(None, after, _PAGE):
            for item_id in page:
                self._note(item_id, self._document.get(item_id))
            after = page[-1]

    def _note(self, item_id: str, entry: Entry | None) -> None:
        for key in () if entry is None else self._keys_of(entry):
            known = self._ids.get(key, ())
            if item_id not in known:
                self._ids[key] = (*known, item_id)
