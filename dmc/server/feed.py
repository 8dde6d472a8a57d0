"""What happens to items, as a stream of numbered events that many may follow: one follower of the ledger for all of them.

A subscriber gets only what its caller may see. Nobody is buffered without end: who falls behind, or comes back with a
number that is no longer known, is told to read everything anew (`resync`). While nobody listens, nothing is looked at; what
happened meanwhile is numbered when somebody comes. Holds no truth: it may be lost at any time.
"""

import asyncio
import secrets
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from dmc.broker.ledger import Change, Ledger
from dmc.broker.threads import ThreadIndex
from dmc.errors import DmcError
from dmc.items import Item, Status
from dmc.jobs import Progress
from dmc.log import Log
from dmc.server.auth import Caller
from dmc.server.offload import Offload
from dmc.server.overview import Asked, Overview, is_shown
from dmc.server.views import Views

RING = 1000
"""Events that can be replayed."""

MOST_BEHIND = 500
WATCH_S = 0.5
"""One wait for the ledger; also how often progress is looked at, and how long a stop may wait."""

RUNNING = frozenset({Status.IN_PROGRESS})
SNAPSHOT_LIVE = 500
"""Items in a snapshot; what is finished is read page by page."""

AFTER_FAULT_S = 2.0

log = Log("server")


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; `client_id` is who may see it. `item`: nobody listened then; its view becomes `data` for who asks."""

    number: int
    kind: str
    client_id: str
    data: dict[str, Any]
    item: Item | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found: changes (None: cannot be told), progress, and whose the items are that carry no owner themselves."""

    changes: list[Change] | None
    owners: dict[str, str]
    progress: dict[str, Progress]


class Subscriber:
    """One stream of events for one caller; `lost` means that it has to begin anew."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.waiting: asyncio.Queue[Event | None] = asyncio.Queue(MOST_BEHIND)
        self.lost = False

    def offer(self, event: Event) -> None:
        if self.lost or not self.caller.sees(event.client_id):
            return
        try:
            self.waiting.put_nowait(event)
        except asyncio.QueueFull:
            self.lost = True
            self.clear()

    def clear(self) -> None:
        """Throw away what waits, and wake the reader."""
        while not self.waiting.empty():
            self.waiting.get_nowait()
        self.waiting.put_nowait(None)


class Feed:
    """Follows ledger and thread index in a thread of its own, and hands events to subscribers on the event loop."""

    def __init__(self, *, ledger: Ledger, overview: Overview, threads: ThreadIndex, views: Views, offload: Offload) -> None:
        self._ledger = ledger
        self._overview = overview
        self._threads = threads
        self._views = views
        self._offload = offload
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dmc-server-feed")
        self._task: asyncio.Task[None] | None = None
        self._subscribers: set[Subscriber] = set()
        self._coming = 0
        """Callers who wait until what happened unheard is numbered."""
        self._called, self._caught_up = asyncio.Event(), asyncio.Event()
        self._ring: deque[Event] = deque(maxlen=RING)
        self._shown: dict[str, Progress] = {}
        self._number = 0
        self._seq = 0
        self.epoch = secrets.token_hex(4)
        """Numbers of events mean something only within one epoch."""

    @property
    def number(self) -> int:
        """The number of the last event."""
        return self._number

    @property
    def listeners(self) -> int:
        return len(self._subscribers)

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """What works in the background; ends only by a fault."""
        return set() if self._task is None else {self._task}

    async def start(self) -> None:
        self._seq = self._ledger.seq
        self._task = asyncio.create_task(self._follow(), name="dmc-server-feed")

    async def stop(self) -> None:
        """End every stream, then the follower."""
        for subscriber in self._subscribers:
            subscriber.lost = True
            subscriber.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._caught_up.set()

    async def subscribe(self, caller: Caller, last_seen: tuple[str, int] | None) -> tuple[Subscriber, list[Event] | None]:
        """A subscriber, and the events after `last_seen` (epoch, number); None for these: send a snapshot."""
        self._coming += 1
        try:
            self._called.set()
            await self._caught_up.wait()
        finally:
            self._coming -= 1
        subscriber = Subscriber(caller)
        self._subscribers.add(subscriber)
        if last_seen is None or last_seen[0] != self.epoch or not self._oldest - 1 <= last_seen[1] <= self._number:
            return subscriber, None
        missed = [event for event in self._ring if event.number > last_seen[1] and caller.sees(event.client_id)]
        try:
            return subscriber, await self._shown_late(missed)
        except BaseException:
            self.leave(subscriber)
            raise

    async def _shown_late(self, events: list[Event]) -> list[Event]:
        """The events with the views that nobody had asked for so far."""
        views = iter(await self._offload.quick(self._views.many, [event.item for event in events if event.item is not None]))
        return [event if event.item is None else replace(event, data=next(views).model_dump(mode="json"), item=None) for event in events]

    def leave(self, subscriber: Subscriber) -> None:
        self._subscribers.discard(subscriber)

    async def snapshot(self, caller: Caller) -> dict[str, Any]:
        """The caller's items under way: all that run, then the front of the queue; and how many there are of each status.

        `more`: not all of them are here.
        """
        return await self._offload.quick(self._snapshot, None if caller.is_admin else caller.client_id)

    def _snapshot(self, client_id: str | None) -> dict[str, Any]:
        ids, _ = self._overview.ids(Asked(client_id, RUNNING), limit=SNAPSHOT_LIVE)
        items = [item for item_id in ids if (item := self._ledger.get(item_id)) is not None]
        items += self._ledger.select(Status.TO_DO, client_id, limit=SNAPSHOT_LIVE - len(items))
        counts = {status.value: count for status, count in self._overview.counts(client_id).items()}
        shown = [view.model_dump(mode="json") for view in self._views.many(items)]
        return {"items": shown, "counts": counts, "more": counts[Status.TO_DO] + counts[Status.IN_PROGRESS] > len(items)}

    @property
    def _oldest(self) -> int:
        return self._ring[0].number if self._ring else self._number + 1

    # --- Following ---

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self._subscribers and not self._coming:
                self._caught_up.clear()
                self._called.clear()
                await self._called.wait()
            try:
                looked = await loop.run_in_executor(self._thread, self._look, WATCH_S if self._caught_up.is_set() else 0.0)
                await self._tell(looked.changes, looked.owners)
                self._tell_progress(looked.progress, looked.owners)
                self._caught_up.set()
            except (DmcError, OSError) as problem:
                log.warning("the event feed cannot read the ledger", problem=problem)
                await self._tell(None, {})
                self._caught_up.set()
                await asyncio.sleep(AFTER_FAULT_S)

    def _look(self, wait_s: float) -> "Look":
        """Wait a little for changes; what there is then. In the feed's own thread."""
        seen, changes = self._seq, []
        if (now := self._ledger.watch(seen, wait_s)) != seen:
            told = self._ledger.changes_since(seen) if now - seen <= RING else None  # Nobody could be told all of it anyway.
            self._seq = told[-1].seq if told else self._ledger.seq
            if told is None:
                return Look(None, {}, {})
            changes = told
        progress = self._threads.read() if self._subscribers else {}
        changes = [change if is_shown(change.item) else replace(change, item=None) for change in changes]
        named = {change.item_id for change in changes if change.item is None} | progress.keys()
        owners = {item_id: owner for item_id in named if (owner := self._overview.owner(item_id)) is not None}
        return Look(changes, owners, progress)

    async def _tell(self, changes: list[Change] | None, owners: dict[str, str]) -> None:
        if changes is None:
            # The ledger cannot say what happened since; nobody can be told exactly, so everybody begins anew.
            self._ring.clear()
            self._number += 1  # So that who was away meanwhile, and knows the last number, begins anew as well.
            for subscriber in self._subscribers:
                subscriber.lost = True
                subscriber.clear()
            return
        shown = [change.item for change in changes if change.item is not None] if self._subscribers else []
        # All views of one look together: each place in the queue is then worked out once.
        views = iter(await self._offload.quick(self._views.many, shown) if shown else ())
        for change in changes:
            if change.item is None:
                if change.item_id in owners:
                    self._emit("gone", owners[change.item_id], {"item_id": change.item_id})
            elif shown:
                self._emit("item", change.item.client_id, next(views).model_dump(mode="json"))
            else:
                self._emit("item", change.item.client_id, {}, change.item)

    def _tell_progress(self, progress: dict[str, Progress], owners: dict[str, str]) -> None:
        for item_id, now in progress.items():
            owner = owners.get(item_id)
            if owner is not None and self._shown.get(item_id) != now:
                shown = {"item_id": item_id, "fraction": now.fraction, "speed": now.speed, "eta_s": now.eta_s}
                self._emit("progress", owner, shown)
        self._shown = progress

    def _emit(self, kind: str, client_id: str, data: dict[str, Any], item: Item | None = None) -> None:
        self._number += 1
        event = Event(self._number, kind, client_id, data, item)
        self._ring.append(event)
        for subscriber in self._subscribers:
            subscriber.offer(event)
