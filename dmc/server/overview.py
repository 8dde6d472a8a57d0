"""Which items there are by what people ask for: client, status, medium, conversion, name, time. A slim index over the ledger, in memory.

Built at the first question and kept up by the ledger's changes; it holds no truth and may be lost at any time. About 0.4 KB an
item; 100,000 of them are looked through in some 20 ms. Blocking; may be asked by several threads.
"""

import threading
from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import nlargest
from operator import attrgetter

from dmc.broker.ledger import Ledger
from dmc.conversions import MediaType
from dmc.items import Item, Status

PAGE = 1000
MOST_GONE = 20_000
"""Items deleted lately whose owner is still known, so that the owner can be told."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a list of items is wanted of; an empty field asks for nothing.

    `text` is looked for in file names, whatever its case. `since` and `until` (the latter not included) are beginnings of RFC 3339
    times in UTC, as in "2026-11": they are compared as text with `created_at`.
    """

    client_id: str | None = None
    statuses: frozenset[Status] = field(default_factory=frozenset)
    media_type: MediaType | None = None
    conversion_type: str | None = None
    text: str = ""
    since: str = ""
    until: str = ""

    def among(self, rows: "list[Row]") -> "list[Row]":
        """Those of `rows` that fit. One pass for each thing that is asked for: much quicker than one call a row."""
        if self.since:
            rows = [row for row in rows if row.created_at >= self.since]
        if self.until:
            rows = [row for row in rows if row.created_at < self.until]
        if self.client_id is not None:
            rows = [row for row in rows if row.client_id == self.client_id]
        if self.statuses:
            statuses = {status.value for status in self.statuses}
            rows = [row for row in rows if row.status in statuses]
        if self.media_type is not None:
            medium = self.media_type.value
            rows = [row for row in rows if row.media_type == medium]
        if self.conversion_type is not None:
            rows = [row for row in rows if row.conversion_type == self.conversion_type]
        if self.text:
            text = self.text.casefold()
            rows = [row for row in rows if text in row.name]
        return rows


@dataclass(frozen=True, slots=True)
class Row:
    """What can be asked for of one item, as plain text, which compares quicker than words of an enum; `name` is folded for comparing."""

    item_id: str
    client_id: str
    status: str
    media_type: str | None
    conversion_type: str
    created_at: str
    name: str


def is_shown(item: Item | None) -> bool:
    """Whether people see the item: it is there, and not in the trash."""
    return item is not None and item.trashed_at is None


_BY_ID = attrgetter("item_id")


class Overview:
    """Answers with ids, the newest item first."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._rows: list[Row] = []
        self._gone: OrderedDict[str, str] = OrderedDict()
        self._words: dict[str, str] = {}
        self._trashed: dict[str, str] = {}
        self._seq: int | None = None

    def ids(self, asked: Asked, before: str = "", limit: int = PAGE) -> tuple[list[str], int]:
        """Up to `limit` ids below `before` (empty: from the newest on), and how many items fit altogether."""
        with self._lock:
            self._catch_up()
            fitting = asked.among(self._rows)
            end = bisect_left(fitting, before, key=_BY_ID) if before else len(fitting)
            return [row.item_id for row in fitting[max(0, end - limit) : end]][::-1], len(fitting)

    def counts(self, client_id: str | None) -> dict[Status, int]:
        """Items of a client (None: of all) per status, those in the trash left out; every status is a key."""
        with self._lock:
            self._catch_up()
            found = Counter(row.status for row in Asked(client_id).among(self._rows))
        return {status: found[status] for status in Status}

    def trashed(self, client_id: str | None, before: str = "", limit: int = PAGE) -> tuple[list[str], int]:
        """Up to `limit` ids of the trash of a client (None: of all), like `ids`."""
        with self._lock:
            self._catch_up()
            fitting = [item_id for item_id, owner in self._trashed.items() if client_id in (None, owner)]
        return nlargest(limit, (item_id for item_id in fitting if not before or item_id < before)), len(fitting)

    def owner(self, item_id: str) -> str | None:
        """The client of an item that is there, or was until lately. Before the first question nobody was shown any item: None."""
        with self._lock:
            if self._seq is None:
                return None
            self._catch_up()
            place, known = self._place(item_id)
            return self._rows[place].client_id if known else self._gone.get(item_id)

    # --- Keeping up ---

    def _catch_up(self) -> None:
        seq = self._ledger.seq
        if seq == self._seq:
            return
        changes = None if self._seq is None else self._ledger.changes_since(self._seq)
        if changes is None:
            self._rows, self._trashed = [], {}
            for item in self._all():
                if is_shown(item):
                    self._rows.append(self._row(item))
                else:
                    self._trashed[item.item_id] = item.client_id
        for change in changes or ():
            self._note(change.item_id, change.item)
            seq = change.seq
        self._seq = seq

    def _all(self) -> Iterator[Item]:
        after = ""
        while page := self._ledger.select(None, None, after, PAGE):
            yield from page
            after = page[-1].item_id

    def _note(self, item_id: str, item: Item | None) -> None:
        place, known = self._place(item_id)
        self._trashed.pop(item_id, None)
        if item is not None and not is_shown(item):
            self._trashed[item_id] = item.client_id
        if item is not None and is_shown(item):
            self._rows[place : place + known] = [self._row(item)]
        elif known:
            self._gone[item_id] = self._rows.pop(place).client_id
            if len(self._gone) > MOST_GONE:
                self._gone.popitem(last=False)

    def _place(self, item_id: str) -> tuple[int, bool]:
        """Where the row of an item is or would be, and whether it is."""
        place = bisect_left(self._rows, item_id, key=_BY_ID)
        return place, place < len(self._rows) and self._rows[place].item_id == item_id

    def _row(self, item: Item) -> Row:
        """Few clients and conversions, many items: their names are held once."""
        client, conversion = (self._words.setdefault(word, word) for word in (item.client_id, item.conversion_type))
        medium = None if item.media_type is None else item.media_type.value
        name = item.original_file_name.casefold()
        return Row(item.item_id, client, item.status.value, medium, conversion, item.created_at, name)
