"""Saves the work of a conversion that would gain nothing: a few pieces are encoded first where the source is so lean that this is likely.

Nothing that would become smaller is refused: only lean sources are sampled, of them a few hundredths, and the verdict needs every
piece to say so with room to spare. What slips through is stopped when the result has in fact outgrown its source.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from dmc.convert.expect import Expected
from dmc.convert.facts import MediaFacts, StreamFacts
from dmc.convert.plan import Plan, StreamPlan
from dmc.convert.receipt import in_bytes
from dmc.convert.sample import Piece, Window, windows_of

SHARE = 0.03
"""The share of a source that may be encoded for the verdict."""

_LONGEST_S, _PIECES = 2.0, 3
_SHORTEST_S = 0.5
"""Pieces shorter than this say little: a source too short for them is simply converted."""

_LEAN_BITS, _LEAN_AT = 0.03, 1280 * 720
"""Bits per pixel below which H.264 of that size is lean for H.265; a generation of codecs halves or doubles it."""

_SMALLER = 0.4
"""Small pictures need more bits per pixel: by this power of how much smaller they are."""

_GENERATION = {"h264": 1, "vp8": 1, "hevc": 2, "vp9": 2, "av1": 3, "vvc": 3, "libx264": 1, "libx265": 2, "libvpx-vp9": 2, "libsvtav1": 3}
_LEAN_SOUND = 1.2
"""Sound is lean below this many times the bit rate that it would get."""

_ROOM = 1.05
_HONEST = 2.0
"""A source whose pieces would make it this many times larger than it is states a wrong length: nothing can be told from it."""

_LOOK_EVERY = 16
"""Packets from one look at the size of the result to the next: a look costs as much as copying one."""


def pieces_to_try(facts: MediaFacts, made: Plan) -> list[Window]:
    """Where to look before converting; empty if the source is not lean, not gated, too short, or of unknown length."""
    length_s = min(_LONGEST_S, (facts.duration_s or 0.0) * SHARE / _PIECES)
    if not made.gated or length_s < _SHORTEST_S or not _is_lean(facts, made):
        return []
    return windows_of(facts.duration_s, length_s, _PIECES)


def _is_lean(facts: MediaFacts, made: Plan) -> bool:
    """Is all that would be encoded so lean that a gain is doubtful?"""
    encoded = [plan for plan in made.streams if plan.action == "encode" and (plan.video or plan.sound)]
    pictures = [plan for plan in encoded if plan.video is not None]
    return bool(encoded) and all(_is_lean_stream(facts, plan) for plan in pictures or encoded)


def _is_lean_stream(facts: MediaFacts, plan: StreamPlan) -> bool:
    stream = facts.streams[plan.index]
    bits = stream.bit_rate or _rest_of_bits(facts, stream)
    if plan.sound is not None:
        return 0 < bits <= _LEAN_SOUND * plan.sound.bit_rate
    if plan.video is None or not stream.width or not stream.height or not stream.rate:
        return False
    ahead = _GENERATION.get(stream.codec or "", 0) - _GENERATION.get(plan.video.encoder, 0) + 1
    pixels = stream.width * stream.height
    lean: float = _LEAN_BITS * 2.0**ahead * (_LEAN_AT / pixels) ** _SMALLER
    return 0 < bits / (pixels * stream.rate[0] / stream.rate[1]) <= lean


def _rest_of_bits(facts: MediaFacts, stream: StreamFacts) -> float:
    """Bits a second of a stream that does not tell: what the others leave of the file."""
    others = sum(s.bit_rate or 0 for s in facts.streams if s.index != stream.index)
    return max(0.0, 8 * facts.file_size / facts.duration_s - others) if facts.duration_s else 0.0


def why_no_gain(facts: MediaFacts, pieces: Sequence[Piece], expected: Expected | None) -> str | None:
    """In words and numbers why the source had better stay as it is; None where a gain is possible, or nothing sure can be told."""
    if expected is None or expected.low <= _ROOM * facts.file_size or not is_sound(facts, pieces):
        return None
    said = f"the result would be larger: about {in_bytes(expected.size)} instead of {in_bytes(facts.file_size)}"
    share = f"{expected.sampled_s:.1f} of {facts.duration_s or 0:.1f} s ({expected.sampled_pictures} packets)"
    return f"{said}; {share} were encoded to find that out"


def is_sound(facts: MediaFacts, pieces: Sequence[Piece]) -> bool:
    """Do the pieces lie where they should, and do they fit the size of the file? Headers state wrong lengths."""
    length = facts.duration_s or 0.0
    for piece in pieces:
        found = max((count.seconds for count in piece.counts.values()), default=0.0)
        if not piece.cut and found < (min(piece.window.end, length) - piece.window.start) / 2:
            return False
    read = sum(count.read for piece in pieces for count in piece.counts.values())
    covered = sum(max(count.seconds for count in piece.counts.values()) for piece in pieces)
    return covered > 0 and read / covered * length <= _HONEST * facts.file_size


class Brake:
    """Asked like a stop: says yes too when the result has outgrown `most` bytes, since it will only grow. `pulled`: it did."""

    def __init__(self, stop: Callable[[], bool], target: Path, most: int | None) -> None:
        self.pulled = False
        self._stop = stop
        self._target = target
        self._most = most
        self._asked = 0

    def __call__(self) -> bool:
        self._asked += 1
        if self._most is not None and self._asked % _LOOK_EVERY == 0 and _size_of(self._target) > self._most:
            self.pulled = True
        return self.pulled or self._stop()


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
