"""The one door to PyAV's containers: every file is opened, read and decoded here, and nowhere else.

Both whitelists are always set (an uploaded playlist would otherwise read other files or the network), `max_pixels` is set
on every codec context (on the container it is ignored), and packets are decoded one by one, so that a bad or empty packet
costs itself only. `frame.side_data` is never touched: on pictures with EXIF or ICC it raises or kills the interpreter.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.codec.context import CodecContext
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from dmc.convert.limits import Limits
from dmc.errors import DamagedMedia, DmcError, NotMedia, TooLarge, Unsupported
from dmc.files import translate

DEMUXERS = (
    "3dostr,aa,aac,aax,ac3,ac4,act,aea,aiff,amr,amrnb,amrwb,ape,apm,asf,asf_o,au,av1,avi,bink,caf,cavsvideo,daud,dirac,dnxhd,dsf,dts,dtshd,"
    "dv,dxa,eac3,evc,film_cpk,flac,flic,flv,g722,gsm,gxf,h261,h263,h264,hca,hevc,iamf,iff,ilbc,ircam,ivf,ivr,latm,live_flv,lmlm4,loas,lxf,"
    "m4v,matroska,mlp,mov,mp3,mpc,mpc8,mpeg,mpegts,mpegvideo,mxf,nistsphere,nsv,nut,nuv,obu,ogg,oma,osq,pva,qcp,qoa,r3d,rka,rm,rpl,rso,sbc,"
    "shn,smjpeg,smk,sox,spdif,swf,tak,truehd,tta,ty,vc1,vc1test,voc,vqf,vvc,w64,wav,wavarc,wsd,wsvqa,wtv,wv,xa,xwma,yuv4mpegpipe"
)
"""Demuxers that read one file and nothing else; playlists, devices, picture sequences and text are left out on purpose."""

MUXERS = frozenset({"matroska", "mp4", "mov", "mp3", "ogg", "opus"})
FRAME_BAD = (FFmpegError, ValueError)
"""What decoding a bad packet raises."""

JITTER = Fraction(1, 25)
"""Seconds that a timestamp of sound may be off before it counts as a gap: one picture at 25 a second."""

_READ_ERRORS_IN_A_ROW = 100
_HEAD = 1 << 20
_ENCRYPTION_MARKS = (b"encv", b"enca", b"cenc", b"cbcs", b"pssh")

Decoded = VideoFrame | AudioFrame
if TYPE_CHECKING:
    AnyPacket = Packet[Stream]
else:
    AnyPacket = Packet  # At run time PyAV's Packet takes no parameter.


def open_media(path: Path, limits: Limits, label: str | None = None) -> InputContainer:
    """Open `path` for reading; use it as a context manager.

    Raises NotMedia, Unsupported, DamagedMedia or TooLarge (what it is), or what files.translate says of an OSError.
    """
    name = label or path.name
    # One stream more than allowed is let in, so that probe.py sees that there are too many: FFmpeg itself leaves them out silently.
    options = {"format_whitelist": DEMUXERS, "protocol_whitelist": "file", "max_streams": str(limits.max_streams + 1)}
    try:
        container = av.open(str(path.absolute()), "r", container_options=options, metadata_errors="replace")
    except (FFmpegError, OSError, MemoryError) as problem:
        raise _why_not(path, name, problem) from problem
    for stream in container.streams:
        prepare(stream, limits)
    return container


def context_of(stream: Stream) -> CodecContext | None:
    """The decoder of `stream`, or None: data, attachments, unknown or encrypted codecs (PyAV's types leave that out)."""
    context: CodecContext | None = stream.codec_context
    return context


def codec_of(stream: Stream) -> str | None:
    """FFmpeg's name of the stream's codec, not that of the decoder which was picked for it; None if it is not known."""
    context = context_of(stream)
    if context is not None:
        return context.codec.canonical_name
    return stream.name if stream.type == "data" else None


def prepare(stream: Stream, limits: Limits) -> None:
    """Limits and threads of a stream's decoder, before it is first used."""
    context = context_of(stream)
    if context is None:
        return
    context.options = {**(context.options or {}), "max_pixels": str(limits.max_pixels)}
    if stream.type == "video":
        context.thread_type = "AUTO"
    context.thread_count = limits.encoder_threads


def create_media(path: Path, muxer: str, options: dict[str, str] | None = None) -> OutputContainer:
    """Create `path` for writing with one of MUXERS."""
    if muxer not in MUXERS:
        raise Unsupported(f"there is no writer for {muxer!r}.", "")
    return av.open(str(path.absolute()), "w", format=muxer, container_options={**(options or {}), "protocol_whitelist": "file"})


def _why_not(path: Path, name: str, problem: Exception) -> DmcError:
    """The dmc error for a file that does not open."""
    if isinstance(problem, MemoryError):
        return TooLarge(f"{name} needs more memory to open than the limits allow.", "Raise the limit of memory, or convert it elsewhere.")
    if isinstance(problem, FileNotFoundError | PermissionError | IsADirectoryError):
        return translate(problem, f"opening {name}")
    head = _head_of(path)
    if not head:
        return NotMedia(f"{name} is empty.", "Was it still being copied? Add it again when it is complete.")
    if any(mark in head for mark in _ENCRYPTION_MARKS):
        return Unsupported(f"{name} is encrypted.", "dmc has no keys; export it without copy protection first.")
    if head.lstrip().startswith((b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD", b"v=0")):
        return NotMedia(f"{name} is a playlist, not media.", "Add the files that it names instead.")
    if head[4:8] in (b"ftyp", b"moov", b"mdat") or head[:4] in (b"RIFF", b"\x1aE\xdf\xa3", b"OggS", b"fLaC", b"FLV\x01"):
        return DamagedMedia(
            f"{name} looks like media, but cannot be opened: {reason_of(problem)}.", "Its beginning or its index is damaged or missing."
        )
    return NotMedia(f"{name} is no video, sound or picture that dmc can read.", "Look at it with: dmc probe FILE")


def _head_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError:
        return b""


def reason_of(problem: BaseException) -> str:
    """FFmpeg's words for `problem`, without path and number."""
    words = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
    return str(words).rstrip(".").lower()


# --- Reading -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class ReadLog:
    """What went wrong while reading packets."""

    errors: int = 0
    first_error: str = ""


def packets(container: InputContainer, streams: list[Stream], log: ReadLog | None = None) -> Iterator[AnyPacket]:
    """The packets of `streams` in file order, without the empty ones; a read error is counted and stepped over.

    Gives up after 100 read errors without a packet between them: the file has ended, whatever its index says.
    """
    in_a_row = 0 if streams else _READ_ERRORS_IN_A_ROW  # PyAV takes an empty list for all streams.
    while in_a_row < _READ_ERRORS_IN_A_ROW:
        try:
            for packet in container.demux(streams):
                if packet.size > 0:
                    in_a_row = 0
                    yield packet
            return
        except FRAME_BAD as problem:
            in_a_row += 1
            if log is not None:
                log.errors += 1
                log.first_error = log.first_error or reason_of(problem)


@dataclass(slots=True)
class Span:
    """What really decoded from one stream: frames, samples, and times in seconds on the container's clock.

    `start` is when the first frame begins, `last` when the last one begins, `end` when it ends; `coded_start` and `coded_last` are
    the same of packets, which may come earlier: decoders swallow priming, edit lists hide frames.
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
    start: Fraction | None = None
    last: Fraction | None = None
    end: Fraction | None = None
    coded_start: Fraction | None = None
    coded_last: Fraction | None = None

    def cover(self, at: Fraction, length: Fraction) -> None:
        """Something of `length` seconds begins at `at`."""
        self.start = at if self.start is None else min(at, self.start)
        self.last = at if self.last is None else max(at, self.last)
        self.end = at + length if self.end is None else max(at + length, self.end)

    def cover_packet(self, at: Fraction) -> None:
        """A packet is to be shown at `at`."""
        self.coded_start = at if self.coded_start is None else min(at, self.coded_start)
        self.coded_last = at if self.coded_last is None else max(at, self.coded_last)

    @property
    def seconds(self) -> Fraction:
        """From the first frame's start to the last frame's end."""
        return Fraction(0) if self.start is None or self.end is None else self.end - self.start


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
        self._last: Fraction | None = None
        self._usual_gap: Fraction | None = None

    def decode(self, packet: AnyPacket | None) -> list[Decoded]:
        """The frames of `packet`; None for the ones still held back at the end. A bad packet gives none and is counted."""
        if packet is not None:
            self.span.packets += 1
            if packet.pts is not None:
                self.span.cover_packet(packet.pts * packet.time_base)
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
            return []
        return [frame for frame in frames if self._note(frame)]

    def _note(self, frame: Decoded) -> bool:
        """Count `frame` and complete its times; False for one that holds nothing."""
        span = self.span
        if isinstance(frame, AudioFrame):
            if frame.samples == 0:
                return False
            at, length = self._place_sound(frame), Fraction(frame.samples, frame.sample_rate)
            span.samples += frame.samples
            span.sample_rate = frame.sample_rate
        else:
            at, length = self._place_picture(frame)
        span.corrupt += frame.is_corrupt
        span.frames += 1
        span.cover(at, length)
        return True

    def _place_sound(self, frame: AudioFrame) -> Fraction:
        base = frame.time_base or self.stream.time_base
        stated = frame.pts * base if frame.pts is not None and base else None
        if self.span.end is None:
            at = self._first_sound(stated)
        elif self._counts or stated is None or stated <= self.span.end + JITTER:
            at = self.span.end
            self.span.jumps += not self._counts and stated is not None and stated < at - JITTER
        else:
            at = stated
        frame.time_base = Fraction(1, frame.sample_rate)
        frame.pts = round(at * frame.sample_rate)
        return at

    def _first_sound(self, stated: Fraction | None) -> Fraction:
        """Where sound begins: the first timestamp, unless the container says that the stream begins well after it."""
        base, start = self.stream.time_base, self.stream.start_time
        promised = start * base if base is not None and start is not None else None
        if stated is None or (promised is not None and stated < promised - JITTER):
            return promised or Fraction(0)
        return stated

    def _place_picture(self, frame: VideoFrame) -> tuple[Fraction, Fraction]:
        base = frame.time_base or self.stream.time_base or Fraction(1, 1000)
        length = frame.duration * base if frame.duration and frame.duration > 0 else self._gap()
        frame.time_base = base  # Frames that were held back to the end come without one.
        if frame.pts is None:
            frame.pts = round((self.span.end or Fraction(0)) / base)
        at = frame.pts * base
        if self._last is not None and at > self._last:
            self._usual_gap = at - self._last
        self._last = at if self._last is None else max(at, self._last)
        return at, length

    def _gap(self) -> Fraction:
        """How long a picture that states no duration is shown: as long as the one before, else by the stream's rate."""
        if self._usual_gap is not None:
            return self._usual_gap
        rate = getattr(self.stream, "average_rate", None)
        return 1 / rate if rate else Fraction(1, 25)


def guesses_times(stream: Stream) -> bool:
    """Are the timestamps of this sound made up? Those of Ogg are counted back from the ends of pages, wrongly where packets are empty."""
    return stream.type == "audio" and stream.container.format.name == "ogg"


def time_of(frame: Decoded) -> Fraction:
    """When `frame` is shown or heard, in seconds; Decoder has seen to it that it says so."""
    return (frame.pts or 0) * (frame.time_base or Fraction(1, 1000))
