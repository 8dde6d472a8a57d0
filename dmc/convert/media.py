"""The one door to PyAV's containers: every file is opened, read and decoded here, and nowhere else.

Both whitelists are always set (an uploaded playlist would otherwise read other files or the network), `max_pixels` is set
on every codec context (on the container it is ignored), and packets come one by one without the empty ones, so that decoder.py
can survive bad ones. `frame.side_data` is never touched: on pictures with EXIF or ICC it raises or kills the interpreter.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.audio.frame import AudioFrame
from av.codec.context import CodecContext
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame

from dmc.convert.limits import Limits
from dmc.convert.threads import cores_here, decoder_threads
from dmc.errors import DamagedMedia, DmcError, NotMedia, TooLarge, Unsupported
from dmc.files import translate

DEMUXERS = (
    "3dostr,aa,aac,aax,ac3,ac4,act,aea,aiff,amr,amrnb,amrwb,ape,apm,asf,asf_o,au,av1,avi,bink,caf,cavsvideo,daud,dirac,dnxhd,dsf,dts,dtshd,"
    "dv,dxa,eac3,evc,film_cpk,flac,flic,flv,g722,gsm,gxf,h261,h263,h264,hca,hevc,iamf,iff,ilbc,ircam,ivf,ivr,latm,live_flv,lmlm4,loas,lxf,"
    "m4v,matroska,mlp,mov,mp3,mpc,mpc8,mpeg,mpegts,mpegvideo,mxf,nistsphere,nsv,nut,nuv,obu,ogg,oma,osq,pva,qcp,qoa,r3d,rka,rm,rpl,rso,sbc,"
    "shn,smjpeg,smk,sox,spdif,swf,tak,truehd,tta,ty,vc1,vc1test,voc,vqf,vvc,w64,wav,wavarc,wsd,wsvqa,wtv,wv,xa,xwma,yuv4mpegpipe"
)
"""Demuxers that read one file and nothing else; playlists, devices, picture sequences and text are left out on purpose."""

MUXERS = frozenset({"matroska", "mp4", "mov", "mp3", "ogg", "opus", "webm", "flac"})
FRAME_BAD = (FFmpegError, ValueError)
"""What decoding a bad packet raises."""

_READ_ERRORS_IN_A_ROW = 100
_HEAD = 1 << 20
_ENCRYPTION_MARKS = (b"encv", b"enca", b"cenc", b"cbcs", b"pssh")

Decoded = VideoFrame | AudioFrame
Watch = Callable[[Stream, Decoded], None]
"""Looks on while a stream is decoded for another reason."""

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


def feed_encoder(stream: Stream, limits: Limits, *, as_is: bool) -> None:
    """Threads of a decoder of pictures that works beside an encoder, before it is first used; `as_is`: nothing stands between the two."""
    stream.codec_context.thread_count = decoder_threads(limits.encoder_threads, cores_here(), as_they_are=as_is)


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
