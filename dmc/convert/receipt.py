"""The receipt: what was kept, changed and lost of a file, and how its result was verified.

Written as receipt.json beside the result. It only tells; what it tells was decided in plan.py and measured in
transcode.py and verify.py. Field names only ever grow.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA = "dmc.receipt/1"
FILE_NAME = "receipt.json"

LENGTH = "length"
"""The kind of the entry that says what was cut off on purpose."""

_PLAIN = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

Fate = Literal["kept", "changed", "lost"]


class FileFacts(BaseModel):
    """A file in numbers: the source or the result. When and where it was recorded is said of the source, unless that is taken out."""

    model_config = _PLAIN
    file_name: str
    file_size: int
    sha512: str
    container: str
    media_type: str
    duration_s: float | None = None
    recorded_at: str | None = None
    latitude: float | None = None
    longitude: float | None = None


class StreamEntry(BaseModel):
    """One stream of the source: what was done with it, what became of it and why; numbers before and after."""

    model_config = _PLAIN
    index: int
    type: str
    codec: str | None
    action: Literal["copy", "encode", "drop", "sidecar"]
    outcome: Fate
    reason: str
    before: dict[str, Any] = Field(default_factory=dict)
    after: dict[str, Any] | None = None


class SidecarEntry(BaseModel):
    """A stream in a file of its own beside the result; `original_name` is what an attachment was called."""

    model_config = _PLAIN
    stream: int
    file_name: str
    file_size: int
    sha512: str
    original_name: str | None = None


class MetadataEntry(BaseModel):
    """One kind of metadata (`tags`, `chapters`, `rotation`, `GPS`, `EXIF`, `ICC`, …) and what became of it."""

    model_config = _PLAIN
    kind: str
    outcome: Fate
    detail: str = ""


class Verification(BaseModel):
    """How the result was checked: a full decode, counted; `drift_s`: how far any stream starts or ends from where it did."""

    model_config = _PLAIN
    passed: bool
    decoded_frames: int
    decoded_s: float
    source_frames: int
    source_s: float
    drift_s: float
    errors_in_source: int
    sha512: str
    took_s: float


class Receipt(BaseModel):
    """Everything that a person may want to know before the original is deleted."""

    model_config = _PLAIN
    schema_: Literal["dmc.receipt/1"] = Field(default="dmc.receipt/1", alias="schema")
    conversion_type: str
    options: dict[str, Any] = Field(default_factory=dict)
    outcome: Literal["converted", "kept-original", "skipped"]
    reason: str | None = None
    source: FileFacts
    result: FileFacts | None = None
    streams: tuple[StreamEntry, ...] = ()
    metadata: tuple[MetadataEntry, ...] = ()
    sidecars: tuple[SidecarEntry, ...] = ()
    verification: Verification | None = None
    warnings: tuple[str, ...] = ()
    took_s: float = 0.0
    made_with: str = ""

    @property
    def losses(self) -> list[str]:
        """Everything lost, one sentence each."""
        streams = [f"{s.type} stream {s.index} ({s.codec or 'unknown'}): {s.reason}" for s in self.streams if s.outcome == "lost"]
        return streams + [f"{m.kind}: {m.detail}" for m in self.metadata if m.outcome == "lost"]


def write_receipt(out_dir: Path, receipt: Receipt) -> Path:
    """Write receipt.json into `out_dir`; whoever takes the result over syncs it."""
    path = out_dir / FILE_NAME
    path.write_text(receipt.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
    return path


def read_receipt(out_dir: Path) -> Receipt:
    """The receipt in `out_dir`."""
    return Receipt.model_validate_json((out_dir / FILE_NAME).read_bytes())


def short_lines(receipt: Receipt) -> list[str]:
    """The receipt for people, in at most ten lines."""
    if receipt.result is None:
        return [_headline(receipt), *_notes(receipt)]
    lines = [_headline(receipt), _streams_line(receipt)]
    if origin := _origin(receipt.source):
        lines.append(f"recorded {origin}")
    lines += [f"changed: {m.detail}" for m in receipt.metadata if m.kind == LENGTH]
    kept = [m.kind for m in receipt.metadata if m.outcome != "lost" and m.kind != LENGTH]
    if kept:
        lines.append(f"metadata kept: {', '.join(kept)}")
    lines.append(f"lost: {'; '.join(receipt.losses)}" if receipt.losses else "lost: nothing")
    if receipt.verification is not None:
        lines.append(_verification_line(receipt.verification))
    return lines + _notes(receipt)


def _notes(receipt: Receipt) -> list[str]:
    """The first two warnings, and how many there are more."""
    notes = [f"note: {warning}" for warning in receipt.warnings[:2]]
    return notes + ([f"note: and {len(receipt.warnings) - 2} more, see receipt.json"] if len(receipt.warnings) > 2 else [])


def _headline(receipt: Receipt) -> str:
    source = receipt.source
    if receipt.result is None:
        return f"{receipt.outcome}: {source.file_name} stays as it is; {receipt.reason or 'no result was made'}"
    percent = 100.0 * receipt.result.file_size / source.file_size if source.file_size else 0.0
    size = f"{in_bytes(source.file_size)} → {in_bytes(receipt.result.file_size)} ({percent:.0f} %)"
    return f"{receipt.outcome}: {source.file_name} → {receipt.result.file_name} [{receipt.conversion_type}], {size}"


def _origin(source: FileFacts) -> str:
    """`2024-05-01T10:00:00+02:00 at 48.1, 11.5`, as far as it is known."""
    place = "" if source.latitude is None or source.longitude is None else f"at {source.latitude:g}, {source.longitude:g}"
    return " ".join(part for part in (source.recorded_at, place) if part)


def _streams_line(receipt: Receipt) -> str:
    if not receipt.streams:
        return "streams: none listed"
    counts = {action: sum(s.action == action for s in receipt.streams) for action in ("copy", "encode", "sidecar", "drop")}
    words = {"copy": "copied", "encode": "encoded", "sidecar": "in a sidecar", "drop": "left out"}
    return "streams: " + ", ".join(f"{count} {words[action]}" for action, count in counts.items() if count)


def _verification_line(check: Verification) -> str:
    state = "verified" if check.passed else "NOT verified"
    said = f"{state}: {check.decoded_frames} frames, {check.decoded_s:.2f} s decoded, drift {1000 * check.drift_s:.0f} ms"
    return said + (f", {check.errors_in_source} decode errors in the source" if check.errors_in_source else "")


def in_bytes(count: int) -> str:
    """`1.4 MB`: bytes for people, in powers of 1000."""
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
