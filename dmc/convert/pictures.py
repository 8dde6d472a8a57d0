"""Pictures, by Pillow: still ones and animated ones become WebP, AVIF, PNG or JPEG, with what belongs to them, verified and with a receipt.

Decisions stand in pictures_plan.py, tags in pictures_tags.py, the door in pictures_open.py, the comparison in pictures_check.py.
Here is the order: look → decide → write → read everything back. Nothing is written but the result.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import PIL
from PIL import Image

from dmc.conversions import MediaType
from dmc.convert.facts import MediaFacts
from dmc.convert.limits import Limits
from dmc.convert.pictures_check import Show, check_frames, check_likeness, sketch
from dmc.convert.pictures_frames import FrameFacts, Rest, Ticking, delays, digest, in_colours, shows_through, survey, upright, uses_profile
from dmc.convert.pictures_jpeg import room_for
from dmc.convert.pictures_open import format_name, frame_count, is_animated, look, open_picture, orientation_of, source_depth
from dmc.convert.pictures_plan import PicturePlan, Source, decide
from dmc.convert.pictures_tags import Fitting, Tags, collect
from dmc.convert.progress import OnProgress, alive
from dmc.convert.receipt import FileFacts, MetadataEntry, Receipt, StreamEntry, Verification
from dmc.errors import NotMedia, VerificationFailed
from dmc.files import sha512_of
from dmc.jobs import Job, ResultFacts

_RESULT = "result"
_SHARES = {"survey": (0.0, 0.2), "write": (0.2, 0.7), "check": (0.7, 1.0)}
"""Which part of the progress each step fills."""

_SLOWEST_S_PER_PIXEL = 10e-6
"""Lossless WebP on a small, busy machine."""


def probe(path: Path, limits: Limits) -> MediaFacts | None:
    """The facts of a picture; None if it is none that can be read here.

    Raises Unsupported for HEIC, TooLarge, DamagedMedia; an OSError of the disk passes through.
    """
    try:
        with open_picture(path, limits, path.name) as picture:
            return look(picture, path)
    except NotMedia:
        return None


def convert(job: Job, limits: Limits, on_progress: OnProgress, show: Show | None = None) -> tuple[ResultFacts, Receipt]:
    """Make the result of `job` in its out folder and say what became of everything; whether it is worth keeping is the caller's.

    `show` gets the first frame of the result.
    Raises NotMedia, DamagedMedia, TooLarge, Unsupported, VerificationFailed; an OSError of the disk passes through.
    """
    return _Conversion(job, limits, on_progress, show).run()


@dataclass(slots=True)
class _Seen:
    """What the first look at the source found."""

    facts: MediaFacts
    frames: list[FrameFacts]
    first: int
    orientation: int
    tags: Tags
    plan: PicturePlan


class _Conversion:
    """One picture under way."""

    def __init__(self, job: Job, limits: Limits, on_progress: OnProgress, show: Show | None) -> None:
        self._job = job
        self._show = show
        self._limits = limits
        self._on_progress = on_progress
        self._source = Path(job.original)
        self._began = time.monotonic()
        self._reached = 0.0

    def run(self) -> tuple[ResultFacts, Receipt]:
        with open_picture(self._source, self._limits, self._job.label) as picture:
            seen = self._look(picture)
            target = Path(self._job.out_dir) / f"{_RESULT}{seen.plan.target.extension}"
            fitting = Fitting(
                seen.tags, seen.plan.target, seen.plan.mode, profile_was_used=uses_profile(seen.facts.mode or "", seen.tags.icc)
            )
            with self._anew(picture, seen.first, len(seen.frames) > 1) as again:
                self._write(again, seen, fitting, target)
            began = time.monotonic()
            with self._anew(picture, seen.first, len(seen.frames) > 1) as again:
                merged, entries, container = self._check(again, seen, fitting, target)
        result = ResultFacts(file_name=target.name, file_size=target.stat().st_size, sha512_checksum=sha512_of(target))
        check = self._verification(seen, merged, result, time.monotonic() - began)
        return result, self._receipt(seen, result, check, [*entries, *_animation_entries(seen, merged)], container)

    @contextmanager
    def _anew(self, picture: Image.Image, first: int, animated: bool) -> Iterator[Image.Image]:
        """The source at its first frame, loaded. An animation is opened anew: not all of Pillow's readers go backwards right."""
        if not animated:
            yield picture
            return
        with open_picture(self._source, self._limits, self._job.label) as again:
            again.seek(first)
            again.load()
            yield again

    # --- look ------------------------------------------------------------------------------------------------------

    def _look(self, picture: Image.Image) -> _Seen:
        """Facts, every frame decoded once, tags, and the plan made of them."""
        depth = source_depth(picture, self._source)  # before anything loads it
        facts = look(picture, self._source)
        animated = is_animated(picture)
        hidden = 1 if animated and picture.info.get("default_image") else 0  # an APNG's stand-in for viewers that know no animation
        picture.seek(hidden)
        picture.load()
        orientation = orientation_of(picture)
        with self._anew(picture, hidden, animated) as again:
            # Some formats tell of the turn only before loading (Pillow makes it then), some only after.
            tags = collect(again, facts.orientation if facts.orientation not in (None, 1) else orientation)
        gone = tags.strip_places() if self._job.options.get("strip_location") else []
        frames = self._survey(picture, hidden, orientation, animated)
        source = Source(
            mode=facts.mode or picture.mode,
            depth=depth,
            alpha=any(frame.alpha for frame in frames),
            frames=len(frames),
            plays=_plays(facts.container, tags.loop),
            extra_pictures=hidden if animated else frame_count(picture) - 1,
            size=upright(picture, orientation).size,
            has_icc=tags.icc is not None,
        )
        plan = decide(source, self._job.conversion_type, self._job.label)
        return _Seen(facts, frames, hidden, orientation, tags, replace(plan, entries=(*plan.entries, *gone)))

    def _survey(self, picture: Image.Image, first: int, orientation: int, animated: bool) -> list[FrameFacts]:
        if not animated:
            return [FrameFacts(0.0, shows_through(picture), b"")]
        total = frame_count(picture)
        every = survey(picture, first, orientation, lambda number: self._tick("survey", number + 1, total), digests=True, sketch=sketch)
        return list(every)

    # --- write -----------------------------------------------------------------------------------------------------

    def _write(self, picture: Image.Image, seen: _Seen, fitting: Fitting, target: Path) -> None:
        plan = seen.plan

        def make(frame: Image.Image) -> Image.Image:
            return in_colours(upright(frame, seen.orientation), plan, seen.tags.icc)

        first = make(picture)
        if plan.frames > 1 and first is picture:
            first = picture.copy()  # one frame, where the source itself would be all of them
        settings: dict[str, Any] = {**plan.target.settings, **fitting.arguments}
        if plan.target.name == "webp":
            settings |= {"lossless": plan.lossless, "exact": plan.lossless}
        if plan.target.name == "avif" and self._limits.encoder_threads:
            settings["max_threads"] = self._limits.encoder_threads
        total = frame_count(picture)
        if plan.frames > 1:
            rest = Rest(picture, seen.first + 1, make, lambda number: self._tick("write", number + 1, total))
            settings |= {
                "save_all": True,
                "append_images": [rest],
                "loop": _plays(seen.facts.container, seen.tags.loop),
                "duration": delays(seen.frames, plan),
            }
            settings |= {"disposal": 0, "blend": 0, "default_image": False} if plan.target.name == "png" else {}
        patience = _SLOWEST_S_PER_PIXEL * first.width * first.height * plan.frames + 60.0
        living = alive(lambda: self._on_progress(self._reached, None, None), patience)
        with target.open("xb") as file, living, room_for(first, plan.target.name):
            first.save(Ticking(file, lambda: self._tick("write", 1, 2)), format=plan.target.pillow, **settings)
        self._tick("write", 1, 1)

    # --- check -----------------------------------------------------------------------------------------------------

    def _check(self, picture: Image.Image, seen: _Seen, fitting: Fitting, target: Path) -> tuple[int, list[MetadataEntry], str]:
        """Decode the result as a stranger would; gives merged frames, what became of the tags, and the result's format."""
        plan = seen.plan
        try:
            with open_picture(target, self._limits, "the result") as result:
                total = frame_count(result)
                far = None if plan.lossless or plan.frames == 1 else sketch
                every = survey(result, 0, 1, lambda number: self._tick("check", number + 1, total), digests=plan.lossless, sketch=far)
                found = list(every)
                result.seek(0)
                result.load()
                wanted = in_colours(upright(picture, seen.orientation), plan, seen.tags.icc)
                check_likeness(wanted, result, self._show)
                expected = self._expected(seen, wanted)
                merged = check_frames(expected, found, pixels=plan.lossless)
                return merged, [*plan.entries, *fitting.read_back(result)], format_name(result)
        except NotMedia as problem:
            raise VerificationFailed("the result cannot be read.") from problem

    def _expected(self, seen: _Seen, wanted: Image.Image) -> list[FrameFacts]:
        """The frames that the result must show; a still picture's digest is only made where it is compared."""
        if seen.plan.frames > 1:
            return seen.frames
        shown = digest(wanted) if seen.plan.lossless else b""
        return [FrameFacts(0.0, False, shown)]

    def _verification(self, seen: _Seen, merged: int, result: ResultFacts, took_s: float) -> Verification:
        length_s = sum(frame.delay_ms for frame in seen.frames[: seen.plan.frames]) / 1000 if seen.plan.frames > 1 else 0.0
        return Verification(
            passed=True,
            decoded_frames=seen.plan.frames - merged,
            decoded_s=length_s,
            source_frames=len(seen.frames),
            source_s=sum(frame.delay_ms for frame in seen.frames) / 1000,
            drift_s=0.0,
            errors_in_source=0,
            sha512=result.sha512_checksum,
            took_s=took_s,
        )

    # --- receipt ---------------------------------------------------------------------------------------------------

    def _receipt(self, seen: _Seen, result: ResultFacts, check: Verification, entries: list[MetadataEntry], container: str) -> Receipt:
        facts = seen.facts
        image = MediaType.IMAGE.value
        return Receipt(
            conversion_type=self._job.conversion_type,
            options=self._job.options,
            outcome="converted",
            source=FileFacts(
                file_name=self._job.label,
                file_size=facts.file_size,
                sha512=self._job.sha512_checksum,
                container=facts.container,
                media_type=image,
                duration_s=check.source_s or None,
                **({} if self._job.options.get("strip_location") else {"latitude": facts.latitude, "longitude": facts.longitude}),
                recorded_at=facts.recorded_at,
            ),
            result=FileFacts(
                file_name=result.file_name,
                file_size=result.file_size,
                sha512=result.sha512_checksum,
                container=container,
                media_type=image,
                duration_s=check.decoded_s or None,
            ),
            streams=(_picture_entry(seen),),
            metadata=tuple(entries),
            verification=check,
            took_s=time.monotonic() - self._began,
            made_with=f"Pillow {PIL.__version__}",
        )

    def _tick(self, step: str, done: int, total: int) -> None:
        low, high = _SHARES[step]
        self._reached = max(self._reached, low + (high - low) * min(1.0, done / max(1, total)))
        self._on_progress(self._reached, None, None)


def _picture_entry(seen: _Seen) -> StreamEntry:
    plan, facts = seen.plan, seen.facts
    how = "without loss" if plan.lossless else f"quality {plan.target.settings['quality']}"
    return StreamEntry(
        index=0,
        type="picture",
        codec=facts.container,
        action="encode",
        outcome="changed",
        reason=f"{facts.container} becomes {plan.target.title}, {how}",
        before={
            "width": facts.width,
            "height": facts.height,
            "frames": len(seen.frames),
            "mode": facts.mode,
            "orientation": facts.orientation,
        },
        after={"frames": plan.frames, "mode": plan.mode, "lossless": plan.lossless, "orientation": 1},
    )


def _animation_entries(seen: _Seen, merged: int) -> list[MetadataEntry]:
    if seen.plan.frames <= 1:
        return []
    total = sum(frame.delay_ms for frame in seen.frames) / 1000
    detail = f"{len(seen.frames)} frames, {total:.2f} s, each shown as long as before"
    if merged:
        detail += f"; {merged} that repeat the one before became part of it"
    return [MetadataEntry(kind="animation", outcome="kept", detail=detail)]


def _plays(container: str, loop: int | None) -> int:
    """How often an animation plays, 0 for ever. GIF counts repetitions (none said: it plays once), WebP and PNG count plays."""
    if container != "gif":
        return loop or 0
    return 1 if loop is None else loop + 1 if loop else 0
