"""Items: the record, its statuses, the table of allowed transitions, and the wishes.

An item is one file that somebody wants converted, from upload to acknowledged result. This file says what a record
holds and which change of status is allowed; who may make which change stands in broker/. It never touches a disk.

A wish is what server or command line asks of an item. `cancel`, `retry` and `delete` are left in the record for the
broker, the only one that changes a status. Acknowledgement and priority change no status, so they are fields that
the server writes itself (`acknowledged_at`, `priority`), with the same compare-and-swap on `version`.
"""

import secrets
import threading
import time
import uuid
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dmc.conversions import EXTENSIONS, MediaType
from dmc.errors import TornLedger, WrongStatus
from dmc.jobs import ErrorNote, ResultFacts


class Status(StrEnum):
    """Where an item stands; the sections of the ledger are named after these."""

    TO_DO = "to_do"
    IN_PROGRESS = "in_progress"
    FINISHED_SUCCESSFUL = "finished_successful"
    FINISHED_WITH_ERRORS = "finished_with_errors"

    @property
    def is_finished(self) -> bool:
        return self in (Status.FINISHED_SUCCESSFUL, Status.FINISHED_WITH_ERRORS)


class Outcome(StrEnum):
    """How an item became finished_successful; for the last two there is no result."""

    CONVERTED = "converted"
    KEPT_ORIGINAL = "kept-original"
    SKIPPED = "skipped"


class Wish(StrEnum):
    """What the broker is asked to do with an item."""

    CANCEL = "cancel"
    RETRY = "retry"
    DELETE = "delete"


TRANSITIONS: frozenset[tuple[Status | None, Status | None]] = frozenset(
    {
        (None, Status.TO_DO),
        (Status.TO_DO, Status.IN_PROGRESS),
        (Status.TO_DO, Status.FINISHED_WITH_ERRORS),
        (Status.IN_PROGRESS, Status.TO_DO),
        (Status.IN_PROGRESS, Status.FINISHED_SUCCESSFUL),
        (Status.IN_PROGRESS, Status.FINISHED_WITH_ERRORS),
        (Status.FINISHED_WITH_ERRORS, Status.TO_DO),
        (Status.FINISHED_SUCCESSFUL, None),
        (Status.FINISHED_WITH_ERRORS, None),
    }
)
"""Allowed changes of status; None is "no record". A change that keeps the status is always allowed."""

LEAST_SHOWN = 13
"""Characters of an id that people see at least: its time to the millisecond."""

MOST_TOLD = 3
"""So many of several items are told."""

WISHES: dict[Wish, frozenset[Status]] = {
    Wish.CANCEL: frozenset({Status.TO_DO, Status.IN_PROGRESS}),
    Wish.RETRY: frozenset({Status.FINISHED_WITH_ERRORS}),
    Wish.DELETE: frozenset({Status.FINISHED_SUCCESSFUL, Status.FINISHED_WITH_ERRORS}),
}
"""Statuses in which a wish may be left."""


class Item(BaseModel):
    """A ledger record. Times are RFC 3339 UTC, sizes bytes, digests lower-case hex.

    `original_file_name` is what the user called the file: a label, never a path. `current_file_name` is the server-made
    name inside the item's folder. `attempt` counts tries that somebody asked for (1 at first, +1 per retry); `crashes` counts
    how often a try was cut short by a dying machine or worker. `errors` of an unfinished item are notes of what went before.
    `held_since`: the record was made anew from the folders, and is not worked on before an operator adopts it. `trashed_at`: it lies in
    the trash, for which its folder does not move. `gone`: what of its files was given up on purpose.

    A field that a newer version added without raising the schema's number is kept as it stands, and carried along with every change.
    So a new field may only be optional, stand here at the top, and do no harm where it is not understood; else the number goes up.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    item_id: str
    version: int = Field(ge=1)
    status: Status
    created_at: str
    client_id: str
    conversion_type: str
    options: dict[str, Any] = Field(default_factory=dict)
    original_file_name: str
    current_file_name: str
    file_size: int = Field(ge=0)
    sha512_checksum: str
    media_type: MediaType | None = None
    priority: int = 0
    attempt: int = Field(default=1, ge=1)
    crashes: int = Field(default=0, ge=0)
    wish: Wish | None = None
    outcome: Outcome | None = None
    reason: str | None = None
    errors: tuple[ErrorNote, ...] = ()
    result: ResultFacts | None = None
    started_at: str | None = None
    finished_at: str | None = None
    acknowledged_at: str | None = None
    idempotency_key: str | None = None
    held_since: str | None = None
    trashed_at: str | None = None
    gone: Literal["original", "files"] | None = None

    def changed(self, **fields: Any) -> Self:
        """The next version of this record with `fields` replaced; raises WrongStatus for a transition that is not in the table."""
        to = fields.get("status", self.status)
        if to != self.status and (self.status, to) not in TRANSITIONS:
            raise WrongStatus(f"an item cannot go from {self.status} to {to}.")
        if unknown := fields.keys() - type(self).model_fields.keys():
            raise TypeError(f"an item has no {', '.join(sorted(unknown))}")
        return type(self).model_validate(dict(self) | fields | {"version": self.version + 1})

    def wishing(self, wish: Wish) -> Self:
        """The next version of this record with `wish` left in it; raises WrongStatus where the status does not allow it."""
        if self.status not in WISHES[wish]:
            raise WrongStatus(f"an item that is {self.status} cannot be asked to {wish}.", _instead(wish, self.status))
        if self.wish is Wish.DELETE:
            raise WrongStatus("this item is being deleted.", "")
        return self if self.wish is wish else self.changed(wish=wish)


def read_item(record: bytes | str) -> Item:
    """The record as a ledger holds it. Raises TornLedger for one that is none, or that only a newer version understands."""
    try:
        return Item.model_validate_json(record)
    except ValidationError as problem:
        first = problem.errors(include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the record"
        what = f"a record of the ledger cannot be read: {where}: {first['msg']}."
        raise TornLedger(what, "If a newer dmc wrote it, update; else see: dmc broker verify") from None


def _instead(wish: Wish, status: Status) -> str:
    if wish is Wish.DELETE:
        return "Cancel it first."
    if wish is Wish.RETRY and status is Status.FINISHED_SUCCESSFUL:
        return "It is already converted; add the file again for another result."
    if wish is Wish.RETRY:
        return "It is still under way; cancel it first."
    return "It is already finished."


def told_apart(found: Sequence[tuple[str, str, str]]) -> str:
    """What a beginning of an id that fits several may mean: the first few of `found` (id, status, name), each id as long as it must be."""
    ids = [one for one, _, _ in found]
    size = next((n for n in range(LEAST_SHOWN, max(map(len, ids))) if len({one[:n] for one in ids}) == len(ids)), None)
    more = [f"and {len(found) - MOST_TOLD} more"] if len(found) > MOST_TOLD else []
    told = [f"{item_id[:size]} ({status}, {name})" for item_id, status, name in found[:MOST_TOLD]]
    return f"Give more of it: {', '.join([*told, *more])}."


def original_name(label: str) -> str:
    """The server-made name of an original: `original` and the ending of `label` if it is one of a known medium, else `.bin`."""
    ending = label.rpartition(".")[2].lower() if "." in label else ""
    return f"original.{ending}" if ending in EXTENSIONS else "original.bin"


class ItemIds:
    """Makes item ids: UUIDv7, so that sorted is the order of creation, also when the wall clock jumps back.

    `floor` is the largest id known so far; every new id is larger. Source of the layout: RFC 9562 section 5.7.
    """

    def __init__(self, floor: str | None = None) -> None:
        self._lock = threading.Lock()
        self._last_ms, self._counter = 0, 0
        if floor:
            self.raise_floor(floor)

    def next(self) -> str:
        """A new id, larger than every one before it."""
        with self._lock:
            now_ms = time.time_ns() // 1_000_000
            if now_ms > self._last_ms:
                self._last_ms, self._counter = now_ms, secrets.randbits(20)
            else:
                self._counter += 1
                if self._counter >= 1 << 26:
                    self._last_ms, self._counter = self._last_ms + 1, 0
            high, low = self._counter >> 14, self._counter & 0x3FFF
            value = self._last_ms << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low << 48 | secrets.randbits(48)
            return str(uuid.UUID(int=value))

    def raise_floor(self, item_id: str) -> None:
        """Let every later id be larger than `item_id`."""
        with self._lock:
            ms = uuid.UUID(item_id).int >> 80
            if ms >= self._last_ms:
                self._last_ms, self._counter = ms + 1, 0
