"""Brings waiting records to one server: asks first what it has already, writes `uploading` down, then sends, at most two at once.

A record is tried until the server has its item or says that it never will; what concerns the server as a whole is the
link's business. Belongs to the sync thread; only the jobs run elsewhere.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from dmc.client.catalog import Catalog
from dmc.client.crew import Crew
from dmc.client.following import accepted
from dmc.client.link import Link
from dmc.client.parcels import parcel_of
from dmc.client.queues import Bucket, Stage
from dmc.client.records import OutboxRecord, OutboxStatus, parked
from dmc.client.settle import signature_of
from dmc.client.transport import SourceChanged, Transport
from dmc.client.verdict import Verdict
from dmc.clock import Clock
from dmc.errors import Unavailable
from dmc.protocol import CheckAnswer, CheckEntry, ItemView

CHECK_AT_ONCE = 100
"""Records asked about in one request; they are out of every other server's reach meanwhile."""

SMALL = 8 * 1024 * 1024
"""Bytes of a file whose upload's address is not worth a durable step of its own."""

AWAY_S = 60.0
"""Seconds until files of a folder that is away are thought of again."""


class Sending:
    """The way of records to one server. `sent` counts bytes per record while they go.

    `look_again` is told of files to look at anew, `fresh` when the server has got something; `is_away` says whether a record's folder is.
    """

    def __init__(
        self,
        link: Link,
        catalog: Catalog,
        crew: Crew,
        clock: Clock,
        *,
        look_again: Callable[[str], None],
        fresh: Callable[[], None],
        is_away: Callable[[str | None], bool],
    ) -> None:
        self.sent: dict[str, int] = {}
        self._link = link
        self._catalog = catalog
        self._queues = catalog.queues
        self._crew = crew
        self._clock = clock
        self._look_again = look_again
        self._fresh = fresh
        self._is_away = is_away
        self._urls: dict[str, str] = {}
        self._wanted: deque[str] = deque()
        self._checking = False

    def step(self, kinds: Sequence[Bucket]) -> None:
        """Start what can be started. `kinds` are the queues of records without a server that are routed here."""
        now = self._clock.monotonic()
        if not self._link.standing.takes_files(now):
            self._let_go()
            return
        lane = self._link.lane("send")
        while self._crew.free(lane):
            record_id = self._queues.take(Bucket(Stage.SEND, self._link.name)) or (self._wanted.popleft() if self._wanted else None)
            if record_id is None:
                break
            self._send(record_id)
        if not self._checking and not self._wanted and self._crew.free(self._link.lane("ask")):
            self._check(kinds)

    # --- What the server has already -------------------------------------------------------------------------------

    def _check(self, kinds: Sequence[Bucket]) -> None:
        records: list[OutboxRecord] = []
        for bucket in kinds:
            while len(records) < CHECK_AT_ONCE and (record_id := self._queues.take(bucket)) is not None:
                record = self._catalog.get(record_id)
                if record is None:
                    self._queues.return_unharmed(record_id)
                else:
                    records.append(record)
        if not records:
            return
        self._checking = True
        entries = [_entry(record) for record in records]
        ids = [record.id for record in records]
        transport = self._link.transport
        self._crew.submit(
            self._link.lane("ask"), lambda: transport.check(entries), partial(self._checked, ids), partial(self._not_checked, ids)
        )

    def _checked(self, ids: Sequence[str], answers: Sequence[CheckAnswer]) -> None:
        self._checking = False
        self._link.worked()
        for record_id, answer in zip(ids, answers, strict=True):
            if answer.state == "have" and answer.item is not None and _is_welcome(answer.item):
                self._adopt(record_id, answer.item)
            else:
                self._wanted.append(record_id)

    def _not_checked(self, ids: Sequence[str], problem: Exception) -> None:
        self._checking = False
        verdict = self._link.note(problem, what="check")
        for record_id in ids:
            if verdict in (Verdict.PARK, Verdict.ANEW, Verdict.LATER, Verdict.LOOK_AGAIN):
                self._wanted.append(record_id)  # The question was at fault, not the files: they are sent without it.
            else:
                self._queues.return_unharmed(record_id)

    def _adopt(self, record_id: str, item: ItemView) -> None:
        change = partial(accepted, view=item, server=self._link.name, instance=self._link.instance, now=self._clock.now(), adopted=True)
        self._catalog.update(record_id, lambda record: change(record) if record.is_sendable else None)
        self._queues.give_back(record_id)
        self._fresh()

    def _let_go(self) -> None:
        while self._wanted:
            self._queues.return_unharmed(self._wanted.popleft())

    # --- Sending ---------------------------------------------------------------------------------------------------

    def _send(self, record_id: str) -> None:
        known = self._catalog.get(record_id)
        if known is not None and self._is_away(known.root):
            self._queues.put_off(record_id, self._clock.monotonic(), self._link.draw, AWAY_S)
            return
        record = self._catalog.update(record_id, self._as_uploading)
        if record is None:
            self._queues.return_unharmed(record_id)
            return
        self.sent[record_id] = 0
        self._crew.submit(
            self._link.lane("send"),
            partial(_job, self._link.transport, record, self._crew, partial(self._url, record_id), partial(self._bytes, record_id)),
            partial(self._arrived, record_id),
            partial(self._not_sent, record_id),
        )

    def _as_uploading(self, record: OutboxRecord) -> OutboxRecord | None:
        if record.status not in (OutboxStatus.WAITING, OutboxStatus.UPLOADING):
            return None
        return record.changed(
            status=OutboxStatus.UPLOADING, server_name=self._link.name, server_id=self._link.instance, reason=None, errors=()
        )

    def _url(self, record_id: str, url: str) -> None:
        self._urls[record_id] = url

        # Losing this line to a crash costs one request, since the same key leads to the same upload; so small files go without.
        def change(record: OutboxRecord) -> OutboxRecord | None:
            worth = record.status is OutboxStatus.UPLOADING and record.size > SMALL and record.upload_url != url
            return record.changed(upload_url=url) if worth else None

        self._catalog.update(record_id, change)

    def _bytes(self, record_id: str, count: int) -> None:
        self.sent[record_id] = count
        self._link.progressed()
        self._queues.forgive(record_id)

    def _arrived(self, record_id: str, item: ItemView) -> None:
        self.sent.pop(record_id, None)
        self._urls.pop(record_id, None)
        self._link.worked()
        change = partial(accepted, view=item, server=self._link.name, instance=self._link.instance, now=self._clock.now(), adopted=False)
        after = self._catalog.update(record_id, lambda record: change(record) if record.status is OutboxStatus.UPLOADING else None)
        self._queues.give_back(record_id)
        self._fresh()
        if after is not None:
            self._link.log.info("sent", record=record_id, item=item.item_id, server=self._link.name, bytes=after.size)

    def _not_sent(self, record_id: str, problem: Exception) -> None:
        self.sent.pop(record_id, None)
        record = self._catalog.get(record_id)
        if record is None or record.status is not OutboxStatus.UPLOADING:
            self._queues.return_unharmed(record_id)
        elif isinstance(problem, SourceChanged):
            self._source_changed(record)
        else:
            self._follow(record, self._link.note(problem, record.attempts, "send", record_id), problem)

    def _follow(self, record: OutboxRecord, verdict: Verdict, problem: Exception) -> None:
        if verdict in (Verdict.SERVER_PAUSED, Verdict.SERVER_FULL):
            self._queues.return_unharmed(record.id)
            return
        # A line that was cut is put down to the record as well: it may be this very file that brings the server down.
        attempts = record.attempts + 1
        if verdict is Verdict.PARK:
            self._catalog.update(record.id, lambda kept: parked(kept, problem))
        elif verdict is Verdict.ANEW:
            self._catalog.update(record.id, lambda kept: kept.changed(upload_url=None, attempts=attempts))
        elif verdict is Verdict.LOOK_AGAIN:
            self._catalog.update(record.id, lambda kept: kept.sent_again("the bytes changed on their way", attempts=attempts))
            self._look_again(record.id)
        elif not isinstance(problem, Unavailable):
            self._catalog.update(record.id, lambda kept: kept.changed(attempts=attempts))
        self._queues.put_off(record.id, self._clock.monotonic(), self._link.draw)

    def _source_changed(self, record: OutboxRecord) -> None:
        """The file is gone or another: what the server has of it is taken back, and the file is looked at anew."""
        url, transport = record.upload_url or self._urls.pop(record.id, None), self._link.transport
        if url is not None:
            # Only a kindness: an upload that nobody goes on with expires by itself.
            self._crew.submit(self._link.lane("ask"), lambda: transport.abandon(url), lambda _: None, lambda _: None)
        self._catalog.update(record.id, lambda kept: kept.sent_again("the file changed before it was sent"))
        self._queues.put_off(record.id, self._clock.monotonic(), self._link.draw, self._link.timing.settle_s)
        self._look_again(record.id)


def _entry(record: OutboxRecord) -> CheckEntry:
    return CheckEntry(sha512=record.sha512, file_size=record.size, conversion_type=record.conversion_type, options=record.options)


def _is_welcome(item: ItemView) -> bool:
    """An item that somebody cancelled says nothing about a file that is there now."""
    return not any(note.code == "cancelled" for note in item.errors)


def _job(
    transport: Transport, record: OutboxRecord, crew: Crew, on_url: Callable[[str], None], on_bytes: Callable[[int], None]
) -> ItemView:
    """Send the file of `record`, if it is still the one that was hashed. Runs in a worker thread."""
    reason = _change_of(record)
    if reason is not None:
        # An earlier try may have come through although its answer did not.
        (answer,) = transport.check([_entry(record)])
        if answer.item is not None:
            return answer.item
        raise SourceChanged(reason)
    return transport.send(
        parcel_of(record), lambda url: crew.post(partial(on_url, url)), lambda count: crew.post(partial(on_bytes, count)), crew.stopping
    )


def _change_of(record: OutboxRecord) -> str | None:
    """Why the file of `record` is not the one that was hashed; None if it is."""
    try:
        there = signature_of(os.lstat(record.path))
    except OSError as problem:
        return f"the file cannot be found any more: {problem.strerror}."
    same = there is not None and there.same_content(record.signature)
    return None if same else "the file is not the one that was hashed."
