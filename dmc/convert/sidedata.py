"""What PyAV does not hand out safely: the display matrix of a stream, and the HDR notes of a frame.

`frame.side_data` raises or kills the interpreter on some files, and the whole display matrix is nowhere to be had. So the
matrix is read from the header that the mov muxer writes for a copy of the stream (in memory), and the notes from what FFmpeg's
own `showinfo` filter says of a frame.
"""

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import av
import av.filter
import av.logging
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

IDENTITY = (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
_HEADER_ONLY = {"movflags": "empty_moov", "strict": "experimental"}


@dataclass(frozen=True, slots=True)
class FrameNotes:
    """HDR metadata of a frame: `mastering` and `light_level` as x265 and x264 take them, `dynamic` by its name.

    `chroma_location` is FFmpeg's name (`left`, `topleft` …) of where colour samples lie among those of brightness; None if nothing says it.
    """

    mastering: str | None = None
    light_level: str | None = None
    dynamic: str | None = None
    chroma_location: str | None = None


def display_matrix(stream: VideoStream) -> tuple[int, ...] | None:
    """The nine numbers of the display matrix in FFmpeg's layout, without its shift; None if it changes nothing,
    or if mov does not take the codec (then `matrix_of_rotation` of a decoded frame is all there is).
    """
    header = io.BytesIO()
    try:
        with av.open(header, "w", format="mov", container_options=_HEADER_ONLY) as container:
            container.add_stream_from_template(stream, opaque=True)
            container.start_encoding()
    except (FFmpegError, ValueError):
        return None
    for payload in _boxes(header.getvalue(), (b"moov", b"trak", b"tkhd")):
        at = 52 if payload[:1] == b"\x01" else 40
        a, b, _u, c, d, _v, _x, _y, _w = struct.unpack_from(">9i", payload, at)
        matrix = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
        return None if matrix == IDENTITY else matrix
    return None


def matrix_of_rotation(degrees: int) -> tuple[int, ...] | None:
    """The display matrix of a counter-clockwise rotation by a multiple of 90 degrees; None for no rotation."""
    turns = {90: (0, -65536, 65536, 0), 180: (-65536, 0, 0, -65536), 270: (0, 65536, -65536, 0)}
    turn = turns.get(round(degrees / 90) * 90 % 360)
    return None if turn is None else (turn[0], turn[1], 0, turn[2], turn[3], 0, 0, 0, 1 << 30)


def _boxes(data: bytes, path: tuple[bytes, ...]) -> Iterator[bytes]:
    """Payloads of the ISO boxes at `path`, in file order."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8:
            return
        if kind == path[0]:
            payload = data[at + 8 : at + size]
            if len(path) == 1:
                yield payload
            else:
                yield from _boxes(payload, path[1:])
        at += size


def notes_of(frame: VideoFrame) -> FrameNotes:
    """The HDR metadata that FFmpeg sees on `frame`. No decoder of this process may have threads of its own meanwhile; see probe.py."""
    text = _described(frame)
    dynamic = None
    if "SMPTE2094-40" in text:
        dynamic = "HDR10+"
    elif "Dolby Vision" in text:
        dynamic = "Dolby Vision"
    elif "Vivid" in text:
        dynamic = "HDR Vivid"
    where = re.search(r" cl:([a-z]+) ", text)
    return FrameNotes(_mastering(text), _light_level(text), dynamic, None if where is None or where[1] == "unspecified" else where[1])


def _described(frame: VideoFrame) -> str:
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    graph.link_nodes(source, graph.add("showinfo", checksum="0"), graph.add("buffersink")).configure()
    before, repeats = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.INFO)
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture() as lines:
            graph.push(frame)
            graph.pull()
    finally:
        av.logging.set_skip_repeated(repeats)
        av.logging.set_level(before)
        if before is not None:
            libav_speaks()
    return "".join(line for _level, _name, line in lines)


def libav_speaks() -> None:
    """Errors of FFmpeg's libraries go to stderr by their own words, not through Python: its log callback can deadlock with threads.

    PyAV's level is set too, as a mark that they shall be heard; left alone it means that nobody asked.
    """
    av.logging.set_level(av.logging.ERROR)
    av.logging.restore_default_callback()
    av.logging.set_libav_level(av.logging.ERROR)


def libav_has_said_enough() -> None:
    """From here on only what ends everything: a damaged file would fill the disk with complaints."""
    av.logging.set_libav_level(av.logging.FATAL)


def _mastering(text: str) -> str | None:
    """`G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min)` in units of 0.00002 and 0.0001 cd/m2; None unless both parts are there."""
    number = r"\s*(-?[\d.]+)"
    pair = rf"\({number},{number}\)"
    pattern = (
        rf"has_primaries:1 has_luminance:1 r{pair} g{pair} b\({number},?{number}\) wp{pair} min_luminance={number}, max_luminance={number}"
    )
    found = re.search(pattern, text)
    if found is None:
        return None
    values = [float(value) for value in found.groups()]
    rx, ry, gx, gy, bx, by, wx, wy = (round(value * 50000) for value in values[:8])
    least, most = round(values[8] * 10000), round(values[9] * 10000)
    return f"G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({most},{least})"


def _light_level(text: str) -> str | None:
    found = re.search(r"MaxCLL=(\d+), MaxFALL=(\d+)", text)
    return None if found is None else f"{found[1]},{found[2]}"
