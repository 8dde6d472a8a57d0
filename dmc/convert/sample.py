"""What a conversion would come to, told from short pieces of the source that are encoded with the real settings: "about".

The pieces go through the same lanes as a conversion, and nothing of them is written: bytes are counted. Pictures between two key
pictures cost far less than these, so the two are counted apart, else short pieces would make every result look too large.
"""

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.stream import Stream

from dmc.convert import encoders
from dmc.convert.decoder import Decoder
from dmc.convert.facts import MediaFacts
from dmc.convert.lanes import Lane, SoundLane, VideoLane
from dmc.convert.limits import Limits
from dmc.convert.media import AnyPacket, context_of, create_media, open_media, packets
from dmc.convert.plan import Plan, StreamPlan
from dmc.convert.progress import alive
from dmc.convert.recipes import CONTAINERS
from dmc.errors import Cancelled

Stop = Callable[[], bool]

_MOST_SKIPPED = 600
"""Packets that are decoded only to get from a key picture of the source to where a piece shall begin."""

_LONGEST_SILENCE_S = 600.0
"""How long one piece may take without a sign from the worker being taken for a hang."""


@dataclass(frozen=True, slots=True)
class Window:
    """Where a piece begins and ends, in seconds from the source's start."""

    start: float
    end: float


@dataclass(slots=True)
class Count:
    """What one stream came to within one piece: bytes, packets, the time covered; `read` counts bytes of the source.

    `first` is the size of the first key picture, which a short piece has far too many of; `rest` is everything else. `head` is
    what the encoder writes once for all.
    """

    head: int = 0
    first: int = 0
    rest: int = 0
    packets: int = 0
    read: int = 0
    start: Fraction | None = None
    end: Fraction | None = None

    def cover(self, at: Fraction, length: Fraction) -> None:
        self.start = at if self.start is None else min(self.start, at)
        self.end = at + length if self.end is None else max(self.end, at + length)

    @property
    def seconds(self) -> float:
        """The time covered; where packets state no length, the last one counts as long as the others on average."""
        if self.start is None or self.end is None:
            return 0.0
        return float(self.end - self.start)


@dataclass(slots=True)
class Piece:
    """One piece that was encoded: a count per stream of the source, how long that took.

    `whole`: it is all there is; `cut`: it took too long, and ended before its window did.
    """

    window: Window
    counts: dict[int, Count] = field(default_factory=dict)
    took_s: float = 0.0
    whole: bool = False
    cut: bool = False


def windows_of(duration_s: float | None, length_s: float, number: int = 3) -> list[Window]:
    """`number` pieces of `length_s`, evenly spread; one from the start where the length is not known; the whole of a short file."""
    if duration_s is None:
        return [Window(0.0, number * length_s)]
    if duration_s <= 1.5 * number * length_s:
        return [Window(0.0, math.inf)]
    middles = [duration_s * (2 * n + 1) / (2 * number) for n in range(number)]
    return [Window(middle - length_s / 2, middle + length_s / 2) for middle in middles]


def sample(
    source: Path,
    facts: MediaFacts,
    made: Plan,
    limits: Limits,
    scratch: Path,
    windows: Sequence[Window],
    tick: Callable[[int], None],
    stop: Stop,
    *,
    budget_s: float = math.inf,
) -> list[Piece]:
    """Encode the pieces and count; `tick` hears how many are done, also while one is at work. Nothing is left in `scratch`.

    A piece that takes longer than `budget_s` ends there. Raises Cancelled when stopped, and what opening the source raises.
    """
    found: list[Piece] = []
    target = scratch / "sample"
    for window in windows:
        with open_media(source, limits) as media:
            out = create_media(target, CONTAINERS[made.container].muxer)
            try:
                with alive(lambda: tick(len(found)), _LONGEST_SILENCE_S):
                    found.append(_Sampling(media, out, facts, made, limits, window, stop).run(budget_s))
            finally:
                with contextlib.suppress(FFmpegError, OSError, ValueError):
                    out.close()  # Nothing was written into it, which writers may refuse.
                target.unlink(missing_ok=True)
        tick(len(found))
    return found


class _Sampling:
    """One piece."""

    def __init__(
        self, media: InputContainer, out: OutputContainer, facts: MediaFacts, made: Plan, limits: Limits, window: Window, stop: Stop
    ) -> None:
        self._media = media
        self._facts = facts
        self._window = window
        self._stop = stop
        self._piece = Piece(window)
        self._lanes: dict[int, Lane] = {}
        self._decoders: dict[int, Decoder] = {}
        self._encoders: dict[int, Stream] = {}
        self._zero = Fraction(round((facts.start_s or 0.0) * 1_000_000), 1_000_000)
        for plan in made.streams:
            if plan.action in ("copy", "encode") and not plan.cover and plan.type in ("video", "audio"):
                self._piece.counts[plan.index] = Count()
                if plan.action == "encode":
                    self._add(plan, media.streams[plan.index], out, limits)

    def _add(self, plan: StreamPlan, source: Stream, out: OutputContainer, limits: Limits) -> None:
        count = self._piece.counts[plan.index]
        decoder = self._decoders[plan.index] = Decoder(source)
        if plan.video is not None:
            pictures = self._encoders[plan.index] = encoders.add_video(out, plan.video, source.time_base, limits)
            self._lanes[plan.index] = VideoLane(decoder, pictures, plan.video, lambda packet: _note(count, packet, apart=True), self._zero)
        elif plan.sound is not None:
            sound = self._encoders[plan.index] = encoders.add_sound(out, plan.sound)
            self._lanes[plan.index] = SoundLane(decoder, sound, lambda packet: _note(count, packet, apart=False), self._zero)

    def run(self, budget_s: float) -> Piece:
        begin = (self._media.start_time or 0) / 1_000_000
        if self._window.start + float(self._zero) > begin:
            self._media.seek(round((self._window.start + float(self._zero)) * 1_000_000))
        until = time.monotonic() + budget_s
        took, driver = 0.0, next(iter(self._lanes), -1)
        wanted = [stream for stream in self._media.streams if stream.index in self._piece.counts]
        self._piece.whole = math.isinf(self._window.end)
        skipped = 0
        for packet in packets(self._media, wanted):
            if self._stop():
                raise Cancelled()
            at = self._time_of(packet)
            if at < self._window.start and skipped < _MOST_SKIPPED:
                skipped += packet.stream_index == driver
                self._skip(packet)
                continue
            self._piece.cut = time.monotonic() > until
            if self._piece.cut or (at >= self._window.end and packet.stream_index == driver):
                self._piece.whole = False
                break
            if at < self._window.end:
                took += self._take(packet)
        return self._finish(took)

    def _time_of(self, packet: AnyPacket) -> float:
        """When `packet` is shown, in seconds from the source's start; what says nothing belongs to the piece."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        return self._window.start if stamp is None else float(stamp * packet.time_base - self._zero)

    def _skip(self, packet: AnyPacket) -> None:
        decoder = self._decoders.get(packet.stream_index)
        if decoder is not None:
            decoder.decode(packet)

    def _take(self, packet: AnyPacket) -> float:
        """Encode or count `packet`; returns the seconds that took."""
        count, lane = self._piece.counts[packet.stream_index], self._lanes.get(packet.stream_index)
        count.read += packet.size
        if lane is None:
            _note(count, packet, apart=False)
            return 0.0
        began = time.monotonic()
        _carry(lane, packet)
        return time.monotonic() - began

    def _finish(self, took: float) -> Piece:
        began = time.monotonic()
        for lane in self._lanes.values():
            _carry(lane, None)
            lane.finish()
        for index, encoder in self._encoders.items():
            context = context_of(encoder)
            self._piece.counts[index].head = len((context.extradata if context is not None else None) or b"")
        self._piece.took_s = took + time.monotonic() - began
        return self._piece


def _carry(lane: Lane, packet: AnyPacket | None) -> None:
    for thing in lane.open(packet):
        lane.write(thing)


def _note(count: Count, packet: AnyPacket, *, apart: bool) -> None:
    """Count a packet; `apart`: the first key picture is counted for itself."""
    if apart and packet.is_keyframe and count.first == 0:
        count.first = packet.size
    else:
        count.rest += packet.size
    count.packets += 1
    stamp = packet.pts if packet.pts is not None else packet.dts
    if stamp is not None:
        count.cover(stamp * packet.time_base, (packet.duration or 0) * packet.time_base)
