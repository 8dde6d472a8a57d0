"""What is told outside about finished items: one digest for a burst of them, when it is due, and how it is signed. Pure."""

import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from dmc.clock import rfc3339
from dmc.items import Item, Outcome, Status

MOST_SHOWN = 50
"""Items that a digest names; the counts are of all."""

SIGNATURE = "Dmc-Signature"

_PLAIN = ConfigDict(frozen=True, extra="forbid")


class Told(BaseModel):
    """A finished item, as a digest names it."""

    model_config = _PLAIN
    item_id: str
    client_id: str
    file_name: str
    conversion_type: str
    status: Status
    outcome: Outcome | None
    error: str | None
    finished_at: str


class Digest(BaseModel):
    """Items that finished and were not told yet. `saved_bytes`: originals less results; may be below zero."""

    model_config = _PLAIN
    done: int = 0
    failed: int = 0
    saved_bytes: int = 0
    first_at: str | None = None
    last_at: str | None = None
    items: tuple[Told, ...] = ()

    def with_item(self, item: Item, now: datetime) -> "Digest":
        """The digest with one more item, seen at `now`."""
        good = item.status is Status.FINISHED_SUCCESSFUL
        saved = item.file_size - item.result.file_size if item.result is not None else 0
        return Digest(
            done=self.done + good,
            failed=self.failed + (not good),
            saved_bytes=self.saved_bytes + saved,
            first_at=self.first_at or rfc3339(now),
            last_at=rfc3339(now),
            items=(*self.items, told(item))[-MOST_SHOWN:],
        )

    @property
    def is_empty(self) -> bool:
        return not self.done and not self.failed

    def is_due(self, now: datetime, every_s: float, *, dry: bool) -> bool:
        """Whether it is time to tell it: its first item has waited so long, or nothing is left to do (`dry`)."""
        if self.is_empty or self.first_at is None:
            return False
        return dry or datetime.fromisoformat(self.first_at) + timedelta(seconds=every_s) <= now

    def text(self) -> str:
        """`31 done, 2 failed, 48 GB saved`."""
        parts = [f"{self.done} done"] if self.done else []
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.saved_bytes > 0:
            parts.append(f"{shown_bytes(self.saved_bytes)} saved")
        return ", ".join(parts)

    def body(self, instance: str, notice_id: str) -> dict[str, Any]:
        """The JSON that is sent; the same `id` again is the same digest again."""
        told = self.model_dump(mode="json")
        return {"schema": "dmc.digest/1", "id": notice_id, "instance": instance, "text": self.text(), **told}


def told(item: Item) -> Told:
    """What a digest says of an item."""
    return Told(
        item_id=item.item_id,
        client_id=item.client_id,
        file_name=item.original_file_name,
        conversion_type=item.conversion_type,
        status=item.status,
        outcome=item.outcome,
        error=item.errors[-1].code if item.errors and item.status is Status.FINISHED_WITH_ERRORS else None,
        finished_at=item.finished_at or item.created_at,
    )


def signature(secret: bytes, body: bytes, at: int) -> str:
    """`t=<seconds>,v1=<hex>`: HMAC-SHA256 over `<seconds>.<body>`, so that an old message cannot be sent again as a new one."""
    return f"t={at},v1={hmac.new(secret, b'%d.' % at + body, hashlib.sha256).hexdigest()}"


def shown_bytes(count: int) -> str:
    """`48 GB`, `1.2 MB`: for people."""
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
