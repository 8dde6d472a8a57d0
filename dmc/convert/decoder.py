"""Decodes one stream packet by packet: a bad packet costs itself only, everything is counted, every frame gets a time."""

from dataclasses import dataclass, field
from fractions import Fraction

from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from dmc.convert.media import FRAME_BAD, AnyPacket, Decoded, context_of, reason_of
from dmc.convert.sidedata import libav_has_said_enough
from dmc.convert.ticks import Reach
from dmc.errors import TooLarge

JITTER = Fraction(1, 25)
"""Seconds that a timestamp of sound may be off before it counts as a gap: one picture at 25 a second."""

_COMPLAINTS_HEARD = 20
"""Bad packets or frames of a stream after which the libraries' own words are no longer wanted in the log; all are counted."""


@dataclass(slots=True)
class Span:
    """What really decoded from one stream: frames, samples, and how far they reach, on the container's clock.

    `shown` is about frames, `coded` about packets, which may come earlier: decoders swallow priming, edit lists hide frames.
    `jumps` counts how often sound stepped back in time; such timestamps are not believed, samples are counted instead.
    """

    frames: int = 0
    samples: int = 0
    sample_rate: int = 0
    packets: int = 0
    errors: int = 0
    corrupt: int = 0
    jumps: int = 0
    first_error: str = ""
    shown: Reach = field(default_factory=Reach)
    coded: Reach = field(default_factory=Reach)

    @property
    def seconds(self) -> Fraction:
        """From the first frame's start to the last frame's end."""
        start, end = self.shown.start, self.shown.end
        return Fraction(0) if start is None or end is None else end - start


class Decoder:
    """Decodes one stream packet by packet, counts what came out, and sees to it that every frame has a time.

    Sound is put on a timeline without jitter: a frame starts where the last one ended, unless its timestamp is more than
    JITTER ahead (a gap). Timestamps that step back are not believed, nor are those of Ogg, which are guessed from page ends.
    Raises TooLarge when memory runs out.
    """

    def __init__(self, stream: Stream, name: str = "the file") -> None:
        self.stream = stream
        self.span = Span()
        self._name = name
        self._context = context_of(stream)
        self._counts = guesses_times(stream)
        self._coded_base = self._base = stream.time_base or Fraction(1, 1000)
        self._last: int | None = None
        self._usual_gap: int | Fraction | None = None
        self._sound_end: Fraction | None = None
        self._sample = Fraction(1)

    def decode(self, packet: AnyPacket | None) -> list[Decoded]:
        """The frames of `packet`; None for the ones still held back at the end. A bad packet gives none and is counted."""
        if packet is not None:
            self.span.packets += 1
            if packet.pts is not None:
                self.span.coded.cover(packet.pts, 0, self._coded_base)
        if not isinstance(self._context, VideoCodecContext | AudioCodecContext):
            return []
        try:
            frames: list[Decoded] = [*self._context.decode(packet)]
        except MemoryError as problem:
            raise TooLarge(f"{self._name} needs more memory to decode than the limits allow.", "Raise the limit of memory.") from problem
        except EOFError:
            return []
        except FRAME_BAD as problem:
            self.span.errors += 1
            self.span.first_error = self.span.first_error or reason_of(problem)
            self._count_complaint()
            return []
        return [frame for frame in frames if self._note(frame)]

    def _note(self, frame: Decoded) -> bool:
        """Count `frame` and complete its times; False for one that holds nothing."""
        span = self.span
        if isinstance(frame, AudioFrame):
            if frame.samples == 0:
                return False
            self._place_sound(frame)
            span.samples += frame.samples
            span.sample_rate = frame.sample_rate
        else:
            self._place_picture(frame)
        if frame.is_corrupt:
            span.corrupt += 1
            self._count_complaint()
        span.frames += 1
        return True

    def _count_complaint(self) -> None:
        if self.span.errors + self.span.corrupt == _COMPLAINTS_HEARD:
            libav_has_said_enough()

    def _place_sound(self, frame: AudioFrame) -> None:
        base, rate = frame.time_base or self.stream.time_base, frame.sample_rate
        stated = frame.pts * base if frame.pts is not None and base else None
        if self._sound_end is None:
            at = self._first_sound(stated)
        elif self._counts or stated is None or stated <= self._sound_end + JITTER:
            at = self._sound_end
            self.span.jumps += not self._counts and stated is not None and stated < at - JITTER
        else:
            at = stated
        self._sound_end = at + Fraction(frame.samples, rate)
        if self._sample.denominator != rate:
            self._sample = Fraction(1, rate)
        frame.time_base, frame.pts = self._sample, round(at * rate)
        self.span.shown.cover(at * rate, frame.samples, self._sample)

    def _first_sound(self, stated: Fraction | None) -> Fraction:
        """Where sound begins: the first timestamp, unless the container says that the stream begins well after it."""
        base, start = self.stream.time_base, self.stream.start_time
        promised = start * base if base is not None and start is not None else None
        if stated is None or (promised is not None and stated < promised - JITTER):
            return promised or Fraction(0)
        return stated

    def _place_picture(self, frame: VideoFrame) -> None:
        base = frame.time_base or self._base
        if base != self._base:
            self._base, self._last, self._usual_gap = base, None, None
        length = frame.duration if frame.duration and frame.duration > 0 else self._gap()
        frame.time_base = self._base  # Frames that were held back to the end come without one.
        if frame.pts is None:
            frame.pts = round((self.span.shown.end or Fraction(0)) / base)
        at = frame.pts
        if self._last is None:
            self._last = at
        elif at > self._last:
            self._usual_gap, self._last = at - self._last, at
        self.span.shown.cover(at, length, self._base)

    def _gap(self) -> int | Fraction:
        """How long, in ticks, a picture that states no duration is shown: as long as the one before, else by the stream's rate."""
        if self._usual_gap is not None:
            return self._usual_gap
        rate = getattr(self.stream, "average_rate", None)
        return (1 / rate if rate else Fraction(1, 25)) / self._base


def guesses_times(stream: Stream) -> bool:
    """Are the timestamps of this sound made up? Those of Ogg are counted back from the ends of pages, wrongly where packets are empty."""
    return stream.type == "audio" and stream.container.format.name == "ogg"


def time_of(frame: Decoded) -> Fraction:
    """When `frame` is shown or heard, in seconds; Decoder has seen to it that it says so."""
    return (frame.pts or 0) * (frame.time_base or Fraction(1, 1000))
