"""Is the result right? Decodes all of it and compares it with what really decoded from the source.

Checked are: every stream that was planned is there, in the codec that was planned; not one picture more or less; sound as long
as it was; starts and ends of the streams against each other, within one frame; no decode error that the source had not.
"""

import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from dmc.convert.decoder import Decoder, Span
from dmc.convert.facts import MediaFacts
from dmc.convert.lanes import Made
from dmc.convert.limits import Limits
from dmc.convert.media import Decoded, Watch, open_media, packets
from dmc.convert.plan import Plan, StreamPlan
from dmc.convert.probe import probe
from dmc.convert.progress import alive, patience_s
from dmc.convert.receipt import Verification
from dmc.convert.transcode import Transcoded
from dmc.errors import Cancelled, DmcError, VerificationFailed
from dmc.files import sha512_of

SOUND_FRAME = Fraction(1, 20)
"""Seconds; the frame of most sound codecs, with its padding, is shorter. At low sample rates it is longer, see `_frame_of`."""

ROUNDING = Fraction(2, 1000)
"""Seconds; containers with a clock of milliseconds round twice."""

ENCODED_AS = {
    "libx264": "h264",
    "libx265": "hevc",
    "libvpx-vp9": "vp9",
    "libsvtav1": "av1",
    "libopus": "opus",
    "libmp3lame": "mp3",
    "aac": "aac",
    "flac": "flac",
}


Tick = Callable[[float], None]
Track = tuple[StreamPlan, Made, Span]


def decode_all(path: Path, limits: Limits, wanted: set[int], tick: Tick | None = None, watch: Watch | None = None) -> dict[int, Span]:
    """Decode the tracks of `path` that are `wanted` to the end; what came out of each, by index. `watch` sees every frame."""
    with open_media(path, limits) as media:
        tracks = [s for s in media.streams if s.type in ("video", "audio") and s.index in wanted]
        decoders = {s.index: Decoder(s) for s in tracks}
        for packet in packets(media, tracks):
            decoder = decoders[packet.stream_index]
            frames = decoder.decode(packet)
            if frames and tick is not None and decoder.span.shown.last is not None:
                tick(float(decoder.span.shown.last))
            if watch is not None:
                _show(decoder, frames, watch)
        for decoder in decoders.values():
            frames = decoder.decode(None)
            if watch is not None:
                _show(decoder, frames, watch)
        return {index: decoder.span for index, decoder in decoders.items()}


def _show(decoder: Decoder, frames: list[Decoded], watch: Watch) -> None:
    for frame in frames:
        watch(decoder.stream, frame)


def verify(
    source: Path,
    target: Path,
    done: Transcoded,
    plan: Plan,
    limits: Limits,
    tick: Tick,
    watch: Watch | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Verification, MediaFacts]:
    """Check `target`; raises VerificationFailed with the first thing that is wrong. `watch` sees every frame of it."""
    began = clock()
    try:
        after = probe(target, limits, "the result")
        done.targets.update(_beside(plan, done, after))
        found = decode_all(target, limits, set(done.targets.values()), tick, watch)
    except Cancelled:
        raise
    except DmcError as problem:
        raise VerificationFailed(f"the result cannot be read back: {problem.message}", "The original was kept.") from problem
    _check_streams(plan, done, after)
    tracks = [(p, done.made[p.index], found.get(done.targets[p.index], Span())) for p in plan.streams if _is_track(p, done)]
    if plan.cut is not None:  # A track may have nothing where the others have much.
        tracks = [(stream, made, span) for stream, made, span in tracks if made.written or span.packets]
    for stream, _made, span in tracks:
        if span.frames == 0:
            raise _wrong(f"nothing decodes from {stream.type} stream {stream.index}")
    _check_errors(source, limits, tracks, is_cut=plan.cut is not None)
    for track in tracks:
        _check_count(*track)
    drift = _check_times(tracks)
    with alive(lambda: tick(0.0), patience_s(after.file_size)):
        digest = sha512_of(target)
    return _summary(tracks, drift, digest, clock() - began), after


def _beside(plan: Plan, done: Transcoded, after: MediaFacts) -> dict[int, int]:
    """Where covers and attachments ended up: in their order, but among streams that the muxer added itself (titles of chapters)."""
    found: dict[int, int] = {}
    for is_cover in (True, False):
        wanted = [s.index for s in plan.streams if s.index in done.targets and (s.cover if is_cover else s.type == "attachment")]
        there = [s.index for s in after.streams if (s.cover if is_cover else s.type == "attachment")]
        found.update(zip(wanted, there, strict=False))
    return found


def _is_track(stream: StreamPlan, done: Transcoded) -> bool:
    return stream.index in done.made and stream.type in ("video", "audio")


def _wrong(what: str) -> VerificationFailed:
    return VerificationFailed(
        f"the result did not pass its checks: {what}.", "The original was kept; please report this, with the receipt of dmc probe."
    )


def _check_streams(plan: Plan, done: Transcoded, after: MediaFacts) -> None:
    """Is every planned stream there, as what was planned?"""
    for stream in plan.streams:
        if stream.index not in done.targets:
            continue
        index = done.targets[stream.index]
        if index >= len(after.streams):
            raise _wrong(f"{stream.type} stream {stream.index} is missing")
        there = after.streams[index]
        wanted = _codec_of(stream)
        if wanted is not None and there.codec != wanted:
            raise _wrong(f"{stream.type} stream {stream.index} is {there.codec}, not {wanted}")


def _codec_of(stream: StreamPlan) -> str | None:
    if stream.video is not None:
        return ENCODED_AS[stream.video.encoder]
    if stream.sound is not None:
        return ENCODED_AS[stream.sound.encoder]
    return stream.text or stream.codec


def _check_errors(source: Path, limits: Limits, tracks: list[Track], *, is_cut: bool) -> None:
    """Decode errors in the result are right only in copied streams, and only as many as the source has; of a cut its own are told."""
    faulty = [(stream, made, span) for stream, made, span in tracks if span.errors]
    for stream, made, span in faulty:
        if not made.copied:
            raise _wrong(f"{span.errors} packets of {stream.type} stream {stream.index} do not decode ({span.first_error})")
    if not faulty:
        return
    before = decode_all(source, limits, {stream.index for stream, _made, _span in faulty})
    for stream, made, span in faulty:
        known = before[stream.index]
        if span.errors > known.errors:
            raise _wrong(f"{span.errors} packets of {stream.type} stream {stream.index} do not decode, {known.errors} in the source")
        told = span if is_cut else known
        made.span.errors, made.span.first_error = told.errors, told.first_error


def _check_count(stream: StreamPlan, made: Made, span: Span) -> None:
    """As many pictures as were written, as much sound as there was, as many packets as were copied."""
    if made.copied:
        if span.packets != made.written:
            raise _wrong(f"{made.written} packets of stream {stream.index} were copied, {span.packets} are there")
        return
    if stream.type == "video":
        if not made.written == span.frames == made.span.frames:
            raise _wrong(
                f"{made.span.frames} pictures of stream {stream.index} were decoded, {made.written} written, {span.frames} are there"
            )
        return
    if abs(span.seconds - made.span.seconds) > _frame_of(made.span, span):
        raise _wrong(f"sound stream {stream.index} lasted {float(made.span.seconds):.3f} s, now {float(span.seconds):.3f} s")


def _check_times(tracks: list[Track]) -> Fraction:
    """Start and end of every track against the first one, before and after; returns the largest difference in seconds."""
    timed = sorted(tracks, key=lambda track: track[0].type != "video")
    if not timed:
        return Fraction(0)
    first, made0, span0 = timed[0]
    origin, largest = _ends(first, span0, made0)[0] - _ends(first, made0.span, made0)[0], Fraction(0)
    for stream, made, span in timed:
        before, after = _ends(stream, made.span, made), _ends(stream, span, made)
        drift = max(abs(now - then - origin) for then, now in zip(before, after, strict=True))
        if drift > _allowed(stream, made.span, span):
            raise _wrong(f"{stream.type} stream {stream.index} moved by {1000 * float(drift):.0f} ms against the others")
        largest = max(largest, drift)
    return largest


def _ends(stream: StreamPlan, span: Span, made: Made) -> tuple[Fraction, Fraction]:
    """Where a track begins and ends. Of pictures the end is when the last one begins: containers disagree about how long it is shown."""
    if made.copied:
        first, last = span.coded.start, span.coded.last
    else:
        first, last = span.shown.start, span.shown.last if stream.type == "video" else span.shown.end
    return first or Fraction(0), last or Fraction(0)


def _allowed(stream: StreamPlan, before: Span, after: Span) -> Fraction:
    if stream.type == "audio":
        return _frame_of(before, after) + ROUNDING
    pictures = before.frames or before.packets
    return max(ROUNDING, before.seconds / pictures if pictures else Fraction(0)) + ROUNDING


def _frame_of(before: Span, after: Span) -> Fraction:
    """The longer of the sound frames of source and result, in seconds."""
    lengths = [Fraction(s.samples, s.sample_rate * s.frames) for s in (before, after) if s.sample_rate and s.frames]
    return max([SOUND_FRAME, *lengths])


def _summary(tracks: list[Track], drift: Fraction, digest: str, took_s: float) -> Verification:
    """What was counted: pictures if there are any, else frames of sound."""
    kind = "video" if any(p.type == "video" for p, _made, _span in tracks) else "audio"
    main = [(made, span) for p, made, span in tracks if p.type == kind]
    decoded = sum(span.frames for _made, span in main)
    copied = all(made.copied for made, _span in main)
    return Verification(
        passed=True,
        decoded_frames=decoded,
        decoded_s=max((float(span.seconds) for _p, _made, span in tracks), default=0.0),
        source_frames=decoded if copied else sum(made.span.frames for made, _span in main),
        source_s=max((float(made.span.seconds) for _p, made, _span in tracks), default=0.0),
        drift_s=float(drift),
        errors_in_source=sum(made.span.errors for _p, made, _span in tracks),
        sha512=digest,
        took_s=took_s,
    )
