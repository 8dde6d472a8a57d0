"""What a worker does for `dmc plan`: looks into one file, plans, encodes a few pieces, and says what would come of a conversion.

Runs in the same locked room as a conversion, since it decodes what nobody has looked at yet. Writes `plan.json` into its out folder
and nothing else; who ordered it reads that with `read_estimate`, which believes only what fits.
"""

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from dmc.conversions import MediaType, check_fits, check_options, find_conversion
from dmc.convert import gate, pictures, places
from dmc.convert.cut import Cut, within
from dmc.convert.expect import Expected, expect
from dmc.convert.facts import MediaFacts
from dmc.convert.keys import cut_for
from dmc.convert.limits import Limits
from dmc.convert.pictures_plan import plan_picture
from dmc.convert.plan import Plan, plan
from dmc.convert.probe import probe
from dmc.convert.progress import OnProgress, alive, patience_s
from dmc.convert.receipt import in_bytes
from dmc.convert.recipes import GATED_PICTURES, RECIPES
from dmc.convert.sample import Window, sample, windows_of
from dmc.errors import StillBroken
from dmc.files import RealDisk, remove_tree
from dmc.jobs import Job, Report

FILE_NAME = "plan.json"
SAMPLES = "samples"
"""An option of the order, not of the conversion type: whether pieces are encoded. Default: yes."""

ENTRY = "dmc.convert.estimate:estimate"

_PIECE_S = 2.0
_BUDGET_S = 20.0
"""How long one piece may take: of an 8K film in AV1 it is a shorter piece."""

_COPY_BYTES_PER_S = 50e6
_LARGEST = 4 << 20


class StreamDecision(BaseModel):
    """What would become of one stream, and why."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    index: int
    type: str
    codec: str | None
    action: Literal["copy", "encode", "drop", "sidecar"]
    outcome: Literal["kept", "changed", "lost"]
    reason: str


class Expectation(BaseModel):
    """What the result would be about: bytes with bounds, and seconds of one worker. `basis`: where that is from.

    `encoded`: all of it was encoded, the size is exact · `pieces`: some seconds were · `copied`: nothing would be encoded ·
    `others`: told from other pictures of the same kind.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    size: int = Field(ge=0)
    low: int = Field(ge=0)
    high: int = Field(ge=0)
    seconds: FiniteFloat = Field(ge=0)
    basis: Literal["encoded", "pieces", "copied", "others"]
    sampled_s: FiniteFloat = 0.0


class Estimate(BaseModel):
    """What would be done with one file. `gated`: a result that is larger than its source would not be kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    outcome: Literal["convert", "kept-original", "skip", "refuse"]
    reason: str
    hint: str = ""
    media_type: MediaType | None = None
    container: str = ""
    source_container: str = ""
    gated: bool = False
    streams: tuple[StreamDecision, ...] = ()
    warnings: tuple[str, ...] = ()
    expected: Expectation | None = None


def estimate(job: Job, limits: Limits, on_progress: OnProgress) -> Report:
    """Look at the file of `job` and write the Estimate; errors of the file pass through and become a report of kind failed."""
    options = dict(job.options)
    samples = bool(options.pop(SAMPLES, True))
    job = job.model_copy(update={"options": options})
    kind = find_conversion(job.conversion_type)
    check_options(kind.name, options)
    facts = probe(Path(job.original), limits, job.label)
    check_fits(kind, facts.media_type)
    seeing = _picture if facts.media_type is MediaType.IMAGE else _streams
    found = kept_if_larger(seeing(job, facts, limits, on_progress, samples), facts.file_size)
    out = Path(job.out_dir)
    disk = RealDisk()
    for name in disk.names(out):
        remove_tree(disk, out / name)
    (out / FILE_NAME).write_text(found.model_dump_json(), encoding="utf-8")
    return Report(item_id=job.item_id, attempt=job.attempt, kind="skipped", media_type=facts.media_type, reason=found.outcome)


def kept_if_larger(found: Estimate, file_size: int) -> Estimate:
    """`found` as it will end: the original stays where a result is expected to be larger and may not be."""
    expected = found.expected
    if found.outcome != "convert" or expected is None or not found.gated or expected.size <= file_size:
        return found
    about = "" if expected.basis == "encoded" else "about "
    reason = f"the result would be larger: {about}{in_bytes(expected.size)} instead of {in_bytes(file_size)}"
    return found.model_copy(update={"outcome": "kept-original", "reason": reason})


def read_estimate(out_dir: Path) -> Estimate:
    """What a worker wrote into its out folder; raises StillBroken for what is no estimate."""
    path = out_dir / FILE_NAME
    try:
        if os.lstat(path).st_size > _LARGEST:
            raise StillBroken("a worker said far too much about a file.")
        return Estimate.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as problem:
        raise StillBroken("a worker said nothing that can be understood about a file.") from problem


# --- Pictures ----------------------------------------------------------------------------------------------------------


def _picture(job: Job, facts: MediaFacts, limits: Limits, on_progress: OnProgress, samples: bool) -> Estimate:
    already = plan_picture(facts, job.conversion_type, job.options)
    loose = job.options.get("keep_if_larger") or job.options.get("strip_location")
    found = Estimate(
        outcome="skip" if already else "convert",
        reason=already or f"{facts.container} becomes {job.conversion_type}",
        media_type=facts.media_type,
        container=job.conversion_type,
        source_container=facts.container,
        gated=job.conversion_type in GATED_PICTURES and not loose,
        warnings=facts.warnings,
    )
    if already or not samples:
        return found
    began = time.monotonic()
    result, receipt = pictures.convert(job, limits, on_progress)
    if job.options.get("on_loss") == "refuse" and receipt.losses:
        words = {"outcome": "refuse", "reason": f"would be lost: {'; '.join(receipt.losses)}", "hint": "Allow it with on_loss = continue."}
        return found.model_copy(update=words)
    size, took = result.file_size, time.monotonic() - began
    return found.model_copy(update={"expected": Expectation(size=size, low=size, high=size, seconds=took, basis="encoded")})


# --- Video and sound ---------------------------------------------------------------------------------------------------


def _streams(job: Job, facts: MediaFacts, limits: Limits, on_progress: OnProgress, samples: bool) -> Estimate:
    stripped = bool(job.options.get("strip_location") and places.place_tags(facts))
    recipe = RECIPES[job.conversion_type]
    with alive(lambda: on_progress(0.0, None, None), patience_s(facts.file_size)):
        cut = cut_for(Path(job.original), facts, recipe, job.options, limits, job.label)
    made = plan(facts, recipe, job.options, sidecars=job.sidecars, rewrite=stripped, cut=cut)
    found = Estimate(
        outcome=made.outcome,
        reason=made.reason,
        hint=made.hint,
        media_type=facts.media_type,
        container=made.container,
        source_container=facts.container,
        gated=made.gated,
        streams=tuple(StreamDecision.model_validate(_fields(stream)) for stream in made.streams),
        warnings=made.warnings,
    )
    if made.outcome != "convert":
        return found
    if not any(stream.action == "encode" and (stream.video or stream.sound) for stream in made.streams):
        return found.model_copy(update={"expected": _copied(facts, cut)})
    part = facts if cut is None else within(facts, cut)
    return found.model_copy(update={"expected": _sampled(job, part, made, limits, on_progress) if samples else None})


def _fields(stream: Any) -> dict[str, Any]:
    return {name: value for name, value in asdict(stream).items() if name in StreamDecision.model_fields}


def _copied(facts: MediaFacts, cut: Cut | None) -> Expectation:
    """Packets untouched: as large as before, but for the container's own bytes; as fast as a disk and two passes of checking."""
    share = 1.0 if cut is None or not cut.whole or cut.length is None else float(cut.length / cut.whole)
    size = round(share * facts.file_size)
    return Expectation(size=size, low=round(0.9 * size), high=round(1.02 * size), seconds=size / _COPY_BYTES_PER_S, basis="copied")


def _sampled(job: Job, facts: MediaFacts, made: Plan, limits: Limits, on_progress: OnProgress) -> Expectation | None:
    windows = windows_of(facts.duration_s, _PIECE_S)
    if made.cut is not None and facts.duration_s is not None:  # The whole of a short cut ends before the file does.
        windows = [Window(window.start, min(window.end, facts.duration_s)) for window in windows]

    def tick(done: int) -> None:
        on_progress(done / len(windows), None, None)

    pieces = sample(Path(job.original), facts, made, limits, Path(job.out_dir), windows, tick, lambda: False, budget_s=_BUDGET_S)
    expected = expect(facts, made, pieces)
    return None if expected is None or not gate.is_sound(facts, pieces) else _as_told(expected)


def _as_told(expected: Expected) -> Expectation:
    return Expectation(
        size=expected.size,
        low=expected.low,
        high=expected.high,
        seconds=expected.seconds,
        basis="encoded" if expected.whole else "pieces",
        sampled_s=expected.sampled_s,
    )
