"""A ledger from the folders alone: tickets say what was admitted, places where it stands, outcomes how it ended.

For the day when no index can be read. What only the index knew is lost: wishes, acknowledgements, priorities, notes. It
reads folders and makes records; what becomes of them is the caller's business.

What is not finished is held: a ticket does not say whether somebody has cancelled or deleted it since, so nothing is
converted before an operator has looked and adopted it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import ValidationError

from dmc.broker.ledger import Ledger, Put
from dmc.broker.outcomes import OutcomeFile, read_outcome
from dmc.broker.recovery import every
from dmc.broker.storage import Found, Place, Storage
from dmc.errors import Busy, Conflict
from dmc.items import Item, Status
from dmc.jobs import ErrorNote

FIRST_VERSION = 1_000_000
"""Above any version that the lost index may have told a client, so that no conditional request takes the old record for the new."""

_NOTE = ErrorNote(code="rebuilt", message="the ledger was made anew from the folders.", hint="It waits for: dmc broker adopt")
_TRIES = 50


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Items found, and folders that say too little about themselves (they go to quarantine when the broker starts)."""

    items: tuple[Item, ...]
    unknown: tuple[Found, ...] = field(default=())

    @property
    def held(self) -> int:
        """How many items wait to be adopted."""
        return sum(item.held_since is not None for item in self.items)


def rebuild(storage: Storage, now: str) -> Rebuilt:
    """Records for all folders that carry a readable ticket, sorted by id. An upload that never got a ticket is left alone."""
    items, unknown = [], []
    for found in storage.places():
        if found.place is Place.INCOMING and not found.has_ticket:
            continue
        item = _item_of(found, storage, now)
        if item is None:
            unknown.append(found)
        else:
            items.append(item)
    return Rebuilt(tuple(sorted(items, key=lambda item: item.item_id)), tuple(unknown))


def _item_of(found: Found, storage: Storage, now: str) -> Item | None:
    ticket = storage.read_ticket(found.item_id)
    try:
        item = None if ticket is None else Item.model_validate(ticket)
    except ValidationError:
        return None
    if item is None or item.item_id != found.item_id:
        return None
    outcome = read_outcome(storage.read_outcome(found.item_id))
    if found.place is Place.FINISHED and outcome is not None:
        return item.model_copy(update={**dict(_fields(outcome)), "version": FIRST_VERSION})
    attempt = item.attempt if outcome is None else outcome.attempt
    notes = {"status": Status.TO_DO, "errors": (_NOTE,), "attempt": attempt, "version": FIRST_VERSION, "held_since": now}
    if found.place is Place.FINISHED:
        notes["attempt"] = attempt + 1  # Finished, nobody knows how: to be converted again.
    return item.model_copy(update=notes)


def held_in(ledger: Ledger) -> list[Item]:
    """Items that wait to be adopted."""
    return [item for item in every(ledger, Status.TO_DO) if item.held_since is not None]


def let_go(ledger: Ledger) -> list[Item]:
    """Adopt every held item, in one change; returns them as they are then. Raises Busy."""
    for _ in range(_TRIES):
        adopted = [item.changed(held_since=None) for item in held_in(ledger)]
        try:
            ledger.change([Put(item, item.version - 1) for item in adopted])
        except Conflict:
            continue
        return adopted
    raise Busy("these items change all the time.", "Try again in a moment.")


def _fields(outcome: OutcomeFile) -> Iterator[tuple[str, object]]:
    for name in OutcomeFile.model_fields:
        yield name, getattr(outcome, name)
