"""The transport seam: how a client talks to one server. Variants: `transport_http.py`, `transport_memory.py`.

Law (each line is a contract test run on every variant):
1. Every network fault is ServerUnreachable; what the server says no to is the error it told (protocol.error_from_wire).
2. `send` is idempotent per key: sending the same file with the same key again, also after a lost answer, gives the same item.
3. `send` resumes where the server says it stopped, and tells after each part how many bytes the server has.
4. `fetch` never leaves a short or wrong file under its final name: length and SHA-512 are checked first.
5. `acknowledge` may be said twice.
6. `reach` answers an Identity or raises ServerUnreachable; an answer that is not dmc's is ServerUnreachable too.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dmc.protocol import Identity, ItemView


@dataclass(frozen=True, slots=True)
class Parcel:
    """A file to send. `label` is what the user calls it; `key` makes sending idempotent; `upload_url` is where an earlier try stands."""

    path: Path
    label: str
    file_size: int
    sha512: str
    conversion_type: str
    key: str
    options: dict[str, Any] = field(default_factory=dict)
    upload_url: str | None = None


class Transport(Protocol):
    """The way to one server; see the law above. Blocking calls, safe from one thread at a time."""

    def reach(self) -> Identity: ...

    def send(self, parcel: Parcel, on_url: Callable[[str], None], on_progress: Callable[[int], None], stop: Callable[[], bool]) -> ItemView:
        """Send a file and return its item. `on_url` is told the upload's URL before the first byte, so that it can be written down."""
        ...

    def progress(self, item_ids: list[str]) -> dict[str, ItemView]:
        """The state of items; those that the server does not know are missing from the answer."""
        ...

    def fetch(self, item: ItemView, temp: Path) -> None:
        """Fetch an item's result into `temp`, resuming what is there; complete, checked and synced on return."""
        ...

    def acknowledge(self, item_id: str, sha512: str) -> None: ...

    def cancel(self, item_id: str) -> None: ...

    def retry(self, item_id: str) -> None: ...

    def receipt(self, item_id: str) -> dict[str, Any]: ...

    def close(self) -> None: ...
