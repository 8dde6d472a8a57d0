"""What happens to the packets of one stream on their way into the result: copied, or decoded, changed and encoded.

A lane belongs to one stream of the source and one of the result; transcode.py feeds it packets in file order. `open` belongs to
the thread that reads, `write` and `finish` to the one that writes; they share nothing but what `open` returns and, when reading
is over, what it counted. All times are moved by the same shift, so that the result begins at 0 and nothing moves against anything else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from dmc.convert.decoder import JITTER, Span, guesses_times, time_of
from dmc.convert.filters import Pictures
from dmc.convert.media import AnyPacket
from dmc.convert.pixels import VideoWork
from dmc.convert.ticks import Rescale
from dmc.convert.trim import CutPackets, CutTexts, Frames

Mux = Callable[[AnyPacket], None]
Opened = Sequence[AnyPacket | VideoFrame | AudioFrame]
"""Pictures or sound of one stream, or a packet of it as it is."""

_LONGEST_SILENCE_S = 1
_LONGEST_REORDER = 60
"""Seconds that a picture may be decoded before the first one is shown; encoders stay far below."""

_SPARE_TICKS = 16
"""Room for made-up decoding times before the first picture: one tick each, for at most as many as an encoder reorders."""


@dataclass(slots=True)
class Made:
    """What a lane did: what it found in the source, and how many pictures, samples or (`copied`) packets it wrote.

    `span` is on the source's clock, which is `shift` seconds ahead of the result's. `repaired` counts times that had to be made
    up, `hidden` the copied packets that an edit list hid.
    """

    index: int
    span: Span
    shift: Fraction = Fraction(0)
    written: int = 0
    repaired: int = 0
    hidden: int = 0
    copied: bool = False


class Lane(Protocol):
    """One stream's way into the result."""

    made: Made

    def open(self, packet: AnyPacket | None) -> Opened:
        """What a packet of the source holds; None when the source has ended, for what was held back."""
        ...

    def write(self, thing: Any) -> float | None:
        """Write one of the things opened; returns the second on the result's clock that has been reached."""
        ...

    def finish(self) -> None:
        """All is opened and written: write what the encoder held back."""
        ...


class CopyLane:
    """Packets untouched but for their times. `hidden` packets (edit lists) come along: later ones may be coded against them.

    With a `cut` only the packets within it come along.
    """

    def __init__(self, source: Stream, target: Stream, mux: Mux, shift: Fraction, cut: CutPackets | CutTexts | None = None) -> None:
        self.made = Made(source.index, Span(), shift, copied=True)
        self._target = target
        self._mux = mux
        self._base = source.time_base or Fraction(1, 1000)
        self._tick_s = float(self._base)
        self._shift = round(shift / self._base)
        self._cut = cut
        self._counts = cut is None and guesses_times(source)
        self._next = source.start_time or 0
        self._last_dts: int | None = None

    def open(self, packet: AnyPacket | None) -> Opened:
        if packet is None:
            return []
        return [packet] if self._cut is None else self._cut.open(packet)

    def write(self, packet: AnyPacket) -> float | None:
        made = self.made
        pts, dts = self._times(packet)
        if self._last_dts is not None and dts <= self._last_dts:
            dts = self._last_dts + 1
            made.repaired += 1
        pts = max(pts, dts)
        self._last_dts = dts
        self._next = pts + max(packet.duration or 0, 1)
        made.span.packets += 1
        made.span.shown.cover(pts, packet.duration or 0, self._base)
        made.span.coded.cover(pts, 0, self._base)
        made.hidden += packet.is_discard
        made.written += 1
        packet.pts, packet.dts, packet.stream = pts - self._shift, dts - self._shift, self._target
        self._mux(packet)
        return (pts - self._shift) * self._tick_s

    def _times(self, packet: AnyPacket) -> tuple[int, int]:
        """When the packet is shown and decoded, in ticks of the source; counted where the source does not say."""
        if self._counts:
            return self._next, self._next
        pts = packet.pts if packet.pts is not None else packet.dts
        if pts is None:
            self.made.repaired += 1
            pts = self._next
        if packet.dts is not None:
            return pts, packet.dts
        return pts, pts if self._last_dts is None else min(pts, self._last_dts + 1)

    def finish(self) -> None:
        """Nothing is ever held back."""


class VideoLane:
    """Pictures: decoded, filtered where the plan says so, encoded. Every picture keeps its own time (variable rates stay)."""

    def __init__(self, decoder: Frames, target: VideoStream, work: VideoWork, mux: Mux, shift: Fraction) -> None:
        self.made = Made(decoder.stream.index, decoder.span, shift)
        self._decoder = decoder
        self._target = target
        self._pictures = Pictures(work.filters, work.width, work.height, work.pix_fmt)
        self._mux = mux
        self._shift = shift
        self._clock = target.codec_context.time_base
        self._tick_s = float(self._clock)
        self._rescale: Rescale | None = None
        self._first_pts = 0
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._lengths: dict[int, int] = {}

    def open(self, packet: AnyPacket | None) -> Opened:
        pictures: list[VideoFrame] = []
        for frame in self._decoder.decode(packet):
            if isinstance(frame, VideoFrame):
                pictures += self._pictures.push(frame)
        if packet is None:
            pictures += self._pictures.flush()
        return pictures

    def write(self, picture: VideoFrame) -> float | None:
        base = picture.time_base or Fraction(1, 1000)
        if self._rescale is None or base != self._rescale.source:
            self._rescale = Rescale(base, self._clock, self._shift)
        pts = self._rescale.at(picture.pts or 0)
        if self._last_pts is not None and pts <= self._last_pts:
            pts = self._last_pts + 1
            self.made.repaired += 1
        length = self._rescale.long(picture.duration or 0)
        if self._last_pts is None:
            self._first_pts = pts
        self._last_pts = pts
        self._lengths[pts] = length
        picture.time_base, picture.pts, picture.duration = self._clock, pts, length
        picture.pict_type = 0  # Else the encoder would repeat the source's choice of key frames.
        self.made.written += 1
        for packet in self._target.encode(picture):
            self._write(packet)
        return pts * self._tick_s

    def _write(self, packet: AnyPacket) -> None:
        """Give the packet its picture's length, and a decoding time where the encoder gave none that can be.

        x265 hands out uninitialised decoding times when a stream is shorter than its look-ahead (seen with two pictures).
        """
        pts = packet.pts if packet.pts is not None else self._first_pts
        packet.duration = packet.duration or self._lengths.get(pts, 0)
        self._lengths.pop(pts, None)
        earliest = self._first_pts - round(_LONGEST_REORDER / self._clock) if self._last_dts is None else self._last_dts + 1
        if packet.dts is None or not earliest <= packet.dts <= pts:
            packet.dts = self._first_pts - _SPARE_TICKS if self._last_dts is None else earliest
        self._last_dts = packet.dts
        self._mux(packet)

    def finish(self) -> None:
        for packet in self._target.encode(None):
            self._write(packet)


class SoundLane:
    """Sound: decoded, gaps filled with silence, brought to the encoder's rate and layout, encoded."""

    def __init__(self, decoder: Frames, target: AudioStream, mux: Mux, shift: Fraction) -> None:
        self.made = Made(decoder.stream.index, decoder.span, shift)
        self._decoder = decoder
        self._target = target
        self._mux = mux
        self._shift = shift
        self._resampler: AudioResampler | None = None
        self._shape: tuple[str, str, int] | None = None
        self._end: Fraction | None = None

    def open(self, packet: AnyPacket | None) -> Opened:
        return self._decoder.decode(packet)

    def write(self, frame: AudioFrame) -> float | None:
        at = time_of(frame) - self._shift
        self._fill_gap(frame, at)
        self._place(frame, at)
        return None if self._end is None else float(self._end)

    def _fill_gap(self, frame: AudioFrame, at: Fraction) -> None:
        """Silence from the end of the last frame to `at`, in pieces, so that a long gap costs no memory."""
        while self._end is not None and at - self._end > JITTER:
            samples = min(round((at - self._end) * frame.sample_rate), _LONGEST_SILENCE_S * frame.sample_rate)
            self._place(_silence_like(frame, samples), self._end)
            self.made.repaired += 1

    def _place(self, frame: AudioFrame, at: Fraction) -> None:
        rate = frame.sample_rate
        frame.time_base, frame.pts = Fraction(1, rate), round(at * rate)
        self._end = at + Fraction(frame.samples, rate)
        shape = (frame.format.name, frame.layout.name, rate)
        if self._resampler is None or shape != self._shape:
            self._flush_resampler()
            context = self._target.codec_context
            self._resampler = AudioResampler(context.format, context.layout, context.sample_rate)
            self._shape = shape
        self._encode(self._resampler.resample(frame))

    def _flush_resampler(self) -> None:
        if self._resampler is not None:
            self._encode(self._resampler.resample(None))

    def _encode(self, frames: list[AudioFrame]) -> None:
        for frame in frames:
            self.made.written += frame.samples
            for packet in self._target.encode(frame):
                self._mux(packet)

    def finish(self) -> None:
        self._flush_resampler()
        for packet in self._target.encode(None):
            self._mux(packet)


def _silence_like(frame: AudioFrame, samples: int) -> AudioFrame:
    silent = AudioFrame(frame.format.name, frame.layout.name, samples)
    silent.sample_rate = frame.sample_rate
    level = b"\x80" if frame.format.name.startswith("u8") else b"\x00"
    for plane in silent.planes:
        plane.update(level * plane.buffer_size)
    return silent
