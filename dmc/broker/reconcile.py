"""Ledger against folders, as a pure function: what is written, what is found → one correction. It touches nothing.

This is the table of recovery. It is asked at start-up for every item that is not finished and every folder that is not in
finished/; the ledger is right, but for what a folder in finished/ proves: it got there only after its line.
"""

from dataclasses import dataclass
from typing import Literal

from dmc.broker.outcomes import MOST_CRASHES, OutcomeFile
from dmc.broker.storage import Place
from dmc.items import Item, Status, Wish

PLACE_OF: dict[Status, Place] = {
    Status.TO_DO: Place.TO_DO,
    Status.IN_PROGRESS: Place.IN_PROGRESS,
    Status.FINISHED_SUCCESSFUL: Place.FINISHED,
    Status.FINISHED_WITH_ERRORS: Place.FINISHED,
}
"""Where the folder of an item belongs."""

Verb = Literal["leave", "drop", "quarantine", "move", "put-back", "adopt", "missing", "changed", "crashed", "remove"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found of one id. `size` is the original's, None if it is not there; `idle_s` since its folder was last written to."""

    place: Place | None
    size: int | None = None
    outcome: OutcomeFile | None = None
    idle_s: float = 0.0


def correction(item: Item | None, facts: Facts, *, expiry_s: float) -> Verb:
    """What brings ledger and folder of one item together.

    No record:     1 no folder → leave · 2 in incoming, not yet expired → leave: an upload that may go on · 3 expired → drop ·
                   4 anywhere else → quarantine
    Finished:      5 wish delete → remove again, it may have been cut · 6 no folder → leave, `verify` tells · 7 elsewhere → move
    Unfinished:    8 in finished/, outcome of this attempt → adopt it: its line was lost · 9 no folder or no original → missing ·
                   10 another size → changed · 11 in progress too often → crashed · 12 in progress → put back ·
                   13 to do → move: out/ may hold leftovers even where the folder is right
    """
    if item is None:
        if facts.place is None:
            return "leave"
        if facts.place is Place.INCOMING:
            return "leave" if facts.idle_s < expiry_s else "drop"
        return "quarantine"
    if item.status.is_finished:
        if item.wish is Wish.DELETE:
            return "remove"
        return "leave" if facts.place in (None, Place.FINISHED) else "move"
    if facts.place is Place.FINISHED and facts.outcome is not None and facts.outcome.attempt == item.attempt:
        return "adopt"
    if facts.place is None or facts.size is None:
        return "missing"
    if facts.size != item.file_size:
        return "changed"
    if item.status is Status.IN_PROGRESS:
        return "crashed" if item.crashes + 1 >= MOST_CRASHES else "put-back"
    return "move"
