"""A ledger from the folders alone: tickets say what was admitted, places where it stands, outcomes how it ended.

For the day when no index can be read. What only the index knew is lost: wishes, acknowledgements, priorities, notes. It
reads folders and makes records; what becomes of them is the caller's business.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import ValidationError

from dmc.broker.outcomes import OutcomeFile, read_outcome
from dmc.broker.storage import Found, Place, Storage
from dmc.items import Item, Status
from dmc.jobs import ErrorNote

FIRST_VERSION = 1_000_000
"""Above any version that the lost index may have told a client, so that no conditional request takes the old record for the new."""

_NOTE = ErrorNote(code="rebuilt", message="the ledger was made anew from the folders.")


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Items found, and folders that say too little about themselves (they go to quarantine when the broker starts)."""

    items: tuple[Item, ...]
    unknown: tuple[Found, ...] = field(default=())


def rebuild(storage: Storage) -> Rebuilt:
    """Records for all folders that carry a readable ticket, sorted by id. An upload that never got a ticket is left alone."""
    items, unknown = [], []
    for found in storage.places():
        if found.place is Place.INCOMING and not found.has_ticket:
            continue
        item = _item_of(found, storage)
        if item is None:
            unknown.append(found)
        else:
            items.append(item)
    return Rebuilt(tuple(sorted(items, key=lambda item: item.item_id)), tuple(unknown))


def _item_of(found: Found, storage: Storage) -> Item | None:
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
    notes = {"status": Status.TO_DO, "errors": (_NOTE,), "attempt": attempt, "version": FIRST_VERSION}
    if found.place is Place.FINISHED:
        notes["attempt"] = attempt + 1  # Finished, nobody knows how: to be converted again.
    return item.model_copy(update=notes)


def _fields(outcome: OutcomeFile) -> Iterator[tuple[str, object]]:
    for name in OutcomeFile.model_fields:
        yield name, getattr(outcome, name)
