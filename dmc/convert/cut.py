"""The part of a source that shall be converted, from `start` to `end`: what it means for this very file. Pure.

Where pictures and sound are encoded the cut is exact: the first picture is the one that is shown at the start, sound begins at the
sample. Copied packets can only be cut between packets: pictures at the key picture at or before the start, and then everything else
there too, so that nothing moves against anything else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import lcm
from typing import Any

from dmc.convert.facts import ChapterFacts, MediaFacts, StreamFacts
from dmc.convert.timecode import moved
from dmc.errors import BadRequest
from dmc.options import seconds_of

SNAP = Fraction(1, 1000)
"""Seconds: a picture that begins so little after a moment counts as shown at it, since people write times with three digits."""

_FINEST, _COARSEST, _USUAL = 1_000_000, 1000, 90_000


@dataclass(frozen=True, slots=True)
class Cut:
    """What is kept, in seconds from the source's beginning; no `end`: all the rest. `asked`: the start that was asked for.

    `zero` is what the source's clock says at its beginning, `key` what it says at the key picture from which pictures must be read,
    `whole` how long the source lasts, where that is known, `begin` where reading begins, if not at the source's beginning.
    """

    start: Fraction
    end: Fraction | None
    asked: Fraction
    zero: Fraction = Fraction(0)
    key: Fraction | None = None
    whole: Fraction | None = None
    begin: Fraction | None = None

    @property
    def first(self) -> Fraction:
        """The start on the source's clock."""
        return self.zero + self.start

    @property
    def last(self) -> Fraction | None:
        """The end on the source's clock."""
        return None if self.end is None else self.zero + self.end

    @property
    def length(self) -> Fraction | None:
        """How long the result will be."""
        ends = [end for end in (self.end, self.whole) if end is not None]
        return max(Fraction(0), min(ends) - self.start) if ends else None

    def at_key(self) -> "Cut":
        """This cut for packets that are copied: it begins at the key picture."""
        return self if self.key is None else replace(self, start=max(Fraction(0), self.key - self.zero))

    def clock(self, base: Fraction | None) -> Fraction:
        """A time base that has both the source's times and the start, or nearly."""
        least = lcm((base or Fraction(1, _USUAL)).denominator, self.first.denominator)
        return Fraction(1, least if _COARSEST <= least <= _FINEST else _USUAL)

    @property
    def said(self) -> str:
        """`from 10.000 s to 22.000 s`."""
        return f"from {float(self.start):.3f} s to " + ("the end" if self.end is None else f"{float(self.end):.3f} s")

    def told(self, kept_s: float) -> str:
        """What became of the length, with numbers, for the receipt."""
        whole = "" if self.whole is None else f" of {float(self.whole):.1f} s"
        kept_s = kept_s if self.whole is None else min(kept_s, float(self.whole))  # Of the last picture nobody knows how long it is shown.
        told = f"kept {kept_s:.1f} s{whole}, {self.said}"
        if self.start != self.asked:
            early = float(self.asked - self.start)
            told += f"; copied pictures can only begin at a key picture, {early:.3f} s before the start that was asked for"
        return told if self.begin is None else f"{told}; the source was read, and looked at for damage, only there"


def cut_of(facts: MediaFacts, options: Mapping[str, Any], label: str) -> Cut | None:
    """The cut that `options` ask for; None for none. Raises BadRequest for a start that the file does not reach."""
    start, end = seconds_of(options.get("start", 0)) or Fraction(0), seconds_of(options.get("end"))
    if not start and end is None:
        return None
    start, whole = _to_micros(start), length_of(facts)
    if whole is not None and start >= whole:
        raise BadRequest(
            f"{label} lasts {float(whole):.3f} s and cannot begin at {float(start):.3f} s.", "Choose a start before the end of the file."
        )
    return Cut(start, None if end is None else _to_micros(end), start, _to_micros(Fraction(facts.start_s or 0.0)), whole=whole)


def length_of(facts: MediaFacts) -> Fraction | None:
    """How long the file lasts, in seconds; Matroska says when it ends instead."""
    if facts.duration_s is None:
        return None
    ahead = facts.start_s or 0.0 if facts.container == "matroska,webm" else 0.0
    return _to_micros(Fraction(facts.duration_s - ahead))


def within(facts: MediaFacts, cut: Cut) -> MediaFacts:
    """`facts` as if the file held nothing but what is kept; times stay on the source's clock."""
    rate = next((s.rate for s in facts.streams if s.type == "video" and not s.cover and s.rate), None)
    return replace(
        facts,
        start_s=float(cut.first),
        duration_s=None if cut.length is None else float(cut.length),
        streams=tuple(replace(_stream_within(s, cut), tags=_tags_moved(s.tags, s.rate or rate, cut)) for s in facts.streams),
        chapters=tuple(chapter for c in facts.chapters if (chapter := _chapter_within(c, cut)) is not None),
        tags=_tags_moved(facts.tags, rate, cut),
    )


def has_nothing_of(stream: StreamFacts, cut: Cut) -> bool:
    """Does the stream, as far as it says, begin after the cut or end before it?"""
    start = cut.zero if stream.start_s is None else Fraction(stream.start_s)
    if cut.last is not None and start >= cut.last:
        return True
    return stream.duration_s is not None and start + Fraction(stream.duration_s) <= cut.first


def _stream_within(stream: StreamFacts, cut: Cut) -> StreamFacts:
    if stream.duration_s is None or stream.type not in ("video", "audio") or stream.cover:
        return stream
    start = float(cut.zero) if stream.start_s is None else stream.start_s
    end = start + stream.duration_s
    if cut.last is not None:
        end = min(end, float(cut.last))
    return replace(stream, start_s=max(start, float(cut.first)), duration_s=max(0.0, end - float(cut.first)))


def _chapter_within(chapter: ChapterFacts, cut: Cut) -> ChapterFacts | None:
    first, last = float(cut.first), None if cut.last is None else float(cut.last)
    start, end = max(chapter.start_s, first), chapter.end_s if last is None else min(chapter.end_s, last)
    return replace(chapter, start_s=start, end_s=end) if start < end else None


def _tags_moved(tags: dict[str, str], rate: tuple[int, int] | None, cut: Cut) -> dict[str, str]:
    if rate is None:
        return tags
    return {key: moved(value, Fraction(*rate), cut.start) if key.lower() == "timecode" else value for key, value in tags.items()}


def _to_micros(seconds: Fraction) -> Fraction:
    return Fraction(round(seconds * 1_000_000), 1_000_000)
