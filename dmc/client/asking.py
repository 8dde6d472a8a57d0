"""Asks one server how its items of this client stand: often while something has just changed, rarely when nothing does.

The pause grows with the time since the last change (a quarter of it, from half a second to ten), and ends earlier when the
server says that an item is nearly done. Changes of one round are written down in one durable step.
"""

from collections.abc import Sequence
from functools import partial

from dmc.client.catalog import Catalog
from dmc.client.crew import Crew
from dmc.client.following import deleted, disowned, followed, reopened
from dmc.client.link import Link
from dmc.client.records import OutboxRecord
from dmc.client.verdict import Verdict
from dmc.clock import Clock
from dmc.protocol import ItemView

ASK_AT_ONCE = 100
"""Items per request, so that the address stays short enough for every server."""
MANY_FAILED = 1000
"""More of what failed, or was deleted there, is asked about more rarely: nothing of it is under way, and it may stay so for years."""


class Asking:
    """The polling of one server."""

    def __init__(self, link: Link, catalog: Catalog, crew: Crew, clock: Clock) -> None:
        self._link = link
        self._catalog = catalog
        self._queues = catalog.queues
        self._crew = crew
        self._clock = clock
        self._changed_at = clock.monotonic()
        self._next_at = 0.0
        self._nearest_s: float | None = None
        self._round: list[str] = []
        self._failed: list[str] = []
        self._failed_next = 0.0
        self._busy = False

    def fresh(self) -> None:
        """Something has just changed at the server, or is about to: ask soon."""
        self._changed_at = self._clock.monotonic()
        self._next_at = min(self._next_at, self._changed_at + self._link.timing.ask_first_s)

    def step(self) -> float | None:
        """Ask if it is time; returns when it will be, None while there is nothing to ask about."""
        now = self._clock.monotonic()
        if not self._link.standing.up or self._busy:
            return None
        if self._looks_at_failed(now):
            return None
        if self._link.restored:
            # Everything unacknowledged is looked at, also what was finished: the server may have forgotten it.
            self._link.restored = False
            self._round = list(self._items(unfinished_only=False))
        elif not self._round:
            if now < self._next_at:
                return self._next_at if self._items(unfinished_only=True) else None
            self._round = list(self._items(unfinished_only=True))
        if not self._round:
            return None
        if self._crew.free(self._link.lane("ask")):
            self._ask()
        return None

    # --- What failed, and may be tried again there ---

    def _looks_at_failed(self, now: float) -> bool:
        """Once in a while, whether somebody asked the server to try again what failed; True while that is under way."""
        if not self._failed and now >= self._failed_next:
            self._failed = list(self._queues.failed_at(self._link.name).values())
            self._failed_next = now + self._link.timing.ask_failed_s * max(1.0, len(self._failed) / MANY_FAILED)
        if not self._failed or not self._crew.free(self._link.lane("ask")):
            return False
        asked, self._failed = self._failed[:ASK_AT_ONCE], self._failed[ASK_AT_ONCE:]
        self._busy = True
        transport = self._link.transport
        self._crew.submit(
            self._link.lane("ask"), lambda: transport.progress(asked), partial(self._told_of_failed, set(asked)), self._not_told
        )
        return True

    def _told_of_failed(self, asked: set[str], views: dict[str, ItemView | None]) -> None:
        self._busy = False
        self._link.worked()
        now = self._clock.now()
        records = {record_id: item_id for record_id, item_id in self._queues.failed_at(self._link.name).items() if item_id in asked}
        for record_id, item_id in records.items():
            if item_id not in views:  # What was deleted may come out of the trash again.
                self._queues.let_rest(record_id)
        if self._catalog.update_all(
            records, lambda record: reopened(record, view, now) if (view := views.get(record.item_id or "")) else None
        ):
            self.fresh()

    # --- What is under way there ---

    def _items(self, *, unfinished_only: bool) -> dict[str, list[str]]:
        return self._queues.items_at(self._link.name, unfinished_only=unfinished_only)

    def _ask(self) -> None:
        asked, self._round = self._round[:ASK_AT_ONCE], self._round[ASK_AT_ONCE:]
        self._busy = True
        transport = self._link.transport
        self._crew.submit(self._link.lane("ask"), lambda: transport.progress(asked), partial(self._told, asked), self._not_told)

    def _told(self, asked: Sequence[str], views: dict[str, ItemView | None]) -> None:
        self._busy = False
        self._link.worked()
        records = self._items(unfinished_only=False)
        now = self._clock.now()

        def change(record: OutboxRecord) -> OutboxRecord | None:
            item_id = record.item_id or ""
            if item_id not in views:
                return disowned(record, item_id)
            view = views[item_id]
            return deleted(record, now) if view is None else followed(record, view, now)

        before = {record_id: self._status(record_id) for item_id in asked for record_id in records.get(item_id, ())}
        self._catalog.update_all(before, change)
        if any(self._status(record_id) != status for record_id, status in before.items()):
            self._changed_at = self._clock.monotonic()
        etas = [view.progress.eta_s for view in views.values() if view and view.progress and view.progress.eta_s is not None]
        self._nearest_s = min([*etas, *([self._nearest_s] if self._nearest_s is not None else [])], default=None)
        if not self._round:
            self._pause()

    def _pause(self) -> None:
        now = self._clock.monotonic()
        timing = self._link.timing
        wait = min(timing.ask_most_s, (now - self._changed_at) / 4)
        if self._nearest_s is not None:
            wait = min(wait, self._nearest_s)
        self._nearest_s = None
        self._next_at = now + max(timing.ask_first_s, wait)

    def _not_told(self, problem: Exception) -> None:
        self._busy = False
        self._round, self._failed = [], []
        verdict = self._link.note(problem, what="progress")
        if verdict is not Verdict.SERVER_DOWN:
            self._next_at = self._clock.monotonic() + self._link.timing.ask_most_s

    def _status(self, record_id: str) -> str | None:
        record = self._catalog.get(record_id)
        return record.status if record else None
