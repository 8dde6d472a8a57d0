"""Cuts streams while they are read: of pictures and sound what a cut keeps, of copied packets those that lie within it.

Each belongs to one stream and to the thread that reads. `over` says that nothing more will come of it.
"""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Protocol

from av.audio.frame import AudioFrame
from av.stream import Stream
from av.video.frame import VideoFrame

from dmc.convert.cut import SNAP, Cut
from dmc.convert.decoder import Decoder, Span, guesses_times, time_of
from dmc.convert.media import AnyPacket, Decoded

_TICK = Fraction(1, 1_000_000)
"""Seconds: the clock on which a file says when it begins; those of its streams may be finer."""

_KEYS_OF_SOUND = frozenset({"truehd", "mlp"})
"""Codecs of sound of which not every packet can be the first."""


class Frames(Protocol):
    """Where the frames of a stream come from: a Decoder, or one that is cut. `span` counts what came out."""

    stream: Stream
    span: Span

    def decode(self, packet: AnyPacket | None) -> Sequence[Decoded]: ...


class CutFrames:
    """The frames of `decoder` that `cut` keeps: the picture that is shown at the start begins there, sound is cut to the sample."""

    def __init__(self, decoder: Decoder, cut: Cut) -> None:
        self.stream = decoder.stream
        self.span = Span()
        self.clock = cut.clock(decoder.stream.time_base)
        self.over = False
        self._decoder = decoder
        self._cut = cut
        self._waits = decoder.stream.type == "video" and cut.key is not None
        self._shown: tuple[VideoFrame, Fraction, Fraction] | None = None
        self._before: Span | None = None

    def decode(self, packet: AnyPacket | None) -> list[Decoded]:
        """As a Decoder does; packets before the key picture are not even decoded."""
        if self.over or (packet is not None and self._waits and not self._is_key(packet)):
            return []
        self._waits = False
        decoder = self._decoder
        before = replace(decoder.span)
        kept: list[Decoded] = []
        for frame in decoder.decode(packet):
            kept += self._sound(frame) if isinstance(frame, AudioFrame) else self._picture(frame)
        if packet is None:
            kept += self._first(None)
        if self._before is None and kept:
            self._before = before
        self._count()
        return kept

    def _is_key(self, packet: AnyPacket) -> bool:
        shown = packet.pts if packet.pts is not None else packet.dts
        return packet.is_keyframe and shown is not None and self._cut.key is not None and shown * packet.time_base >= self._cut.key

    def _count(self) -> None:
        """What the decoder met since the first frame that was kept; damage before it is nobody's loss."""
        if self._before is None:
            return
        span, now, then = self.span, self._decoder.span, self._before
        span.packets, span.errors = now.packets - then.packets, now.errors - then.errors
        span.corrupt, span.jumps = now.corrupt - then.corrupt, now.jumps - then.jumps
        span.first_error = now.first_error if span.errors else ""

    # --- Pictures ----------------------------------------------------------------------------------------------------

    def _picture(self, frame: VideoFrame) -> list[VideoFrame]:
        at, first, last = time_of(frame), self._cut.first, self._cut.last
        length = frame.duration * (frame.time_base or Fraction(0)) if frame.duration and frame.duration > 0 else Fraction(0)
        if self.over:
            return []
        if last is not None and at >= last - SNAP:
            self.over = True
            return self._first(at)
        if at <= first + SNAP:
            self._shown = (frame, at, length)
            return []
        return [*self._first(at), self._placed(frame, at, length)]

    def _first(self, until: Fraction | None) -> list[VideoFrame]:
        """The picture that is shown at the start, as long as the next one does not begin; once."""
        if self._shown is None:
            return []
        (frame, at, length), self._shown = self._shown, None
        first = self._cut.first
        return [self._placed(frame, first, max(until - first, Fraction(0)) if until is not None else max(at + length - first, Fraction(0)))]

    def _placed(self, frame: VideoFrame, at: Fraction, length: Fraction) -> VideoFrame:
        if self._cut.last is not None:
            length = min(length, self._cut.last - at)
        frame.time_base = self.clock
        frame.pts, frame.duration = round(at / self.clock), round(length / self.clock)
        self.span.frames += 1
        self.span.shown.cover(frame.pts, length / self.clock, self.clock)
        return frame

    # --- Sound -------------------------------------------------------------------------------------------------------

    def _sound(self, frame: AudioFrame) -> list[AudioFrame]:
        rate, at = frame.sample_rate, time_of(frame)
        begin = max(0, round((self._cut.first - at) * rate))
        end = frame.samples
        if self._cut.last is not None:
            end = min(end, round((self._cut.last - at) * rate))
            self.over = self.over or end < frame.samples
        if begin >= end:
            return []
        kept = frame if (begin, end) == (0, frame.samples) else part_of(frame, begin, end)
        self.span.frames += 1
        self.span.samples += kept.samples
        self.span.sample_rate = rate
        self.span.shown.cover(time_of(kept) * rate, kept.samples, Fraction(1, rate))
        return [kept]


def part_of(frame: AudioFrame, begin: int, end: int) -> AudioFrame:
    """The samples of `frame` from `begin` up to `end`, as a frame of their own."""
    part = AudioFrame(frame.format.name, frame.layout.name, end - begin)
    part.sample_rate, part.time_base = frame.sample_rate, Fraction(1, frame.sample_rate)
    part.pts = (frame.pts or 0) + begin
    size = frame.format.bytes * (1 if frame.format.is_planar else frame.layout.nb_channels)
    for old, new in zip(frame.planes, part.planes, strict=True):
        data = bytes(old)[begin * size : end * size]
        new.update(data + bytes(new.buffer_size - len(data)))
    return part


class CutPackets:
    """The packets of a copied stream that lie within a cut; pictures from their first key picture on.

    A packet that is shown after the end is kept only if one that is decoded after it is shown before: that may need it.
    """

    def __init__(self, stream: Stream, codec: str | None, cut: Cut) -> None:
        self.over = False
        self._base = stream.time_base or Fraction(1, 1000)
        self._cut = cut
        self._counts = guesses_times(stream)
        self._next = stream.start_time or 0
        self._waits = stream.type == "video" or codec in _KEYS_OF_SOUND
        self._held: list[AnyPacket] = []

    def open(self, packet: AnyPacket) -> list[AnyPacket]:
        """What can be written now that `packet` is known."""
        self._place(packet)
        at, last = (packet.pts or 0) * self._base + _TICK, self._cut.last
        if self.over or at < self._cut.first or (self._waits and not packet.is_keyframe):
            return []
        if last is None or at < last:
            self._waits = False
            ready, self._held = [*self._held, packet], []
            return ready
        if self._waits or packet.dts is None or packet.dts * self._base >= last:
            self.over = True
            self._held = []
        else:
            self._held.append(packet)
        return []

    def _place(self, packet: AnyPacket) -> None:
        """See to it that the packet says when it is shown."""
        if self._counts:
            packet.pts = packet.dts = self._next
        elif packet.pts is None:
            packet.pts = self._next if packet.dts is None else packet.dts
        self._next = (packet.pts or 0) + max(packet.duration or 0, 1)


class CutTexts:
    """The subtitles within a cut; those that are shown at its start or its end are shortened."""

    def __init__(self, stream: Stream, cut: Cut) -> None:
        self._base = stream.time_base or Fraction(1, 1000)
        self._cut = cut

    def open(self, packet: AnyPacket) -> list[AnyPacket]:
        """`packet`, shortened to the cut, or nothing."""
        if packet.pts is None:
            return []
        first, last = self._cut.first, self._cut.last
        begin = packet.pts * self._base
        end = begin + (packet.duration or 0) * self._base
        if (begin < first and end <= first) or (last is not None and begin >= last):
            return []
        if begin < first or (last is not None and end > last):
            begin, end = max(begin, first), end if last is None else min(end, last)
            packet.pts = packet.dts = round(begin / self._base)
            packet.duration = round((end - begin) / self._base)
        return [packet]
