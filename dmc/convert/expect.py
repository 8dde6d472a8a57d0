"""From counted pieces to what the whole will come to: bytes with a range, and seconds of one worker. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dmc.convert.facts import MediaFacts
from dmc.convert.plan import Plan, StreamPlan
from dmc.convert.progress import VERIFY_SHARE
from dmc.convert.sample import Count, Piece

_KEY_EVERY = {"libx264": 250, "libx265": 250, "libvpx-vp9": 128, "libsvtav1": 161}
"""Pictures from one key picture to the next at most, as the encoders do by themselves."""

_BESIDE_A_PACKET = 9
"""Bytes that a container adds to each packet, about."""

_BESIDE_ALL = 600
"""Bytes of a container's own head and end."""

_UNSURE, _FEW_S = 0.15, 0.1
"""Share by which an expectation from pieces may be off even where all agree, and what is added for one second of pieces; less for more."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a result will be about: bytes, `low` and `high` bounds of them, seconds of one worker; seconds and pictures encoded for that."""

    size: int
    low: int
    high: int
    seconds: float
    sampled_s: float
    sampled_pictures: int
    whole: bool = False


def expect(facts: MediaFacts, made: Plan, pieces: Sequence[Piece]) -> Expected | None:
    """The expectation; None if the pieces hold nothing to tell from."""
    encoded = [plan for plan in made.streams if plan.action == "encode" and (plan.video or plan.sound)]
    length = _length(facts, pieces)
    main = next((plan.index for plan in encoded if any(p.counts[plan.index].packets for p in pieces)), None)
    if main is None or length <= 0:
        return None
    whole = len(pieces) == 1 and pieces[0].whole
    size = low = high = float(_BESIDE_ALL)
    for plan in made.streams:
        about, least, most = _stream(facts, plan, pieces, length, whole=whole)
        size, low, high = size + about, low + least, high + most
    sampled = sum(piece.counts[main].seconds for piece in pieces)
    took = sum(piece.took_s for piece in pieces) / (1 - VERIFY_SHARE)
    return Expected(
        size=round(size),
        low=round(low),
        high=round(high),
        seconds=took if whole or sampled <= 0 else took * max(1.0, length / sampled),
        sampled_s=sampled,
        sampled_pictures=sum(piece.counts[main].packets for piece in pieces),
        whole=whole,
    )


def _length(facts: MediaFacts, pieces: Sequence[Piece]) -> float:
    """Seconds of the source; where it does not say, as much longer than the pieces as it has more bytes."""
    if facts.duration_s:
        return facts.duration_s
    longest = max((count.seconds for piece in pieces for count in piece.counts.values()), default=0.0)
    read = sum(count.read for piece in pieces for count in piece.counts.values())
    return longest if not read or pieces[0].whole else longest * max(1.0, facts.file_size / read)


def _stream(facts: MediaFacts, plan: StreamPlan, pieces: Sequence[Piece], length: float, *, whole: bool) -> tuple[float, float, float]:
    """Bytes of one stream of the result: about, at least, at most."""
    stream = facts.streams[plan.index]
    length = min(length, stream.duration_s or length)
    counts = [piece.counts[plan.index] for piece in pieces if plan.index in piece.counts and piece.counts[plan.index].packets]
    if not (whole and counts) and plan.action == "copy" and stream.bit_rate and stream.type in ("video", "audio"):
        about = stream.bit_rate / 8 * length
        return about, about * 0.98, about * 1.02
    if not counts:
        about = (plan.sound.bit_rate if plan.sound is not None else 0) / 8 * length
        return about, about * (1 - 2 * _UNSURE), about * (1 + 2 * _UNSURE)
    if whole:
        about = float(sum(c.head + c.first + c.rest + _BESIDE_A_PACKET * c.packets for c in counts))
        return about, about, about
    every = _KEY_EVERY.get(plan.video.encoder if plan.video is not None else "", 0)
    unsure = min(0.5, _UNSURE + _FEW_S / max(_FEW_S, sum(count.seconds for count in counts)))
    alone = [_extrapolated([count], length, every) for count in counts]
    return _extrapolated(counts, length, every), min(alone) * (1 - unsure), max(alone) * (1 + unsure)


def _extrapolated(counts: Sequence[Count], length: float, every: int) -> float:
    """Bytes of `length` seconds that go on like `counts`, with a key picture at least every `every` pictures."""
    seconds = sum(count.seconds for count in counts) or math.inf
    pictures = sum(count.packets for count in counts) / seconds * length
    keys = max(1.0, pictures / every) if every else 0.0
    first = sum(count.first for count in counts) / len(counts)
    return counts[0].head + first * keys + sum(count.rest for count in counts) / seconds * length + _BESIDE_A_PACKET * pictures
