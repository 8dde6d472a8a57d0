"""`GET /api/v1/statistics`: how many, how much, how fast. `GET /api/v1/failures`: what failed, grouped by cause, and its retry.

The counts are made by one walk through the ledger at the first question, and from its changes afterwards: a question costs
the same at a hundred items and at a hundred thousand. Holds no truth: after a restart it walks again.
"""

import re
import threading
import zlib
from collections.abc import Callable
from datetime import datetime

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from dmc.broker.ledger import Ledger
from dmc.broker.wishes import wish
from dmc.clock import Clock
from dmc.errors import UnknownItem, WrongStatus
from dmc.items import Item, Status, Wish
from dmc.protocol import API
from dmc.server.auth import Caller, caller_of
from dmc.server.calls import Call, add
from dmc.server.offload import Offload
from dmc.server.replies import json_reply
from dmc.server.tally import Counts, Span, Tally, hour_of, largest, start_of
from dmc.server.tokens import Scope

STATISTICS = f"{API}/statistics"
FAILURES = f"{API}/failures"

HOURS = 48
DAYS = 30
WALK_PAGE = 1000
RETRY_AT_ONCE = 500
"""Failed items that one request begins again; the answer tells how many are left."""

EXAMPLES = 5
NO_CAUSE = "Unknown"
_NUMBER = re.compile(r"\d+")

_VIEW = ConfigDict(frozen=True, extra="forbid")


class SpanView(BaseModel):
    """What was finished from `start` (RFC 3339 UTC) on, for an hour or a day; bytes of converted files before and after."""

    model_config = _VIEW
    start: str
    converted: int
    failed: int
    bytes_in: int
    bytes_out: int


class StatisticsView(BaseModel):
    """Counts over the items that the caller may see and the server still holds. `saved_bytes` may be negative."""

    model_config = _VIEW
    statuses: dict[Status, int]
    media_types: dict[str, int]
    conversion_types: dict[str, int]
    months: dict[str, int]
    clients: dict[str, int]
    converted: int
    kept_original: int
    failed: int
    bytes_in: int
    bytes_out: int
    saved_bytes: int
    hours: list[SpanView]
    days: list[SpanView]


class FailureGroup(BaseModel):
    """Failed items with one `cause` (its code, and a mark of its words): the newest one's words, and the names of a few."""

    model_config = _VIEW
    cause: str
    code: str
    message: str
    hint: str
    count: int
    file_names: list[str]


class FailuresView(BaseModel):
    model_config = _VIEW
    groups: list[FailureGroup]


class RetriedView(BaseModel):
    """How many items were asked to begin again, and how many of the group there still are."""

    model_config = _VIEW
    retried: int
    left: int


class Statistics:
    """The endpoints that count."""

    def __init__(self, *, ledger: Ledger, clock: Clock, offload: Offload) -> None:
        self._ledger = ledger
        self._clock = clock
        self._offload = offload
        self._guard = threading.Lock()
        self._tally = Tally()
        self._seq: int | None = None
        self.finished: Callable[[Item], None] = lambda _: None
        """Told of each item that is seen to be finished; not of those that were so at the first look."""

    def add_routes(self, app: web.Application) -> None:
        add(app, "GET", STATISTICS, self._statistics, Call("Counts, sizes and what was finished over time", reply=StatisticsView))
        add(app, "GET", FAILURES, self._failures, Call("Failed items, grouped by cause", reply=FailuresView))
        again = Call("Convert a whole group anew", Scope.WRITE, RetriedView, 202)
        add(app, "POST", FAILURES + "/{cause}/retry", self._retry, again)

    def held(self, client_id: str) -> tuple[int, int]:
        """Bytes that the files of a client, and those of all, have on the disk. Blocking."""
        with self._guard:
            self._catch_up()
            return self._tally.held(client_id), self._tally.held()

    def counts(self) -> Counts:
        """Over all items. Blocking."""
        with self._guard:
            self._catch_up()
            return self._tally.counts()

    async def _statistics(self, request: web.Request) -> web.Response:
        caller = caller_of(request)
        return json_reply(await self._offload.quick(self._count, caller), headers={"Cache-Control": "no-store"})

    def _count(self, caller: Caller) -> StatisticsView:
        with self._guard:
            self._catch_up()
            counts = self._tally.counts(None if caller.is_admin else caller.client_id)
            clients = {name: count for name, count in self._tally.clients().items() if caller.sees(name)}
        return view(counts, clients, self._clock.now())

    def _catch_up(self) -> None:
        changes = None if self._seq is None else self._ledger.changes_since(self._seq)
        if changes is not None:
            for change in changes:
                if self._tally.note(change.item_id, change.item) and change.item is not None:
                    self.finished(change.item)
                self._seq = change.seq
            return
        # The number first: what changes during the walk is told again afterwards, and counting an item twice is no fault.
        seq, tally, after = self._ledger.seq, Tally(), ""
        while page := self._ledger.select(after=after, limit=WALK_PAGE):
            for item in page:
                tally.note(item.item_id, item)
            after = page[-1].item_id
        self._seq, self._tally = seq, tally

    # --- Failures ---

    async def _failures(self, request: web.Request) -> web.Response:
        failed = await self._offload.quick(self._failed, caller_of(request))
        return json_reply(FailuresView(groups=grouped(failed)), headers={"Cache-Control": "no-store"})

    async def _retry(self, request: web.Request) -> web.Response:
        caller, cause = caller_of(request), request.match_info["cause"]

        def retry() -> RetriedView:
            group = [item for item in self._failed(caller) if cause_of(item) == cause and item.wish is None]
            for item in group[:RETRY_AT_ONCE]:
                try:
                    wish(self._ledger, item.item_id, Wish.RETRY)
                except (WrongStatus, UnknownItem):
                    continue  # Somebody else was faster, with a retry or a deletion.
            return RetriedView(retried=min(len(group), RETRY_AT_ONCE), left=max(0, len(group) - RETRY_AT_ONCE))

        return json_reply(await self._offload.quick(retry), status=202)

    def _failed(self, caller: Caller) -> list[Item]:
        found: list[Item] = []
        client_id = None if caller.is_admin else caller.client_id
        after = ""
        while page := self._ledger.select(Status.FINISHED_WITH_ERRORS, client_id, after, WALK_PAGE):
            found += page
            after = page[-1].item_id
        return found


def view(counts: Counts, clients: dict[str, int], now: datetime) -> StatisticsView:
    """The counts as the outside sees them, with the last 48 hours and the last 30 days (UTC), the current ones last."""
    hour = hour_of(now)
    today = hour_of(now.replace(hour=0, minute=0, second=0, microsecond=0))
    hours = [_span(first, counts.over(first, 1)) for first in range(hour - HOURS + 1, hour + 1)]
    days = [_span(first, counts.over(first, 24)) for first in range(today - 24 * (DAYS - 1), today + 1, 24)]
    return StatisticsView(
        statuses={status: counts.statuses[status] for status in Status},
        media_types=largest(counts.media.items()),
        conversion_types=largest(counts.conversion_types.items()),
        months={month: count for month, count in sorted(counts.months.items(), reverse=True) if count},
        clients=largest(clients.items()),
        converted=counts.total.converted,
        kept_original=counts.kept_original,
        failed=counts.statuses[Status.FINISHED_WITH_ERRORS],
        bytes_in=counts.total.bytes_in,
        bytes_out=counts.total.bytes_out,
        saved_bytes=counts.total.bytes_in - counts.total.bytes_out,
        hours=hours,
        days=days,
    )


def grouped(failed: list[Item]) -> list[FailureGroup]:
    """Failed items (oldest first) by cause, the largest group first."""
    groups: dict[str, list[Item]] = {}
    for item in failed:
        if item.wish is None:
            groups.setdefault(cause_of(item), []).append(item)
    made = []
    for cause, items in groups.items():
        last = items[-1].errors[-1] if items[-1].errors else None
        names = [item.original_file_name for item in reversed(items[-EXAMPLES:])]
        said = (last.message, last.hint) if last else ("It did not say why.", "")
        made.append(
            FailureGroup(
                cause=cause,
                code=last.code if last else NO_CAUSE,
                message=said[0],
                hint=said[1],
                count=len(items),
                file_names=names,
            )
        )
    return sorted(made, key=lambda group: (-group.count, group.cause))


def cause_of(item: Item) -> str:
    """What ended the last try: its code, and a mark of its words, whatever the file is called and whatever numbers they hold."""
    if not item.errors:
        return NO_CAUSE
    last = item.errors[-1]
    words = _NUMBER.sub("#", last.message.replace(item.original_file_name, ""))
    return f"{last.code}-{zlib.crc32(words.encode()):08x}"


def _span(first_hour: int, span: Span) -> SpanView:
    return SpanView(
        start=start_of(first_hour), converted=span.converted, failed=span.failed, bytes_in=span.bytes_in, bytes_out=span.bytes_out
    )
