"""Finding items of the JSON ledger by something other than their id: built at the first question, then kept up by what changes.

It only ever finds too much: ids of records that have changed or gone since stay in it until it is built anew, so whoever asks
looks at the records. A question costs as much as is taken of the answer, however many records share a key.
"""

import threading
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Generic, TypeVar

from dmc.journal import Document, Entry

Key = TypeVar("Key", bound=Hashable)
_PAGE = 500
_AT_ONCE = 20
_STALE_AT_LEAST = 10_000
"""So many ids may have been noted in vain, and as many as there were records, before it is built anew."""


class Lookup(Generic[Key]):
    """Ids of a document by the keys that `keys_of` sees in a record."""

    def __init__(self, document: Document, keys_of: Callable[[Entry], Iterable[Key]]) -> None:
        self._document = document
        self._keys_of = keys_of
        self._lock = threading.Lock()
        self._ids: dict[Key, str | list[str]] = {}
        """Sorted; most keys have one id only, and a hundred thousand lists would be large."""
        self._noted, self._most_noted = 0, 0
        self._seq: int | None = None

    def ids(self, key: Key) -> Iterator[str]:
        """Ids that have or had this key, the newest first."""
        with self._lock:
            self._catch_up()
        before = None
        while page := self._page(key, before):
            yield from page
            before = page[-1]

    def _page(self, key: Key, before: str | None) -> list[str]:
        """The newest ids of a key that are older than `before`."""
        with self._lock:
            known = self._ids.get(key, [])
            ids = [known] if isinstance(known, str) else known
            end = len(ids) if before is None else bisect_left(ids, before)
            return ids[max(0, end - _AT_ONCE) : end][::-1]

    def _catch_up(self) -> None:
        seq = self._document.seq
        changes = None if self._seq is None else self._document.changes_since(self._seq)
        if changes is None or self._noted > self._most_noted:
            self._take_all()
        for _, item_id, entry in changes or ():
            self._note(item_id, entry)
        self._seq = seq

    def _take_all(self) -> None:
        self._ids, self._noted, after = {}, 0, ""
        while page := self._document.ids(None, after, _PAGE):
            for item_id in page:
                self._note(item_id, self._document.get(item_id))
            after = page[-1]
        self._most_noted = 2 * self._noted + _STALE_AT_LEAST

    def _note(self, item_id: str, entry: Entry | None) -> None:
        for key in () if entry is None else self._keys_of(entry):
            known = self._ids.get(key)
            if known is None:
                self._ids[key] = item_id
            elif isinstance(known, str):
                self._ids[key] = sorted({known, item_id})
            elif known[(at := bisect_left(known, item_id)) : at + 1] != [item_id]:
                known.insert(at, item_id)
            self._noted += 1
