"""Notices of finished items: follows the ledger, gathers digests for webhooks, and runs the hook command, one item after the other.

What is still to be told stands in `notices.json`, written before it is told: a restart goes on with it. So each item is told
at least once; a crash between telling and noting tells it twice, under the same id. Never in the way of the broker.
"""

import asyncio
import contextlib
import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from dmc.broker.ledger import Ledger
from dmc.clock import Clock, backoff, rfc3339
from dmc.errors import BadSettings, DmcError
from dmc.files import Disk, write_durably
from dmc.items import Item, Status
from dmc.log import Log
from dmc.server.digest import Digest
from dmc.server.hook import Hook
from dmc.server.offload import Offload
from dmc.server.own_file import not_understood
from dmc.server.views import view_of
from dmc.server.webhook import Post, Webhook

FILE_NAME = "notices.json"
SCHEMA: Final = 1
LOOK_EVERY_S = 1.0
MOST_TOLD = 1000
"""Items of which it is remembered one by one that they were noticed; older ones are known by their time."""

MOST_WAITING = 10_000
"""Items that may wait for the hook command; the oldest go first if there are more."""

LOOK_BACK_S = 3600.0
"""After the clock was set back, what finished within so many seconds may not have been told."""

RETRY_BASE_S = 5.0
RETRY_CAP_S = 900.0
GIVE_UP_S = 3 * 86400.0
FINISHED = (Status.FINISHED_SUCCESSFUL, Status.FINISHED_WITH_ERRORS)

log = Log("server")


class Letter(BaseModel):
    """A digest on its way: the same id and body at every try."""

    model_config = ConfigDict(extra="forbid")
    notice_id: str
    body: str
    made_at: str
    tries: int = 0
    next_at: str


class Box(BaseModel):
    """What one webhook is still to be told."""

    model_config = ConfigDict(extra="forbid")
    digest: Digest = Digest()
    letter: Letter | None = None


class State(BaseModel):
    """`notices.json`. `told`: noticed items with their time, the oldest first; all before `horizon` were noticed, or never shall be."""

    model_config = ConfigDict(extra="forbid")
    schema_number: Literal[1] = SCHEMA
    horizon: str
    told: dict[str, str] = {}
    boxes: dict[str, Box] = {}
    waiting: list[str] = []

    def notice(self, item: Item) -> bool:
        """Whether `item` has finished and was not noticed before; it is now."""
        key = f"{item.item_id}/{item.attempt}"
        if item.status not in FINISHED or item.finished_at is None or item.finished_at <= self.horizon or key in self.told:
            return False
        self.told[key] = item.finished_at
        while len(self.told) > MOST_TOLD:
            oldest = self.told.pop(next(iter(self.told)))
            if oldest < item.finished_at:  # Or the clock was set back meanwhile, and what finishes next would count as noticed.
                self.horizon = max(self.horizon, oldest)
        return True

    def come_back(self, now: datetime) -> None:
        """A horizon that lies in the future is of a clock that was wrong: what finishes until then is to be told too."""
        if self.horizon > rfc3339(now):
            self.horizon = rfc3339(now - timedelta(seconds=LOOK_BACK_S))


@dataclass(frozen=True, slots=True)
class Notified:
    """Whom to tell. `base`: the path of a proxy, before the links of items."""

    webhooks: Sequence[Webhook] = ()
    hook: Hook | None = None
    base: str = ""


NOBODY = Notified()


class Notices:
    """Tells. Nothing is followed, read or written while there is nobody to tell."""

    def __init__(
        self, data: Path, notified: Notified, *, ledger: Ledger, disk: Disk, clock: Clock, offload: Offload, instance_id: str
    ) -> None:
        self._path = data / FILE_NAME
        self._notified = notified
        self._ledger = ledger
        self._disk = disk
        self._clock = clock
        self._offload = offload
        self._instance_id = instance_id
        self._post = Post(clock.now)
        self._seq: int | None = None
        self._state = State(horizon="")
        self._pen = asyncio.Lock()
        """Held by whoever changes or writes the state."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to follow; raises BadSettings for a secret or a file that cannot be read."""
        if not self._notified.webhooks and self._notified.hook is None:
            return
        for webhook in self._notified.webhooks:
            await self._offload.quick(webhook.secret)
        await self._offload.quick(self.load)
        self._tasks = {asyncio.create_task(self._for_ever(self.step), name="dmc-server-notices")}
        if self._notified.hook is not None:
            self._tasks.add(asyncio.create_task(self._for_ever(self.run_hook), name="dmc-server-hook"))

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """What works in the background; ends only by a fault."""
        return self._tasks

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = set()
        await self._post.close()

    async def _for_ever(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except (DmcError, OSError) as problem:
                log.warning("notices have to wait", problem=problem)
            await asyncio.sleep(LOOK_EVERY_S)

    # --- Noticing ---

    def load(self) -> None:
        """What is still to be told, from before. Where there is nothing, only what finishes from now on is told. Blocking."""
        if self._disk.stat(self._path) is None:
            self._state = State(horizon=rfc3339(self._clock.now()))
            self._store()
            return
        text = self._disk.read(self._path)
        try:
            self._state = State.model_validate_json(text)
        except ValidationError as problem:
            hint = "Remove it: what was not told yet is lost with it."
            raise not_understood(FILE_NAME, text, problem, SCHEMA, hint) from None
        # Whom the settings name no longer is not told, also not when they name it again one day.
        known = {webhook.url for webhook in self._notified.webhooks}
        self._state.boxes = {url: box for url, box in self._state.boxes.items() if url in known}
        if self._notified.hook is None:
            self._state.waiting = []

    async def step(self) -> None:
        """Notice what finished, and tell the webhooks what is due."""
        async with self._pen:
            await self._offload.quick(self._gather)
        for webhook in self._notified.webhooks:
            await self._tell(webhook)

    def _gather(self) -> None:
        now = self._clock.now()
        self._state.come_back(now)
        found = [item for item in self._changed() if self._state.notice(item)]
        if not found:
            return
        for webhook in self._notified.webhooks:
            box = self._state.boxes.setdefault(webhook.url, Box())
            for item in found:
                if item.status in webhook.statuses:
                    box.digest = box.digest.with_item(item, now)
        hook = self._notified.hook
        if hook is not None:
            self._state.waiting += [item.item_id for item in found if item.status in hook.statuses]
            del self._state.waiting[:-MOST_WAITING]
        self._store()

    def _changed(self) -> list[Item]:
        """Items that changed since the last look; at the first one, and where the ledger cannot say, all that are finished."""
        seq = self._ledger.seq if self._seq is None else self._ledger.watch(self._seq, 0)
        changes = None if self._seq is None else self._ledger.changes_since(self._seq)
        self._seq = changes[-1].seq if changes else (seq if changes is None else self._seq)
        if changes is not None:
            return [change.item for change in changes if change.item is not None]
        found: list[Item] = []
        for status in FINISHED:
            after = ""
            while page := self._ledger.select(status, None, after, 1000):
                found += [item for item in page if (item.finished_at or "") > self._state.horizon]
                after = page[-1].item_id
        return sorted(found, key=lambda item: item.finished_at or "")

    def _store(self) -> None:
        write_durably(self._disk, self._path, self._state.model_dump_json(indent=1).encode() + b"\n")

    # --- Telling ---

    async def _tell(self, webhook: Webhook) -> None:
        box = self._state.boxes.get(webhook.url)
        now = self._clock.now()
        if box is None:
            return
        if box.letter is None:
            counts = await self._offload.quick(self._ledger.counts)
            dry = not counts[Status.TO_DO] and not counts[Status.IN_PROGRESS]
            if not box.digest.is_due(now, webhook.every_s, dry=dry):
                return
            async with self._pen:
                box.letter, box.digest = self._letter(box.digest, now), Digest()
                await self._offload.quick(self._store)
        letter = box.letter
        if letter.next_at > rfc3339(now):
            return
        problem = await self._send(webhook, letter)
        async with self._pen:
            box.letter = None if problem is None else self._again(letter, problem, now)
            await self._offload.quick(self._store)

    async def _send(self, webhook: Webhook, letter: Letter) -> str | None:
        """None if it was taken, else why not. A secret that cannot be read keeps only its own webhook waiting."""
        try:
            secret = await self._offload.quick(webhook.secret)
        except BadSettings as problem:
            return problem.message
        return await self._post.send(webhook.url, secret, letter.body.encode())

    def _again(self, letter: Letter, problem: str, now: datetime) -> Letter | None:
        """The letter for its next try; None if it is dropped."""
        if datetime.fromisoformat(letter.made_at) + timedelta(seconds=GIVE_UP_S) <= now:
            log.error("a digest was not taken for days and is dropped", problem=problem, notice=letter.notice_id)
            return None
        tries = letter.tries + 1
        wait = max(RETRY_BASE_S, backoff(tries, base=RETRY_BASE_S, cap=RETRY_CAP_S))
        log.warning("a webhook did not take a digest", problem=problem, tries=tries, again_s=round(wait))
        return letter.model_copy(update={"tries": tries, "next_at": rfc3339(now + timedelta(seconds=wait))})

    def _letter(self, digest: Digest, now: datetime) -> Letter:
        notice_id = secrets.token_hex(8)
        body = json.dumps(digest.body(self._instance_id, notice_id))
        return Letter(notice_id=notice_id, body=body, made_at=rfc3339(now), next_at=rfc3339(now))

    async def run_hook(self) -> None:
        """Run the hook command for every item that waits for it."""
        hook = self._notified.hook
        while hook is not None and self._state.waiting:
            item_id = self._state.waiting[0]
            item = await self._offload.quick(self._ledger.get, item_id)
            if item is not None:
                document = {"schema": "dmc.item/1", "item": view_of(item, base=self._notified.base).model_dump(mode="json")}
                await hook.run(item_id, json.dumps(document).encode())
            async with self._pen:
                with contextlib.suppress(ValueError):  # So many came meanwhile that it fell out.
                    self._state.waiting.remove(item_id)
                await self._offload.quick(self._store)
