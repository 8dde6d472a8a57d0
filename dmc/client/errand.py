"""One command's business with this client's items: send what was just added, look, fetch, cancel, retry.

Works beside a running client, which sees every change in the outbox; sends by itself only while none is running.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dmc.client import following, requests, route
from dmc.client.model import ServerAddress
from dmc.client.outbox import Outbox
from dmc.client.parcels import parcel_of
from dmc.client.records import DOWNLOAD, OutboxRecord, OutboxStatus
from dmc.client.sync import LOCK_NAME
from dmc.client.transport import Transport
from dmc.clock import Clock
from dmc.errors import DmcError, Locked, NotFound, Refused, ServerUnreachable, Unavailable, UnknownItem, WrongStatus
from dmc.files import Disk
from dmc.items import ItemIds
from dmc.locks import ProcessLock
from dmc.protocol import ItemView, Waiting

LOOK_S = 0.5
"""How often a command that waits looks again."""

Tell = Callable[[OutboxRecord, ItemView | None], None]


class Errand:
    """See the top of this file. `servers` are the ways to the servers of the settings, first one first."""

    def __init__(
        self,
        *,
        state: Path,
        outbox: Outbox,
        servers: Sequence[tuple[ServerAddress, Transport]],
        disk: Disk,
        clock: Clock,
        stop: threading.Event,
    ) -> None:
        self._outbox = outbox
        self._servers = servers
        self._disk = disk
        self._clock = clock
        self._stop = stop
        self._ids = ItemIds(max(outbox.ids(), default=None))
        self._lock = ProcessLock(state / LOCK_NAME, timeout_s=0.0)
        self.unreachable: list[str] = []
        """What servers that did not answer had to say, a sentence each."""
        self.put_off: dict[str, Unavailable] = {}
        """Why no server took a record yet, by its id."""
        self._deleted: set[str | None] = set()  # Items that somebody deleted at their server, by the last look.
        self._only_now: set[str] = set()  # Records that shall not wait for a later try.

    @property
    def is_stopped(self) -> bool:
        """Whether somebody asked for waiting to end."""
        return self._stop.is_set()

    # --- Looking ---------------------------------------------------------------------------------------------------

    def records(self) -> list[OutboxRecord]:
        """All records, oldest first."""
        self._outbox.refresh()
        return list(requests.listing(self._outbox))

    def find(self, prefix: str) -> OutboxRecord:
        """The record whose id or item id begins so; raises UnknownItem, UsageFault."""
        self._outbox.refresh()
        return requests.find(self._outbox, prefix)

    def look(self, record_id: str) -> OutboxRecord:
        """The record as it is now."""
        self._outbox.refresh()
        return requests.find(self._outbox, record_id)

    def live(self, records: Sequence[OutboxRecord]) -> dict[str, ItemView]:
        """What the servers say now of records that are with them, by item id; servers that are away, and what is deleted, are left out."""
        views: dict[str, ItemView] = {}
        self.unreachable, self._deleted = [], set()
        for address, transport in self._servers:
            mine = [r.item_id for r in records if r.item_id and r.server_name == address.name and r.status.is_at_server]
            if not mine:
                continue
            try:
                told = transport.progress(mine)
            except DmcError as problem:
                self.unreachable.append(f"{address.name}: {problem.message}")
                continue
            views |= {item_id: view for item_id, view in told.items() if view is not None}
            self._deleted |= told.keys() - views.keys()
        return views

    def waiting(self, records: Sequence[OutboxRecord]) -> dict[str, Waiting]:
        """Why the queues that hold these records wait, by server; one that is away, or does not wait, is left out."""
        found: dict[str, Waiting] = {}
        names = {record.server_name for record in records if record.status in (OutboxStatus.TO_DO, OutboxStatus.IN_PROGRESS)}
        for address, transport in self._servers:
            if address.name in names:
                try:
                    said = transport.reach().waiting
                except DmcError:
                    continue  # `live` tells who is away
                found |= {address.name: said} if said is not None else {}
        return found

    def changes(self, prefixes: Sequence[str]) -> Iterator[tuple[OutboxRecord, ItemView | None]]:
        """Each record whenever it changed, until all are done or somebody stops."""
        wanted = {self.find(prefix).id for prefix in prefixes}
        seen: dict[str, tuple[object, object]] = {}
        while True:
            records = [r for r in self.records() if not wanted or r.id in wanted]
            views = self.live(records)
            for record in records:
                view = views.get(record.item_id or "")
                mark = (record.version, view.progress if view else None)
                if seen.get(record.id) != mark:
                    seen[record.id] = mark
                    yield record, view
            if all(_is_over(record, views.get(record.item_id or "")) for record in records) or self._clock.wait(self._stop, LOOK_S):
                return

    # --- Sending ---------------------------------------------------------------------------------------------------

    def add(self, file: Path, kind: str, options: dict[str, Any], *, no_queue: bool = False) -> OutboxRecord:
        """Put a file into the outbox. With `no_queue` raises ServerUnreachable when no server is there; `deliver` parks what none takes."""
        if no_queue and not any(self._answers(transport) for _, transport in self._servers):
            raise ServerUnreachable("no server answers, and --no-queue was given.", "Leave --no-queue out to have it wait in the outbox.")
        known = set(self._outbox.ids())
        record = requests.add_file(self._outbox, file, conversion_type=kind, clock=self._clock, ids=self._ids, options=options)
        self._only_now |= {record.id} if no_queue and record.id not in known else set()
        return record

    def _answers(self, transport: Transport) -> bool:
        try:
            return transport.reach().accepting
        except Unavailable:
            return False

    def deliver(self, record_ids: Sequence[str], *, until_done: bool, tell: Tell) -> bool:
        """Send records that wait, unless a running client does; with `until_done` follow them to their end. True if a client runs here."""
        try:
            with self._lock.held():
                for record_id in record_ids:
                    self._send(self.look(record_id), tell)
                running = False
        except Locked:
            running = True
        if until_done:
            self._follow(set(record_ids), tell)
        return running

    def _send(self, record: OutboxRecord, tell: Tell) -> None:
        """One try with the first server that fits and takes it; what stands in the way is left to the next client."""
        if not record.is_sendable:
            return
        said: list[Unavailable] = []
        for address, transport in self._servers:
            if not route.fits(address, record.media_type, record.conversion_type):
                continue
            try:
                instance = transport.reach().instance
                view = transport.send(parcel_of(record), lambda _: None, lambda _: None, self._stop.is_set)
            except Unavailable as problem:
                said.append(problem)
                continue
            except Refused as problem:
                self._park(record, problem)
                return
            now = self._clock.now()
            after = requests.change(
                self._outbox,
                record.id,
                lambda kept: (
                    following.accepted(kept, view, server=address.name, instance=instance, now=now, adopted=False)  # noqa: B023 - called at once
                    if kept.is_sendable
                    else None
                ),
            )
            tell(after, view)
            return
        # A server that gives a reason knows better than one that is away.
        said.sort(key=lambda problem: isinstance(problem, ServerUnreachable))
        if record.id in self._only_now:
            self._park(record, said[0] if said else ServerUnreachable("no server in the settings is for such a file."))
        else:
            self.put_off |= {record.id: said[0]} if said else {}

    def _park(self, record: OutboxRecord, problem: DmcError) -> None:
        note = {"code": problem.code, "message": problem.message, "hint": problem.hint}
        fields = {"status": OutboxStatus.PARKED, "reason": problem.message, "errors": (note,)}
        requests.change(self._outbox, record.id, lambda kept: kept.changed(**fields))

    def _follow(self, record_ids: set[str], tell: Tell) -> None:
        """Tell of each change until every record has an end or somebody stops."""
        told: dict[str, object] = {}
        while not self._stop.is_set():
            records = [self.look(record_id) for record_id in record_ids]
            views = self.live(records)
            for record in records:
                view = views.get(record.item_id or "")
                is_over = record.item_id in self._deleted if view is None else view.status.is_finished
                if is_over and not OutboxStatus(record.status).is_done:
                    record = self._ended(record, view)
                mark = (record.status, view.progress if view else None)
                if told.get(record.id) != mark:
                    told[record.id] = mark
                    tell(record, view)
            if all(self.look(record_id).has_ended for record_id in record_ids):
                return
            self._clock.wait(self._stop, LOOK_S)

    def _ended(self, record: OutboxRecord, view: ItemView | None) -> OutboxRecord:
        now = self._clock.now()
        return requests.change(
            self._outbox, record.id, lambda kept: following.followed(kept, view, now) if view is not None else following.deleted(kept, now)
        )

    # --- Results and wishes ----------------------------------------------------------------------------------------

    def download(self, record: OutboxRecord, target: Path) -> Path:
        """Fetch a result to `target` (a folder or a new name); raises WrongStatus while there is none."""
        return requests.download(
            self._outbox, record, self._way(record), target, disk=self._disk, clock=self._clock, client=os.uname().nodename
        )

    def cancel(self, record: OutboxRecord) -> str:
        """Ask for an item to be stopped; one that no server has yet is set aside. Returns what was done in words."""
        if record.item_id is None:
            if record.status is OutboxStatus.PARKED:
                raise WrongStatus(f"{record.label} is set aside already.")
            fields = {"status": OutboxStatus.PARKED, "reason": "cancelled on request"}
            requests.change(self._outbox, record.id, lambda kept: kept.changed(**fields))
            if record.upload_url is not None:
                self._abandon(record, record.upload_url)
            return f"{record.label} is set aside and will not be sent."
        self._way(record).cancel(record.item_id)
        return f"{record.label}: the server was asked to stop it."

    def _abandon(self, record: OutboxRecord, upload_url: str) -> None:
        """Take back what was sent of a file, also from under a running client; a server that is away forgets it by itself."""
        try:
            self._way(record).abandon(upload_url)
        except DmcError as problem:
            self.unreachable.append(f"{record.server_name}: {problem.message}")

    def retry(self, record: OutboxRecord) -> str:
        """Ask for a failed item to be tried again, or let one that was set aside start over. Returns what was done in words."""
        if record.item_id is None or record.status is OutboxStatus.PARKED:
            requests.send_again(self._outbox, record)
            return f"{record.label} will be sent."
        try:
            self._way(record).retry(record.item_id)
        except UnknownItem:
            requests.change(self._outbox, record.id, lambda kept: kept.sent_again())
            return f"{record.label} is not at the server any more; it will be sent again."
        requests.retried(self._outbox, record)
        return f"{record.label}: the server was asked to try again."

    def receipt(self, record: OutboxRecord) -> dict[str, Any]:
        """The receipt of a finished item."""
        if record.item_id is None:
            raise WrongStatus(f"{record.label} has not been converted yet.", "See how far it is with: dmc status")
        return self._way(record).receipt(record.item_id)

    def _way(self, record: OutboxRecord) -> Transport:
        for address, transport in self._servers:
            if address.name == record.server_name:
                return transport
        raise NotFound(
            f"the server {record.server_name!r} that has {record.label} is not in the settings.", "Put it back into list_of_servers."
        )

    def close(self) -> None:
        """Let go of outbox and servers."""
        for _, transport in self._servers:
            transport.close()
        self._outbox.close()


def _is_over(record: OutboxRecord, view: ItemView | None) -> bool:
    """Whether nothing comes any more by itself: what waits for `dmc download` does so until somebody asks."""
    has_ended = record.has_ended or (view is not None and view.status.is_finished)
    return record.status.is_done or (record.destination == DOWNLOAD and has_ended)
