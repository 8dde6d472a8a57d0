"""One conversion from beginning to end: probe → plan → transcode → verify → receipt → report.

Bad input never raises here: it becomes a Report of kind failed or unavailable. Only what nobody foresaw passes through, to
worker.py, the last defence. Nothing is left in the output folder but a verified result and the receipt.

What needs Pillow is imported where it is met: 30 ms and 5 MB that a film alone has no use for. A fork server has imported it before.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dmc.conversions import MediaType, check_fits, check_options, find_conversion
from dmc.convert import compare, damage, encoders, gate, places
from dmc.convert.cut import within
from dmc.convert.expect import expect
from dmc.convert.facts import MediaFacts
from dmc.convert.heap import keep_large_buffers
from dmc.convert.keys import cut_for
from dmc.convert.limits import Limits
from dmc.convert.plan import Plan, plan
from dmc.convert.probe import probe
from dmc.convert.progress import Meter, OnProgress, alive, patience_s
from dmc.convert.receipt import FileFacts, Receipt, in_bytes, write_receipt
from dmc.convert.recipes import GATED_PICTURES, RECIPES
from dmc.convert.release import only_what_is_new, release
from dmc.convert.sample import sample
from dmc.convert.stopwatch import Stopwatch
from dmc.convert.transcode import Transcoded, transcode
from dmc.convert.verify import verify
from dmc.errors import BadRequest, Cancelled, DmcError, LossRefused, Unavailable, Unsupported
from dmc.files import RealDisk, remove_tree, translate
from dmc.jobs import ErrorNote, Job, MadeFile, Report, ResultFacts

if TYPE_CHECKING:
    from dmc.convert.gallery import Gallery

Stop = Callable[[], bool]
_RESULT = "result"


def convert(job: Job, limits: Limits, on_progress: OnProgress, stop: Stop | None = None) -> Report:
    """Do `job`; the one Report of it. Everything that it names in out_dir is complete and verified; whoever takes it over syncs it.

    `stop` is asked often; when it says yes, the output is removed and the report is of kind cancelled.
    """
    work = _Work(job, limits, on_progress, stop or (lambda: False))
    try:
        return work.run()
    except Cancelled as problem:
        return work.failed("cancelled", problem)
    except Unavailable as problem:
        return work.failed("unavailable", problem)
    except DmcError as problem:
        return work.failed("failed", problem)
    except OSError as problem:
        said = translate(problem, f"converting {job.label}")
        return work.failed("unavailable" if isinstance(said, Unavailable) else "failed", said)


class _Work:
    """One job under way."""

    def __init__(self, job: Job, limits: Limits, on_progress: OnProgress, stop: Stop) -> None:
        self._job = job
        self._limits = limits
        self._on_progress = on_progress
        self._stop = stop
        self._source = Path(job.original)
        self._out = Path(job.out_dir)
        self._watch = Stopwatch()
        self._facts: MediaFacts | None = None
        self._gallery = _gallery() if job.previews else None

    def run(self) -> Report:
        with self._watch, only_what_is_new():
            return self._run()

    def _run(self) -> Report:
        kind = find_conversion(self._job.conversion_type)
        check_options(kind.name, self._job.options)
        facts = self._facts = probe(self._source, self._limits, self._job.label)
        check_fits(kind, facts.media_type)
        report = self._picture(facts) if facts.media_type is MediaType.IMAGE else self._streams(facts)
        self._on_progress(1.0, None, 0.0)
        return report

    def _worked(self) -> float:
        return self._watch.seconds

    def failed(self, kind: str, problem: DmcError) -> Report:
        """A report of what went wrong, with the output folder emptied."""
        self._empty_out()
        note = ErrorNote(code=problem.code, message=problem.message, hint=problem.hint)
        return Report.model_validate({**self._common(kind), "errors": (note,)})

    # --- Pictures --------------------------------------------------------------------------------------------------

    def _picture(self, facts: MediaFacts) -> Report:
        from dmc.convert import pictures
        from dmc.convert.pictures_check import damage_of
        from dmc.convert.pictures_plan import plan_picture

        already = plan_picture(facts, self._job.conversion_type, self._job.options)
        if already is not None:
            damage = damage_of(self._source, self._limits, self._job.label, lambda: self._on_progress(0.0, None, None))
            flaws = (*facts.warnings, *([damage] if damage else []))
            why = "; ".join([already, *flaws])
            return self._skipped(facts, Plan("skip", why, self._job.conversion_type, facts.container, warnings=flaws))
        keep_large_buffers()
        show = self._gallery.picture if self._gallery else None
        result, receipt = pictures.convert(self._job, self._limits, self._on_progress, show)
        told = {"took_s": self._watch.seconds, "reason": "; ".join(facts.warnings) or None, "warnings": facts.warnings}
        receipt = receipt.model_copy(update=told)
        if self._job.options.get("on_loss") == "refuse" and receipt.losses:
            raise LossRefused(f"{self._job.label}: would be lost: {'; '.join(receipt.losses)}.", "Allow it with on_loss = continue.")
        gated = self._job.conversion_type in GATED_PICTURES and not (
            self._job.options.get("keep_if_larger") or self._job.options.get("strip_location")
        )
        if gated and result.file_size > self._job.file_size:
            return self._kept_original(receipt, result.file_size, facts)
        write_receipt(self._out, receipt)
        container = receipt.result.container if receipt.result is not None else facts.container
        after = replace(facts, container=container, duration_s=receipt.verification.decoded_s or None if receipt.verification else None)
        self._leave_products(self._out / result.file_name, after, facts)
        return self._converted(result, receipt)

    # --- Video and sound -------------------------------------------------------------------------------------------

    def _streams(self, facts: MediaFacts) -> Report:
        release()  # The container of the probe.
        stripped = places.place_tags(facts) if self._job.options.get("strip_location") else []
        if stripped:
            facts = places.without_places(facts)
        made = self._plan(facts, rewrite=bool(stripped))
        if made.outcome == "skip":
            return self._skipped(facts, made)
        target = self._out / f"{_RESULT}.{made.container}"
        part = facts if made.cut is None else within(facts, made.cut)
        meter = Meter(self._on_progress, part.duration_s)
        no_gain = self._no_gain(facts, made, meter)
        if no_gain is not None:
            return self._left_alone(facts, made, no_gain)
        brake = gate.Brake(self._stop, target, self._job.file_size if made.gated else None)
        try:
            done = self._transcode(target, part, made, meter, brake)
        except Cancelled:
            if not brake.pulled:
                raise
            most = in_bytes(self._job.file_size)
            return self._left_alone(facts, made, f"the result would be larger: it had outgrown the {most} of its source before its end")
        self._check_reach(made, done)
        damage.damages(part, made, done, self._job.label)  # Before the long check: a source with too little left ends here.
        watch = self._gallery.watch if self._gallery else None
        check, after = verify(self._source, target, done, made, self._limits, meter.verified, watch, self._worked)
        beside = done.sidecars.check(made.streams, self._limits) if done.sidecars is not None else ()
        damages = damage.damages(part, made, done, self._job.label)  # Now with the errors of copied streams, which verify decoded.
        size = target.stat().st_size
        receipt = self._receipt("converted", facts, made).model_copy(
            update={
                "result": FileFacts(
                    file_name=target.name,
                    file_size=size,
                    sha512=check.sha512,
                    container=after.container,
                    media_type=after.media_type.value,
                    duration_s=after.duration_s,
                ),
                "reason": "; ".join(damages) or None,
                "streams": tuple(compare.stream_entries(made, part, after, done)),
                "sidecars": beside,
                "metadata": (
                    *compare.metadata_entries(part, after, made, done),
                    *([] if made.cut is None else [compare.length_entry(made.cut, check.decoded_s)]),
                    *([places.removed(", ".join(stripped))] if stripped else []),
                ),
                "verification": check,
                "warnings": tuple(dict.fromkeys([*damages, *compare.hidden_notes(made, done), *made.warnings])),
            }
        )
        if self._job.options.get("on_loss") == "refuse" and any(m.outcome == "lost" for m in receipt.metadata):
            raise LossRefused(f"{self._job.label}: would be lost: {'; '.join(receipt.losses)}.", "Allow it with on_loss = continue.")
        if made.gated and size > self._job.file_size:
            return self._kept_original(receipt, size, facts)
        with alive(lambda: meter.transcoded(None), patience_s(size)):
            RealDisk().sync_file(target)  # A film may take long, and whoever takes it over has others to wait for.
        write_receipt(self._out, receipt)
        self._leave_products(target, after, facts)
        return self._converted(ResultFacts(file_name=target.name, file_size=size, sha512_checksum=check.sha512), receipt)

    def _transcode(self, target: Path, part: MediaFacts, made: Plan, meter: Meter, brake: gate.Brake) -> Transcoded:
        """Write the result; its encoders are gone before the check begins."""
        done = transcode(self._source, target, part, made, self._limits, meter.transcoded, brake, self._job.label)
        release()
        return done

    def _plan(self, facts: MediaFacts, *, rewrite: bool) -> Plan:
        job, recipe = self._job, RECIPES[self._job.conversion_type]
        with alive(lambda: self._on_progress(0.0, None, None), patience_s(facts.file_size)):
            cut = cut_for(self._source, facts, recipe, job.options, self._limits, job.label)
        made = plan(facts, recipe, job.options, sidecars=job.sidecars, rewrite=rewrite, cut=cut)
        if made.outcome == "refuse":
            family = LossRefused if made.code == "LossRefused" else Unsupported
            raise family(f"{job.label}: {made.reason}.", made.hint)
        return made

    def _check_reach(self, made: Plan, done: Transcoded) -> None:
        """Refuse a cut that begins where nothing is, of a source that does not say how long it is, or says it wrongly."""
        if made.cut is not None and not any(lane.written for lane in done.made.values()):
            said = f"{self._job.label}: there is nothing {made.cut.said}."
            raise BadRequest(said, "Choose a start before the end of the file.")

    def _no_gain(self, facts: MediaFacts, made: Plan, meter: Meter) -> str | None:
        """Why converting would gain nothing, found out by pieces of a source that is lean already."""
        windows = gate.pieces_to_try(facts, made)
        if not windows:
            return None
        pieces = sample(self._source, facts, made, self._limits, self._out, windows, lambda _: meter.transcoded(None), self._stop)
        return gate.why_no_gain(facts, pieces, expect(facts, made, pieces))

    # --- Ends ------------------------------------------------------------------------------------------------------

    def _converted(self, result: ResultFacts, receipt: Receipt) -> Report:
        beside = tuple(MadeFile(file_name=s.file_name, file_size=s.file_size, sha512_checksum=s.sha512) for s in receipt.sidecars)
        result = result.model_copy(update={"sidecars": beside})
        return Report.model_validate({**self._common("converted"), "result": result, "reason": receipt.reason})

    def _kept_original(self, receipt: Receipt, size: int, facts: MediaFacts) -> Report:
        larger = f"the result would be larger: {in_bytes(size)} instead of {in_bytes(self._job.file_size)}"
        reason = "; ".join([larger, *([receipt.reason] if receipt.reason else [])])
        self._empty_out()
        kept = receipt.model_copy(update={"outcome": "kept-original", "reason": reason, "result": None, "sidecars": ()})
        write_receipt(self._out, kept)
        self._leave_products(self._source, facts, facts)
        return Report.model_validate({**self._common("kept-original"), "reason": reason})

    def _left_alone(self, facts: MediaFacts, made: Plan, reason: str) -> Report:
        """Kept as it is, without a result that could be measured."""
        reason = "; ".join([reason, *facts.warnings])
        self._empty_out()
        entries = {"reason": reason, "streams": tuple(compare.untouched_entries(facts))}
        write_receipt(self._out, self._receipt("kept-original", facts, made).model_copy(update=entries))
        self._leave_products(self._source, facts, facts)
        return Report.model_validate({**self._common("kept-original"), "reason": reason})

    def _skipped(self, facts: MediaFacts, made: Plan) -> Report:
        entries = {"reason": made.reason, "streams": tuple(compare.untouched_entries(facts))}
        write_receipt(self._out, self._receipt("skipped", facts, made).model_copy(update=entries))
        self._leave_products(self._source, facts, facts)
        return Report.model_validate({**self._common("skipped"), "reason": made.reason})

    def _leave_products(self, file: Path, facts: MediaFacts, origin: MediaFacts) -> None:
        """Facts and previews of `file`; where it was recorded only if that may be known."""
        if self._gallery is None:
            return
        from dmc.convert.previews import leave_products

        if self._job.options.get("strip_location"):
            origin = places.without_places(origin)
        leave_products(self._out, self._gallery, file, facts, origin, self._limits)

    def _receipt(self, outcome: str, facts: MediaFacts, made: Plan) -> Receipt:
        return Receipt.model_validate(
            {
                "conversion_type": self._job.conversion_type,
                "options": self._job.options,
                "outcome": outcome,
                "source": FileFacts(
                    file_name=self._job.label,
                    file_size=facts.file_size,
                    sha512=self._job.sha512_checksum,
                    container=facts.container,
                    media_type=facts.media_type.value,
                    duration_s=facts.duration_s,
                    recorded_at=facts.recorded_at,
                    latitude=facts.latitude,
                    longitude=facts.longitude,
                ),
                "warnings": made.warnings,
                "took_s": self._watch.seconds,
                "made_with": encoders.versions(),
            }
        )

    def _common(self, kind: str) -> dict[str, object]:
        media_type = self._facts.media_type if self._facts is not None else None
        return {"item_id": self._job.item_id, "attempt": self._job.attempt, "kind": kind, "media_type": media_type}

    def _empty_out(self) -> None:
        disk = RealDisk()
        for name in disk.names(self._out):
            remove_tree(disk, self._out / name)


def _gallery() -> "Gallery":
    from dmc.convert.gallery import Gallery

    return Gallery()
