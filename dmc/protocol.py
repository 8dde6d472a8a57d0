"""All that client and server share: paths, headers, JSON bodies, and error code ⇄ HTTP status.

Field names are those of the outside (interface.md section 3) and only ever grow. Models are strict: what does not fit
is refused, never bent. Nothing here opens a socket or a file.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dmc import errors
from dmc.conversions import MediaType
from dmc.items import Outcome, Status
from dmc.jobs import ErrorNote, Staffing
from dmc.products import Facts, PreviewsView

API = "/api/v1"
UPLOADS = f"{API}/uploads"
ITEMS = f"{API}/items"
CHECK = f"{API}/check"
EVENTS = f"{API}/events"
TYPES = f"{API}/types"
SERVER = f"{API}/server"

SERVICE = "dmc"
PROTOCOL = 1

TUS_VERSION = "1.0.0"
TUS_EXTENSIONS = (
    "creation",
    "creation-with-upload",
    "creation-defer-length",
    "checksum",
    "concatenation",
    "expiration",
    "termination",
)
OFFSET_TYPE = "application/offset+octet-stream"
ITEM_HEADER = "Dmc-Item"
"""On answers about an upload that became an item: the item's id."""

LAG_HEADER = "Dmc-Watch-Lag"
"""On the beginning of an upload that was found in an observed folder: seconds from its last change until it was noted. For `/metrics`."""

PAGE_LIMIT = 200
CHECK_LIMIT = 1000

_WIRE = ConfigDict(frozen=True, extra="forbid", strict=True)
_READ = ConfigDict(frozen=True, extra="ignore")
_SHA512 = r"^[0-9a-f]{128}$"
"""For what a server answers: a newer one may say more than this client knows."""


class ErrorDetail(BaseModel):
    model_config = _READ
    code: str
    message: str
    hint: str = ""
    request_id: str = ""


class ErrorBody(BaseModel):
    """`{"error": {"code", "message", "hint", "request_id"}}`: the body of every answer that is not a success."""

    model_config = _READ
    error: ErrorDetail


class ProgressView(BaseModel):
    model_config = _READ
    fraction: float
    speed: float | None = None
    eta_s: float | None = None


class SidecarView(BaseModel):
    """A file beside a result, with what its container cannot hold."""

    model_config = _READ
    file_name: str
    file_size: int = Field(ge=0)
    sha512_checksum: str = Field(pattern=_SHA512)
    url: str


class ResultView(BaseModel):
    model_config = _READ
    file_name: str
    file_size: int = Field(ge=0)
    sha512_checksum: str = Field(pattern=_SHA512)
    url: str
    receipt_url: str
    sidecars: list[SidecarView] = Field(default_factory=list)


class ItemView(BaseModel):
    """An item as the outside sees it; `etag` of the answer is its `version`."""

    model_config = _READ
    item_id: str
    client_id: str
    status: Status
    version: int
    created_at: str
    conversion_type: str
    options: dict[str, Any] = Field(default_factory=dict)
    file_name: str
    file_size: int
    sha512_checksum: str
    media_type: MediaType | None = None
    queue_position: int | None = None
    attempt: int = 1
    wish: str | None = None
    outcome: Outcome | None = None
    reason: str | None = None
    progress: ProgressView | None = None
    errors: list[ErrorNote] = Field(default_factory=list)
    result: ResultView | None = None
    facts: Facts | None = None
    previews: PreviewsView = PreviewsView()
    started_at: str | None = None
    finished_at: str | None = None
    acknowledged_at: str | None = None
    trashed_at: str | None = None


class ItemPage(BaseModel):
    """Items, the newest first; `cursor` is set when there are more. `total` is how many there are on all pages together.

    `deleted`: of the ids that were asked for, those that somebody deleted; whoever sent them need not offer them again.
    """

    model_config = _READ
    items: list[ItemView]
    cursor: str | None = None
    total: int | None = None
    deleted: list[str] = Field(default_factory=list)


class Waiting(BaseModel):
    """Why the queue of a server waits; `until` (RFC 3339) where that is known."""

    model_config = _READ
    code: str
    message: str
    until: str | None = None


class WorkersView(Staffing):
    """How many conversions a server makes at once, why so many, and how many of its workers are busy."""

    model_config = _READ
    busy: int


class Identity(BaseModel):
    """Who answers at this address. The part after `accepting` is only told to a caller with a token."""

    model_config = _READ
    service: str
    protocol: int
    instance: str
    accepting: bool
    version: str | None = None
    max_file_size: int | None = None
    free_bytes: int | None = None
    ledger_seq: int | None = None
    media_types: list[MediaType] | None = None
    conversion_types: list[str] | None = None
    trash_days: float | None = None
    """Days in which a deletion can be undone; 0: none."""
    waiting: Waiting | None = None
    workers: WorkersView | None = None
    """None while no broker works."""
    fingerprint: str | None = None
    """Of the server's certificate; None without TLS."""
    warnings: list[str] | None = None


class CheckEntry(BaseModel):
    model_config = _WIRE
    sha512: str = Field(pattern=_SHA512)
    file_size: int = Field(ge=0)
    conversion_type: str
    options: dict[str, Any] = Field(default_factory=dict)


class CheckRequest(BaseModel):
    model_config = _WIRE
    files: list[CheckEntry] = Field(max_length=CHECK_LIMIT)


class CheckAnswer(BaseModel):
    """For one asked file: `have` with the item, `uploading` with the upload's URL, or `want`."""

    model_config = _READ
    state: Literal["have", "uploading", "want"]
    item: ItemView | None = None
    url: str | None = None


class CheckReply(BaseModel):
    model_config = _READ
    files: list[CheckAnswer]


class AcknowledgeRequest(BaseModel):
    """`sha512` of the result, or of the original where there is no result."""

    model_config = _WIRE
    sha512: str = Field(pattern=_SHA512)


STATUS_OF: dict[type[errors.DmcError], int] = {
    errors.BadRequest: 400,
    errors.BadSettings: 400,
    errors.UsageFault: 400,
    errors.SignInNeeded: 401,
    errors.NotAllowed: 403,
    errors.UnknownItem: 404,
    errors.NotFound: 404,
    errors.WrongStatus: 409,
    errors.Conflict: 409,
    errors.Cancelled: 409,
    errors.TooLarge: 413,
    errors.UnknownConversion: 415,
    errors.UnfitConversion: 415,
    errors.NotMedia: 415,
    errors.Unsupported: 415,
    errors.DamagedMedia: 415,
    errors.LossRefused: 415,
    errors.WholeFileMismatch: 460,
    errors.VerificationFailed: 500,
    errors.Locked: 423,
    errors.Busy: 503,
    errors.DiskFull: 507,
    errors.ServerUnreachable: 503,
    errors.TimedOut: 504,
}
"""HTTP status of each error; families not named here: Refused 400, Unavailable 503, Broken 500."""


def http_status(problem: errors.DmcError) -> int:
    """The HTTP status that tells `problem`."""
    for kind in type(problem).__mro__:
        if kind in STATUS_OF:
            return STATUS_OF[kind]
    if isinstance(problem, errors.Unavailable):
        return 503
    return 400 if isinstance(problem, errors.Refused) else 500


def error_from_wire(status: int, detail: ErrorDetail | None) -> errors.DmcError:
    """The error that a server told: by its code where this client knows it, else by the status' family."""
    message = detail.message if detail else f"the server answered {status}."
    hint = detail.hint if detail else ""
    code = detail.code if detail else f"http_{status}"
    for kind in STATUS_OF:
        if kind.__name__ == code:
            return kind(message, hint)
    if code == "whole_file_mismatch":
        return errors.WholeFileMismatch(message, hint)
    if status in (408, 423, 425, 429, 503, 504):
        return errors.Busy(message, hint, code=code)
    if status == 507:
        return errors.DiskFull(message, hint, code=code)
    if status >= 500:
        return errors.StillBroken(message, hint, code=code)
    return errors.BadRequest(message, hint, code=code)
