"""The storage seam: where the bytes of items stand. Variants sort beside it (`storage_dirs.py`, `storage_memory.py`).

Law (each line is a contract test run on every variant):
1. An item is a folder; its place is the parent folder: incoming, to_do, in_progress or finished. It stands in exactly one.
2. `advance` is one rename; it does nothing if the folder is already there.
3. What `admit` made (original, ticket, folder) is durable when it returns; before that the item is not listed by `places`
   as arrived, and `abandon` removes it without a trace.
4. `remove` is durable when it returns, and does nothing for a folder that is not there.
5. After `share` two items have the same bytes, each whole, and removing one takes nothing from the other.
6. What `note_deleted` was told is durable when it returns; of very many the oldest are forgotten.
7. `sweep` moves what does not belong to quarantine and never deletes it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol


class Place(StrEnum):
    """The four folders; every item's folder stands in one of them."""

    INCOMING = "incoming"
    TO_DO = "to_do"
    IN_PROGRESS = "in_progress"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Found:
    """A folder that was found: where it stands, and whether its ticket is there (it was admitted)."""

    item_id: str
    place: Place
    has_ticket: bool


class Storage(Protocol):
    """The folders of items; see the law above. All paths are absolute."""

    def arrive(self, item_id: str) -> Path:
        """Make incoming/<id>/ for bytes that begin to arrive; returns the folder."""
        ...

    def admit(self, item_id: str, file_name: str, ticket: dict[str, Any]) -> None:
        """Write the ticket beside the complete original `file_name` and make both, their folder and incoming/ durable."""
        ...

    def abandon(self, item_id: str) -> None:
        """Remove incoming/<id>/ of something that was never admitted."""
        ...

    def place_of(self, item_id: str) -> Place | None: ...

    def folder(self, item_id: str) -> Path | None:
        """The item's folder, wherever it stands now."""
        ...

    def advance(self, item_id: str, to: Place) -> None:
        """Move the item's folder by one rename; raises NotFound if there is none."""
        ...

    def empty_out(self, item_id: str) -> None:
        """Remove all that a worker has written into out/ (the log stays) and leave an empty out/."""
        ...

    def share(self, from_id: str, from_name: str, item_id: str, file_name: str) -> bool:
        """Let the original and the empty out/ of `item_id` be links to those of `from_id`. Nothing is synced; see `keep_out`.

        False where that is not possible: files that are missing, a file system without hard links. Some may be linked then.
        """
        ...

    def keep_out(self, item_id: str) -> None:
        """Make all that is in out/ durable; `write_outcome` does so with what is beside it."""
        ...

    def write_outcome(self, item_id: str, outcome: dict[str, Any]) -> None:
        """Write outcome.json beside the ticket; the names in the item's folder are durable then, too."""
        ...

    def read_ticket(self, item_id: str) -> dict[str, Any] | None: ...

    def read_outcome(self, item_id: str) -> dict[str, Any] | None: ...

    def size_of(self, item_id: str, file_name: str) -> int | None:
        """Bytes of a file in the item's folder; None if it is not there."""
        ...

    def drop_file(self, item_id: str, file_name: str) -> None:
        """Remove one file of the item's folder, durably; nothing happens if it is not there."""
        ...

    def remove(self, item_id: str) -> None: ...

    def note_deleted(self, item_id: str, client_id: str) -> None:
        """Remember that somebody deleted an item of this client for good."""
        ...

    def owner_of_deleted(self, item_id: str) -> str | None:
        """The client of an item that somebody deleted for good; None of any other."""
        ...

    def places(self, among: Collection[Place] = tuple(Place)) -> list[Found]:
        """Every item folder in these places."""
        ...

    def touched_at(self, item_id: str) -> float | None:
        """When something in the item's folder was last written, in seconds since the epoch; None if there is no folder."""
        ...

    def set_aside(self, item_id: str) -> None:
        """Move the item's folder to quarantine/."""
        ...

    def sync_places(self) -> None:
        """Make the four places themselves durable."""
        ...

    def sweep(self, before: float) -> list[str]:
        """Move foreign files and folders to quarantine/; returns what was moved, in words.

        Temporary files beside the places are dropped if they were written `before` (seconds since the epoch): a younger one may be
        another process' at work.
        """
        ...

    def tidy(self, item_id: str) -> None:
        """Drop temporary files that something cut short has left in the item's folder; never asked of what is still arriving."""
        ...

    def free_bytes(self) -> int: ...
