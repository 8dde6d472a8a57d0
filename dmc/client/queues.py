"""Which records want what next: a queue per stage and server, so that no stage looks through all of them. Memory only, rebuilt at start.

A record that a stage works on is taken out until it is given back; one that failed is put off and comes back by itself.
"""

import heapq
import random
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from dmc.client.records import FOLDER, OutboxRecord, OutboxStatus
from dmc.clock import backoff
from dmc.conversions import MediaType

_AT_WORK = (OutboxStatus.TO_DO, OutboxStatus.IN_PROGRESS)


class Stage(StrEnum):
    """What is to be done with a record next."""

    NEW = "new"
    SEND = "send"
    FETCH = "fetch"
    ACKNOWLEDGE = "acknowledge"


@dataclass(frozen=True, slots=True)
class Bucket:
    """A queue: of a server, or, while no server is chosen, of a kind of file."""

    stage: Stage
    server: str | None = None
    media_type: MediaType | None = None
    conversion_type: str = ""


def bucket_of(record: OutboxRecord) -> Bucket | None:
    """Where a record waits for work; None if it waits for something else."""
    server = record.server_name
    if record.status is OutboxStatus.WAITING and server is None:
        return Bucket(Stage.NEW, None, record.media_type, record.conversion_type)
    if record.status in (OutboxStatus.WAITING, OutboxStatus.UPLOADING):
        return Bucket(Stage.SEND, server)
    if record.status is OutboxStatus.FINISHED_SUCCESSFUL and record.result is not None:
        return Bucket(Stage.FETCH, server) if record.destination == FOLDER else None
    if record.status in (OutboxStatus.FINISHED_SUCCESSFUL, OutboxStatus.FINISHED_WITH_ERRORS, OutboxStatus.FETCHED):
        return Bucket(Stage.ACKNOWLEDGE, server)
    return None


class Queues:
    """Ready records per bucket in order of arrival, the ones in work, the ones put off, and the items each server has."""

    def __init__(self) -> None:
        self._ready: dict[Bucket, dict[str, None]] = {}
        self._bucket: dict[str, Bucket] = {}
        self._same: dict[Bucket, Bucket] = {}
        self._taken: set[str] = set()
        self._off: dict[str, float] = {}
        self._alarm: list[tuple[float, str]] = []
        self._failures: dict[str, int] = {}
        self._at_server: dict[str, dict[str, tuple[str, OutboxStatus]]] = {}
        self._server: dict[str, str] = {}
        self._failed_at: dict[str, dict[str, str]] = {}

    def file(self, record: OutboxRecord) -> None:
        """Put a record where it belongs after a change."""
        self._set_bucket(record.id, bucket_of(record))
        self._set_server(record)

    def forget(self, record_id: str) -> None:
        """The record is no more."""
        self._set_bucket(record_id, None)
        self._failures.pop(record_id, None)
        self._off.pop(record_id, None)
        self.let_rest(record_id)
        server = self._server.pop(record_id, None)
        if server is not None:
            self._at_server[server].pop(record_id, None)

    def buckets(self, stage: Stage) -> list[Bucket]:
        """The queues of a stage that have something ready."""
        return [bucket for bucket, ready in self._ready.items() if ready and bucket.stage is stage]

    def take(self, bucket: Bucket) -> str | None:
        """The first ready record of a bucket; it is out of every queue until given back."""
        record_id = next(iter(self._ready.get(bucket, ())), None)
        if record_id is not None:
            self._taken.add(record_id)
            self._unready(record_id)
        return record_id

    def give_back(self, record_id: str) -> None:
        """The work on a record ended well: it waits where its status says, and its failures are forgotten."""
        self._failures.pop(record_id, None)
        self._release(record_id)

    def return_unharmed(self, record_id: str) -> None:
        """The work on a record did not come about, for reasons that are not the record's."""
        self._release(record_id)

    def put_off(self, record_id: str, now: float, draw: random.Random, least_s: float = 0.0) -> float:
        """The work on a record failed: it comes back after a backoff that grows with its failures; returns when."""
        failures = self._failures.get(record_id, 0)
        self._failures[record_id] = failures + 1
        until = now + max(least_s, backoff(failures, draw=draw))
        self._off[record_id] = until
        heapq.heappush(self._alarm, (until, record_id))
        self._release(record_id)
        return until

    def forgive(self, record_id: str) -> None:
        """Something of it got through: its failures are forgotten."""
        self._failures.pop(record_id, None)

    def wake(self, now: float) -> float | None:
        """Let those return whose time has come; the time of the next one, if any."""
        while self._alarm and self._alarm[0][0] <= now:
            until, record_id = heapq.heappop(self._alarm)
            if self._off.get(record_id) == until:
                del self._off[record_id]
                self._make_ready(record_id)
        return self._alarm[0][0] if self._alarm else None

    def hurry(self, record_id: str) -> None:
        """Let a record that was put off return now."""
        self._failures.pop(record_id, None)
        if self._off.pop(record_id, None) is not None:
            self._make_ready(record_id)

    def servers(self) -> dict[str, int]:
        """How many records belong to each server, by its name; done ones do not count."""
        count = Counter(bucket.server for bucket in self._bucket.values() if bucket.server)
        count.update({server: len(items) for server, items in self._at_server.items()})
        return {server: number for server, number in count.items() if number}

    @property
    def all_done(self) -> bool:
        """No record wants anything done, and no server works on one."""
        at_work = (status for items in self._at_server.values() for _, status in items.values())
        return not self._bucket and not any(status in _AT_WORK for status in at_work)

    def items_at(self, server: str, *, unfinished_only: bool) -> dict[str, list[str]]:
        """Record ids by the id of the item that `server` has for them and was not yet allowed to forget."""
        items: dict[str, list[str]] = {}
        for record_id, (item_id, status) in self._at_server.get(server, {}).items():
            if not unfinished_only or status in _AT_WORK:
                items.setdefault(item_id, []).append(record_id)
        return items

    def failed_at(self, server: str) -> dict[str, str]:
        """Item ids by record of what ended in a failure and is done with here: somebody may ask `server` to try it again."""
        return dict(self._failed_at.get(server, {}))

    def let_rest(self, record_id: str) -> None:
        """The server does not have the failed item of a record any more."""
        for failed in self._failed_at.values():
            failed.pop(record_id, None)

    def _set_bucket(self, record_id: str, bucket: Bucket | None) -> None:
        if self._bucket.get(record_id) == bucket:
            return
        self._unready(record_id)
        if bucket is None:
            self._bucket.pop(record_id, None)
        else:
            self._bucket[record_id] = self._same.setdefault(bucket, bucket)  # There are few of them, and many records.
            self._make_ready(record_id)

    def _set_server(self, record: OutboxRecord) -> None:
        old = self._server.pop(record.id, None)
        if old is not None:
            self._at_server[old].pop(record.id, None)
        self.let_rest(record.id)
        if record.status is OutboxStatus.ACKNOWLEDGED and record.outcome == "failed" and record.server_name and record.item_id:
            self._failed_at.setdefault(record.server_name, {})[record.id] = record.item_id
        if record.status.is_at_server and record.server_name and record.item_id:
            self._at_server.setdefault(record.server_name, {})[record.id] = (record.item_id, record.status)
            self._server[record.id] = record.server_name

    def _make_ready(self, record_id: str) -> None:
        bucket = self._bucket.get(record_id)
        if bucket is not None and record_id not in self._taken and record_id not in self._off:
            self._ready.setdefault(bucket, {})[record_id] = None

    def _unready(self, record_id: str) -> None:
        bucket = self._bucket.get(record_id)
        ready = self._ready.get(bucket) if bucket else None
        if bucket and ready is not None:
            ready.pop(record_id, None)
            if not ready:
                del self._ready[bucket]

    def _release(self, record_id: str) -> None:
        self._taken.discard(record_id)
        self._make_ready(record_id)
