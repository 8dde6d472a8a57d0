"""Text subtitles on their way into the result, where their codec changes."""

from fractions import Fraction

from av.subtitles.stream import SubtitleStream

from dmc.convert.decoder import Span
from dmc.convert.lanes import Made, Mux, Opened
from dmc.convert.media import FRAME_BAD, AnyPacket
from dmc.convert.trim import CutTexts


class TextLane:
    """Text subtitles: decoded and written anew in the codec that the container takes; their times stay."""

    def __init__(self, source: SubtitleStream, target: SubtitleStream, mux: Mux, shift: Fraction, cut: CutTexts | None = None) -> None:
        self.made = Made(source.index, Span(), shift)
        self._source = source
        self._target = target
        self._mux = mux
        self._base = source.time_base or Fraction(1, 1000)
        self._shift = round(shift / self._base)
        self._cut = cut

    def open(self, packet: AnyPacket | None) -> Opened:
        if packet is None:
            return []
        return [packet] if self._cut is None else self._cut.open(packet)

    def write(self, packet: AnyPacket) -> float | None:
        span = self.made.span
        span.packets += 1
        if packet.pts is None:
            return None
        try:
            text = self._source.codec_context.decode2(packet)
            if text is None or len(text) == 0:
                return None
            written = self._target.codec_context.encode_subtitle(text)
        except FRAME_BAD:
            span.errors += 1
            return None
        written.time_base = self._base
        written.pts = written.dts = packet.pts - self._shift
        written.duration = packet.duration
        written.stream = self._target
        self.made.written += 1
        self._mux(written)
        return None

    def finish(self) -> None:
        """Nothing is ever held back."""
