"""The records of a document in memory: found by id, listed by section in order, with the way they changed lately.

Holds what is known to be durable, and no file. Readers and the one writer share it under a lock that is never held while
the disk works.
"""

import heapq
import threading
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable
from itertools import islice

from dmc.journal_lines import Entry

REMEMBERED_CHANGES = 20_000
"""Changes that `changes_since` can tell at most."""

Changed = tuple[str, Entry | None]
"""An id and its new record; None: deleted."""


class Table:
    """Records, sorted ids per section, recent changes, and the sequence number up to which they hold."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._entries: dict[str, Entry] = {}
        self._ids: dict[str, list[str]] = {}
        self._recent: deque[tuple[int, str, Entry | None]] = deque()
        self._recent_from = 0
        self.seq = 0

    @property
    def entries(self) -> dict[str, Entry]:
        """All records; for the writer, who alone may change them meanwhile."""
        return self._entries

    def moment(self) -> tuple[int, dict[str, Entry]]:
        """The sequence number and a copy of the records that go with it."""
        with self._lock:
            return self.seq, dict(self._entries)

    def get(self, key: str) -> Entry | None:
        return self._entries.get(key)

    def ids(self, section: str | None, after: str, limit: int | None) -> list[str]:
        """Ids above `after`, sorted, of one section or of all."""
        with self._lock:
            lists = [self._ids.get(section, [])] if section is not None else list(self._ids.values())
            parts = []
            for ids in lists:
                start = bisect_right(ids, after)
                parts.append(ids[start:] if limit is None else ids[start : start + limit])
        return parts[0] if len(parts) == 1 else list(islice(heapq.merge(*parts), limit))

    def counts(self) -> dict[str, int]:
        """Records per section that has any."""
        with self._lock:
            return {section: len(ids) for section, ids in self._ids.items() if ids}

    def find(self, prefix: str, limit: int) -> list[str]:
        """Up to `limit` ids that start with `prefix`, sorted."""
        found: list[str] = []
        with self._lock:
            for ids in self._ids.values():
                start = bisect_left(ids, prefix)
                for key in ids[start : start + limit]:
                    if key.startswith(prefix):
                        found.append(key)
        return sorted(found)[:limit]

    def newest(self) -> str | None:
        """The largest id."""
        with self._lock:
            return max((ids[-1] for ids in self._ids.values() if ids), default=None)

    def changes_since(self, seq: int) -> list[tuple[int, str, Entry | None]] | None:
        """The changes after `seq` in order; None if they are not remembered that far back."""
        with self._lock:
            if seq > self.seq or seq < self._recent_from:
                return None
            newest_first = []
            for change in reversed(self._recent):
                if change[0] <= seq:
                    break
                newest_first.append(change)
        return newest_first[::-1]

    def wait(self, seq: int, timeout_s: float) -> bool:
        """Wait until the table is past `seq` (True) or `timeout_s` have passed (False)."""
        with self._lock:
            return self._lock.wait_for(lambda: self.seq > seq, timeout_s)

    def apply(self, seq: int, changes: Iterable[Changed]) -> None:
        """Take over the changes that make up change number `seq`."""
        with self._lock:
            for key, entry in changes:
                self._set(key, entry)
                self._recent.append((seq, key, entry))
            while len(self._recent) > REMEMBERED_CHANGES:
                self._recent_from = self._recent.popleft()[0]
            self.seq = seq
            self._lock.notify_all()

    def begin(self, seq: int, entries: dict[str, Entry]) -> None:
        """Hold exactly `entries`, as of `seq`, and remember no change before."""
        with self._lock:
            self._hold(entries)
            self._recent.clear()
            self._recent_from = self.seq = seq
            self._lock.notify_all()

    def become(self, seq: int, entries: dict[str, Entry]) -> None:
        """Hold exactly `entries`, as of `seq`; what differs from before is remembered as changed by `seq`."""
        before = self._entries
        changed: list[Changed] = [(key, entry) for key, entry in entries.items() if before.get(key) != entry]
        changed += [(key, None) for key in before.keys() - entries.keys()]
        if seq < self.seq or (seq == self.seq and changed):
            self.begin(seq, entries)  # An older index was put in place; there is no way from here to there.
            return
        with self._lock:
            self._hold(entries)
            self._recent.extend((seq, key, entry) for key, entry in changed)
            while len(self._recent) > REMEMBERED_CHANGES:
                self._recent_from = self._recent.popleft()[0]
            self.seq = seq
            self._lock.notify_all()

    def _hold(self, entries: dict[str, Entry]) -> None:
        self._entries = entries
        self._ids = {}
        for key in sorted(entries):
            self._ids.setdefault(entries[key].section, []).append(key)

    def _set(self, key: str, entry: Entry | None) -> None:
        old = self._entries.pop(key, None) if entry is None else self._entries.get(key)
        if old is not None and (entry is None or old.section != entry.section):
            ids = self._ids[old.section]
            del ids[bisect_left(ids, key)]
        if entry is None:
            return
        self._entries[key] = entry
        if old is None or old.section != entry.section:
            insort(self._ids.setdefault(entry.section, []), key)
