"""What broker and conversion engines say to each other: job, progress, report. Plain values that survive JSON.

Stands on the ground floor since broker/ and convert/ do not import each other, and an engine on another machine will
carry these values one day. Holds no behaviour beyond going to and from JSON.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dmc.conversions import MediaType

_PLAIN = ConfigDict(frozen=True, extra="forbid", strict=False)


class ErrorNote(BaseModel):
    """Why something failed: a code, a sentence, and what to do."""

    model_config = _PLAIN
    code: str
    message: str
    hint: str = ""


class MadeFile(BaseModel):
    """A file as it was verified: name inside `out/`, bytes, SHA-512 in lower-case hex."""

    model_config = _PLAIN
    file_name: str
    file_size: int
    sha512_checksum: str


class ResultFacts(MadeFile):
    """The result, and the files beside it (`result.3.mks`) that hold what its container cannot."""

    sidecars: tuple[MadeFile, ...] = ()

    @property
    def files(self) -> tuple[MadeFile, ...]:
        """The result itself, then its sidecars."""
        return (self, *self.sidecars)


class Job(BaseModel):
    """One conversion, as the broker orders it.

    `original` is the file to read; `out_dir` the only folder to write into (exists and is empty); `log_file` takes text.
    `sidecars`: whoever ordered it takes files beside the result too; else what they would hold is said to be lost.
    `previews`: whoever ordered it shows facts.json and the pictures that it names, see products.py.
    `label` is what the user called the file: for messages, never for paths. `attempt` counts from 1.
    """

    model_config = _PLAIN
    item_id: str
    attempt: int
    original: str
    out_dir: str
    log_file: str
    label: str
    conversion_type: str
    options: dict[str, Any] = Field(default_factory=dict)
    file_size: int
    sha512_checksum: str
    sidecars: bool = False
    previews: bool = False


class Progress(BaseModel):
    """How far a job is: fraction 0..1 (never falls), speed in media seconds per second, eta in seconds; None where unknown."""

    model_config = _PLAIN
    item_id: str
    attempt: int
    worker_pid: int
    fraction: float
    speed: float | None = None
    eta_s: float | None = None


class Report(BaseModel):
    """The one end of a job.

    kind: `converted` (`result` is set; everything in out/ is complete, verified and fsynced) · `kept-original` and `skipped`
    (`reason` is set, out/ holds at most receipt.json) · `failed` (`errors` is set; the file or the request is at fault, or retries
    would not help) · `unavailable` (time may heal it, e.g. the disk is full; `errors` is set) · `crashed` (the worker died or
    hung; `errors` is set) · `cancelled` (asked for with `cancel`).
    """

    model_config = _PLAIN
    item_id: str
    attempt: int
    kind: Literal["converted", "kept-original", "skipped", "failed", "unavailable", "crashed", "cancelled"]
    media_type: MediaType | None = None
    result: ResultFacts | None = None
    reason: str | None = None
    errors: tuple[ErrorNote, ...] = ()


class Staffing(BaseModel):
    """How many conversions run at once here (`total`), and what that number follows from (`bound`).

    `settings`: somebody chose it · `cores`: half of them · `memory`: less than `wanted` by the cores, since each gets its share of
    memory · `most`: less than `wanted` by the cores, since more are begun only where somebody chose so.
    """

    model_config = _PLAIN
    total: int
    wanted: int
    bound: Literal["settings", "cores", "memory", "most"]
