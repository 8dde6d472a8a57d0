"""Counts over all items, kept up to date by adding and taking away one item at a time: what a walk through the ledger would give. Pure.

Only what the ledger holds is counted: an item that was deleted, or forgotten after its days, takes its numbers with it.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from dmc.broker.allowance import stored_bytes
from dmc.items import Item, Outcome, Status

HOUR_S = 3600


@dataclass(slots=True)
class Span:
    """What was finished in some time: files, and the bytes that went in and came out of conversions."""

    converted: int = 0
    failed: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    def add(self, other: "Span", sign: int = 1) -> None:
        self.converted += sign * other.converted
        self.failed += sign * other.failed
        self.bytes_in += sign * other.bytes_in
        self.bytes_out += sign * other.bytes_out


@dataclass(frozen=True, slots=True)
class Share:
    """What one item adds to the counts."""

    client_id: str
    status: Status
    conversion_type: str
    month: str
    media_type: str | None
    kept: bool
    hour: int | None
    """Hours since 1970 when it was finished."""
    span: Span
    originals: int = 0
    results: int = 0
    trashed: int = 0
    """Bytes that its files have on the disk; those of twins count for each."""


@dataclass(slots=True)
class Counts:
    """The counts of one client, or of several added up."""

    statuses: Counter[Status] = field(default_factory=Counter)
    media: Counter[str] = field(default_factory=Counter)
    months: Counter[str] = field(default_factory=Counter)
    conversion_types: Counter[str] = field(default_factory=Counter)
    kept_original: int = 0
    originals: int = 0
    results: int = 0
    trashed: int = 0
    total: Span = field(default_factory=Span)
    hours: dict[int, Span] = field(default_factory=dict)

    def add(self, share: Share, sign: int = 1) -> None:
        self.statuses[share.status] += sign
        self.months[share.month] += sign
        self.conversion_types[share.conversion_type] += sign
        if share.media_type is not None:
            self.media[share.media_type] += sign
        self.kept_original += sign * share.kept
        self.originals += sign * share.originals
        self.results += sign * share.results
        self.trashed += sign * share.trashed
        if share.hour is not None:
            self.total.add(share.span, sign)
            self.hours.setdefault(share.hour, Span()).add(share.span, sign)

    def merge(self, other: "Counts") -> None:
        """Add all of `other`."""
        self.statuses.update(other.statuses)
        self.media.update(other.media)
        self.months.update(other.months)
        self.conversion_types.update(other.conversion_types)
        self.kept_original += other.kept_original
        self.originals += other.originals
        self.results += other.results
        self.trashed += other.trashed
        self.total.add(other.total)
        for hour, span in other.hours.items():
            self.hours.setdefault(hour, Span()).add(span)

    def over(self, first_hour: int, hours: int) -> Span:
        """What was finished in `hours` hours from `first_hour` on."""
        made = Span()
        for hour in range(first_hour, first_hour + hours):
            if hour in self.hours:
                made.add(self.hours[hour])
        return made


class Tally:
    """Counts per client over the items it was told about."""

    def __init__(self) -> None:
        self._shares: dict[str, Share] = {}
        self._clients: dict[str, Counts] = {}

    def note(self, item_id: str, item: Item | None) -> bool:
        """The item is so now; None: it is gone. Returns whether it is finished, and was not before."""
        before = self._shares.pop(item_id, None)
        if before is not None:
            self._clients[before.client_id].add(before, -1)
        if item is not None:
            share = self._shares[item_id] = share_of(item)
            self._clients.setdefault(share.client_id, Counts()).add(share)
        return item is not None and item.status.is_finished and (before is None or not before.status.is_finished)

    def counts(self, client_id: str | None = None) -> Counts:
        """Of one client; None: of all of them."""
        made = Counts()
        for known, counts in self._clients.items():
            if client_id in (None, known):
                made.merge(counts)
        return made

    def held(self, client_id: str | None = None) -> int:
        """Bytes that the files of a client (None: of all) have on the disk."""
        found = [counts for known, counts in self._clients.items() if client_id in (None, known)]
        return sum(counts.originals + counts.results + counts.trashed for counts in found)

    def clients(self) -> dict[str, int]:
        """Number of items per client."""
        counted = {client_id: sum(counts.statuses.values()) for client_id, counts in self._clients.items()}
        return {client_id: count for client_id, count in counted.items() if count}


def share_of(item: Item) -> Share:
    """What this item adds."""
    done = item.status is Status.FINISHED_SUCCESSFUL and item.result is not None and item.outcome is Outcome.CONVERTED
    span = Span(
        converted=int(done),
        failed=int(item.status is Status.FINISHED_WITH_ERRORS),
        bytes_in=item.file_size if done else 0,
        bytes_out=item.result.file_size if done and item.result else 0,
    )
    original, result = stored_bytes(item)
    return Share(
        client_id=item.client_id,
        status=item.status,
        conversion_type=item.conversion_type,
        month=item.created_at[:7],
        media_type=None if item.media_type is None else item.media_type.value,
        kept=item.status is Status.FINISHED_SUCCESSFUL and not done,
        hour=None if item.finished_at is None or not item.status.is_finished else hour_of(datetime.fromisoformat(item.finished_at)),
        span=span,
        originals=0 if item.trashed_at else original,
        results=0 if item.trashed_at else result,
        trashed=original + result if item.trashed_at else 0,
    )


def hour_of(moment: datetime) -> int:
    """Hours since 1970."""
    return int(moment.timestamp()) // HOUR_S


def start_of(hour: int) -> str:
    """The beginning of an hour, RFC 3339 UTC."""
    return datetime.fromtimestamp(hour * HOUR_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def largest(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    """The counts that are not 0, the largest first."""
    return dict(sorted(((name, count) for name, count in counts if count), key=lambda pair: (-pair[1], pair[0])))
