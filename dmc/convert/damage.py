"""Is the source whole? Tells damaged sources from clean ones, from what the index promises and what really decoded. Pure.

A source with decode errors or a missing tail is never called clean: its result carries warnings, and its report a reason. It is
refused as DamagedMedia when less than half of the promised length decoded, or more than half of a track's packets were bad: such a result
would be taken for the whole and is not. Lengths are believed only of containers with an index; MP3, MPEG-TS and their kind estimate.
Of those, what is seen of the file's end (ends.py) is told.
"""

from fractions import Fraction

from dmc.convert.facts import MediaFacts
from dmc.convert.plan import Plan
from dmc.convert.transcode import Transcoded
from dmc.errors import DamagedMedia

WITH_INDEX = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "asf", "flac", "wav", "w64", "aiff", "caf"})
LEAST_SHARE = Fraction(1, 2)
MISSING_S = 0.3
MISSING_SHARE = 0.002
"""A tail counts as missing when it is longer than this many seconds and than this share of the whole: what rounding and padding explain."""

_HINT = "Copy it again from where it came; what is left of it can be had with another program."


def damages(facts: MediaFacts, plan: Plan, done: Transcoded, name: str) -> list[str]:
    """What is wrong with the source, one sentence each, empty if it is clean; raises DamagedMedia when too little is left."""
    found: list[str] = []
    if done.read.errors:
        found.append(f"the source could not be read in {done.read.errors} places ({done.read.first_error})")
    for stream in plan.streams:
        if stream.type not in ("video", "audio") or stream.cover:
            continue
        made, there = done.made.get(stream.index), facts.streams[stream.index]
        if made is None:
            if not (there.decodable or there.empty):
                found.append(f"{stream.type} stream {stream.index} cannot be decoded at all and is not part of the result")
            continue
        span = made.span
        if span.errors > span.packets * LEAST_SHARE:
            raise DamagedMedia(f"{name}: {span.errors} of {span.packets} packets of the {stream.type} cannot be decoded.", _HINT)
        if span.errors:
            found.append(
                f"{span.errors} of {span.packets} packets of {stream.type} stream {stream.index} cannot be decoded ({span.first_error})"
            )
        if span.corrupt:
            found.append(f"{span.corrupt} frames of {stream.type} stream {stream.index} are marked as damaged")
    tail = _missing_tail(facts, plan, done, name)
    return found + ([tail] if tail else list(facts.warnings))


def _missing_tail(facts: MediaFacts, plan: Plan, done: Transcoded, name: str) -> str | None:
    promised = _promised_s(facts)
    spans = [done.made[s.index].span for s in plan.streams if s.index in done.made and s.type in ("video", "audio")]
    ends = [end - done.shift for end in (span.shown.end for span in spans) if end is not None]
    if not ends:
        raise DamagedMedia(f"{name}: nothing in it can be decoded.", _HINT)
    reached = float(max(ends))
    if promised is None or promised - reached <= max(MISSING_S, MISSING_SHARE * promised):
        return None
    said = f"the source promises {promised:.1f} s, but only {reached:.1f} s of it are there"
    if reached < promised * LEAST_SHARE:
        raise DamagedMedia(f"{name}: {said}.", _HINT)
    return said


def _promised_s(facts: MediaFacts) -> float | None:
    """How long the tracks last by the file's own index; None where that is only an estimate."""
    if facts.container not in WITH_INDEX:
        return None
    tracks = [s.duration_s for s in facts.streams if s.type in ("video", "audio") and not s.cover and s.decodable]
    known = [length for length in tracks if length is not None]
    if known:
        return max(known)
    if facts.duration_s is None or any(s.type not in ("video", "audio") for s in facts.streams):
        return None
    # Matroska says when it ends, not how long it lasts.
    return facts.duration_s - (facts.start_s or 0.0 if facts.container == "matroska,webm" else 0.0)
