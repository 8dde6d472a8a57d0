"""The transport seam: how a client talks to one server. Variants: `transport_http.py`, `transport_memory.py`.

Law (each line is a contract test run on every variant):
1. Every network fault is ServerUnreachable; what the server says no to is the error it told (protocol.error_from_wire).
2. `send` is idempotent per key: sending the same file with the same key again, also after a lost answer, gives the same item.
3. `send` resumes where the server says it stopped, and tells after each part how many bytes the server has.
4. `fetch` never leaves a short or wrong file under its final name: length and SHA-512 are checked first.
5. `acknowledge` may be said twice.
6. `reach` answers an Identity or raises ServerUnreachable; an answer that is not dmc's, or of another instance than the
   one asked for, is ServerUnreachable too, and no token was shown to it.
7. `check` answers per file, in order; a server that cannot check says `want` to all.
8. A file that is not the one that was announced is SourceChanged; a fault of the own disk is LocalFault.
9. `stop` ends a transfer with Interrupted at the next part; what was transferred is kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dmc.errors import Refused, Unavailable
from dmc.jobs import MadeFile
from dmc.protocol import CheckAnswer, CheckEntry, Identity, ItemView


class SourceChanged(Refused):
    """The file to send is gone, or is not the one that was hashed."""


class LocalFault(Unavailable):
    """This machine's own disk could not do what was needed; the server is not at fault."""


class Interrupted(Unavailable):
    """The client is stopping; the transfer goes on next time."""


def never() -> bool:
    """The `stop` of a caller that never stops."""
    return False


def note_beside(temp: Path) -> Path:
    """Where a transport may keep a note about the part file `temp`; whoever takes `temp` away removes the note too."""
    return temp.with_name(f"{temp.name}.json")


@dataclass(frozen=True, slots=True)
class Parcel:
    """A file to send. `label` is what the user calls it; `key` makes sending idempotent; `upload_url` is where an earlier try stands.

    `lag_s`: how long after its last change it was noted, for files of observed folders; the server counts it.
    """

    path: Path
    label: str
    file_size: int
    sha512: str
    conversion_type: str
    key: str
    options: dict[str, Any] = field(default_factory=dict)
    upload_url: str | None = None
    lag_s: float | None = None


class Transport(Protocol):
    """The way to one server; see the law above. Blocking calls, safe from several threads."""

    def reach(self, instance: str | None = None) -> Identity:
        """Who answers there; with `instance`, only that one will do."""
        ...

    def check(self, files: Sequence[CheckEntry]) -> list[CheckAnswer]:
        """What the server already has of these files for this client."""
        ...

    def send(
        self, parcel: Parcel, on_url: Callable[[str], None], on_progress: Callable[[int], None], stop: Callable[[], bool] = never
    ) -> ItemView:
        """Send a file and return its item. `on_url` is told the upload's URL before the first byte, so that it can be written down."""
        ...

    def progress(self, item_ids: list[str]) -> dict[str, ItemView | None]:
        """The state of items; None of those that somebody deleted there. Those that the server does not know are missing."""
        ...

    def abandon(self, upload_url: str) -> None:
        """Take back an unfinished upload; an unknown one is fine."""
        ...

    def fetch(self, item_id: str, result: MadeFile, temp: Path, stop: Callable[[], bool] = never, beside: bool = False) -> None:
        """Fetch an item's result, or the file `beside` it of that name, into `temp`, resuming what is there; complete, checked and
        synced on return."""
        ...

    def acknowledge(self, item_id: str, sha512: str) -> None: ...

    def cancel(self, item_id: str) -> None: ...

    def retry(self, item_id: str) -> None: ...

    def receipt(self, item_id: str) -> dict[str, Any]: ...

    def close(self) -> None:
        """End what still runs, in whatever thread; a later call starts anew."""
        ...
