"""Outbox records: one per file, content and conversion that this client wants done, and the statuses it goes through.

    waiting → uploading → to_do → in_progress → finished_successful | finished_with_errors → fetched → acknowledged
    parked: waits for a person or for the file to change; everything unfinished may end there.

`file_path` and `result_path` are percent-encoded bytes, since any byte string but NUL may be a name. Pure values.
"""

import hashlib
import os
import stat
import uuid
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote_from_bytes, unquote_to_bytes

from pydantic import BaseModel, ConfigDict, Field

from dmc.client.settle import Signature
from dmc.conversions import MediaType
from dmc.errors import DmcError
from dmc.items import Outcome, Status
from dmc.jobs import ErrorNote, ResultFacts


class OutboxStatus(StrEnum):
    """Where a record stands; the sections of the outbox document are named after these."""

    WAITING = "waiting"
    UPLOADING = "uploading"
    TO_DO = "to_do"
    IN_PROGRESS = "in_progress"
    FINISHED_SUCCESSFUL = "finished_successful"
    FINISHED_WITH_ERRORS = "finished_with_errors"
    FETCHED = "fetched"
    ACKNOWLEDGED = "acknowledged"
    PARKED = "parked"

    @property
    def is_at_server(self) -> bool:
        """The server has the item, and has not been told that it may forget it."""
        return self in _AT_SERVER

    @property
    def is_done(self) -> bool:
        return self in (OutboxStatus.ACKNOWLEDGED, OutboxStatus.PARKED)


_AT_SERVER = frozenset(
    {
        OutboxStatus.TO_DO,
        OutboxStatus.IN_PROGRESS,
        OutboxStatus.FINISHED_SUCCESSFUL,
        OutboxStatus.FINISHED_WITH_ERRORS,
        OutboxStatus.FETCHED,
    }
)

SECTIONS: tuple[str, ...] = tuple(OutboxStatus)

OF_SERVER: Mapping[Status, OutboxStatus] = {status: OutboxStatus(status.value) for status in Status}
"""The outbox status for what the server says of an item."""

FOLDER: Literal["folder"] = "folder"
DOWNLOAD: Literal["download"] = "download"

NOT_MISSING: Mapping[str, None] = {"missing_since": None, "missing_again": None}
"""The fields of a record whose file or result was seen."""


class Trashed(BaseModel):
    """An original that was moved: where it lies now (`path`) and lay before (`origin`), both in the observed folder `root`, since when.

    Paths are encoded. Size, mtime and inode tell whether what lies there is still that file. `due_since`: the first look at which its
    days were over (trash.py).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    path: str
    origin: str
    root: str
    at: str
    size: int = Field(ge=0)
    mtime_ns: int
    inode: int
    due_since: str | None = None

    def has_content_of(self, found: os.stat_result) -> bool:
        """Whether `found` may be that file, moved to another disk or not."""
        return stat.S_ISREG(found.st_mode) and (found.st_size, found.st_mtime_ns) == (self.size, self.mtime_ns)

    def is_file(self, found: os.stat_result) -> bool:
        """Whether `found` is that very file, untouched since."""
        return self.has_content_of(found) and found.st_ino == self.inode


class Companion(BaseModel):
    """A copy of a file that belongs to the source by its `name`: where it lies beside the result, and what it was copied from.

    Name and place are encoded; size, mtime and digest are those of the file at the source. It is written down before it is `placed`, with
    the digest of the older copy that it goes `instead_of`: so after a crash what lies there is known as ours.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    place: str
    size: int = Field(ge=0)
    mtime_ns: int
    sha512: str
    instead_of: str = ""
    placed: bool = False


class OutboxRecord(BaseModel):
    """A record of the outbox. Times are RFC 3339 UTC, sizes bytes, digests lower-case hex.

    `root` is the observed path the file was found in, None for a file that was added by hand. `destination` says where the result
    goes: `folder` is delivered beside the root's other results, `download` waits until somebody asks for it. `server_name` is what
    this client calls the server, `server_id` the instance that took the item. `result_path` is written before the result is put
    there, so that after a crash the file at that place is known as ours. `adopted`: the item was found at the server by its content,
    so the result may already lie at its place. `attempts` counts tries that ended in a fault of dmc. `outcome` is how it ended.
    `missing_since`: the first look that missed both the file and the result of an acknowledged record, and `missing_again` the first
    such look a month later (retire.py). A field with a default is written only where it differs, so older records are read as they are.
    `trash`: where its original lies if dmc moved it. `companions`: copies beside the result of what belongs to the file (mirror.py).
    `flaw`: what the server found wrong with the file that it converted nevertheless.
    Fields of a newer version of the same schema are kept as they stand (see Item).
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str
    version: int = Field(ge=1)
    status: OutboxStatus
    created_at: str
    file_path: str
    root: str | None = None
    destination: Literal["folder", "download"] = FOLDER
    size: int = Field(ge=0)
    mtime_ns: int
    ctime_ns: int
    inode: int
    dev: int
    mode: int = 0o600
    sha512: str = ""
    media_type: MediaType | None = None
    conversion_type: str = ""
    options: dict[str, Any] = Field(default_factory=dict)
    server_name: str | None = None
    server_id: str | None = None
    item_id: str | None = None
    upload_url: str | None = None
    adopted: bool = False
    last_checked_at: str | None = None
    result: ResultFacts | None = None
    result_path: str | None = None
    outcome: Outcome | Literal["failed"] | None = None
    reason: str | None = None
    errors: tuple[ErrorNote, ...] = ()
    attempts: int = Field(default=0, ge=0)
    missing_since: str | None = None
    missing_again: str | None = None
    trash: Trashed | None = None
    companions: tuple[Companion, ...] = ()
    flaw: str | None = None

    @property
    def path(self) -> Path:
        return decode_path(self.file_path)

    @property
    def key(self) -> str:
        """What makes sending this content for this record idempotent."""
        return f"{self.id}.{self.sha512}"

    @property
    def signature(self) -> Signature:
        return Signature(self.size, self.mtime_ns, self.ctime_ns, self.inode, self.dev)

    @property
    def lag_s(self) -> float | None:
        """Seconds from the file's last change until it was noted; None for what was added by hand, or has changed since."""
        lag = datetime.fromisoformat(self.created_at).timestamp() - self.ctime_ns / 1e9
        return None if self.root is None or lag < 0 else lag

    @property
    def label(self) -> str:
        """The file's name for people: names that are no text are shown with replacement signs."""
        return os.fsencode(self.path.name).decode("utf-8", "replace")

    @property
    def is_sendable(self) -> bool:
        """Still to be sent, and nothing of it is at a server yet."""
        return self.status is OutboxStatus.WAITING and self.item_id is None

    @property
    def has_ended(self) -> bool:
        """Nothing comes any more by itself, whether its result was fetched or not."""
        return self.status.is_done or self.status in (OutboxStatus.FINISHED_SUCCESSFUL, OutboxStatus.FINISHED_WITH_ERRORS)

    def changed(self, **fields: Any) -> Self:
        """The next version of this record with `fields` replaced."""
        if unknown := fields.keys() - type(self).model_fields.keys():
            raise TypeError(f"an outbox record has no {', '.join(sorted(unknown))}")
        values = dict(self) | fields | {"version": self.version + 1}
        if values["status"] != OutboxStatus.ACKNOWLEDGED:
            values |= NOT_MISSING
        return type(self).model_validate(values)

    def sent_again(self, reason: str | None = None, *, attempts: int = 0, server_name: str | None = None) -> Self:
        """The next version of this record, waiting as if it had never been sent."""
        return self.changed(
            attempts=attempts,
            status=OutboxStatus.WAITING,
            server_name=server_name,
            server_id=None,
            item_id=None,
            upload_url=None,
            adopted=False,
            result=None,
            result_path=None,
            outcome=None,
            errors=(),
            reason=reason,
            companions=tuple(copy.model_copy(update={"placed": False}) for copy in self.companions),
        )


def stat_fields(signature: Signature) -> dict[str, int]:
    """The fields of a record that hold `signature`."""
    return {
        "size": signature.size,
        "mtime_ns": signature.mtime_ns,
        "ctime_ns": signature.ctime_ns,
        "inode": signature.inode,
        "dev": signature.dev,
    }


def parked(record: OutboxRecord, problem: Exception) -> OutboxRecord:
    """The record, waiting for a person or for the file to change, with the reason."""
    if isinstance(problem, DmcError):
        note = ErrorNote(code=problem.code, message=problem.message, hint=problem.hint)
    else:
        note = ErrorNote(code="StillBroken", message=f"an unforeseen fault: {problem!r}.", hint="Look into the client's log.")
    return record.changed(status=OutboxStatus.PARKED, reason=note.message, errors=(note,), upload_url=None)


def encode_path(path: Path | str) -> str:
    """Percent-encoded bytes of a path."""
    return quote_from_bytes(os.fsencode(path), safe="/")


def decode_path(text: str) -> Path:
    """The path that `encode_path` wrote down."""
    return Path(os.fsdecode(unquote_to_bytes(text)))


def short_id(record_id: str) -> str:
    """Twelve signs for temporary names: the random end of the id, the same for the same record."""
    return hashlib.sha256(uuid.UUID(record_id).bytes).hexdigest()[:12]
