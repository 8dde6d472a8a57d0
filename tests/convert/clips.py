"""Small media files made by the tests: a clip with whatever is asked for, from pictures and tones that are computed."""

import base64
import math
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame

RATE = 48000
TINY_PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNg+M9QDwADgQF/e5IkGQAAAABJRU5ErkJggg==")


def picture(number: int, width: int, height: int, pix_fmt: str = "yuv420p") -> VideoFrame:
    """A picture that differs from its neighbours: a ramp that wanders."""
    frame = VideoFrame(width, height, pix_fmt)
    deep = "10" in pix_fmt
    for index, plane in enumerate(frame.planes):
        line = bytes(((x * 3 + number * 5 + index * 40) % 200) + 20 for x in range(plane.line_size))
        if deep:
            line = struct.pack(f"<{plane.line_size // 2}H", *(((x * 7 + number * 5) % 800) + 80 for x in range(plane.line_size // 2)))
        plane.update(line * plane.height)
    return frame


def tone(start: int, samples: int, rate: int = RATE, layout: str = "stereo") -> AudioFrame:
    """440 Hz from sample `start` on."""
    frame = AudioFrame("fltp", layout, samples)
    wave = struct.pack(f"<{samples}f", *(0.3 * math.sin(2 * math.pi * 440 * (start + n) / rate) for n in range(samples)))
    for plane in frame.planes:
        plane.update(wave + bytes(plane.buffer_size - len(wave)))
    frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
    return frame


def clip(
    path: Path,
    *,
    codec: str = "libx264",
    size: tuple[int, int] = (64, 48),
    times: Sequence[float] | None = None,
    pix_fmt: str = "yuv420p",
    params: dict[str, str] | None = None,
    sound: Sequence[dict[str, Any]] = ({"codec": "aac"},),
    seconds: float = 1.0,
    tags: dict[str, str] | None = None,
    chapters: Sequence[tuple[float, float, str]] = (),
    matrix: tuple[int, ...] | None = None,
    aspect: Fraction | None = None,
    colours: tuple[int, int, int] | None = None,
    attachments: Sequence[tuple[str, str, bytes]] = (),
    subtitles: Sequence[tuple[float, float, str]] = (),
) -> Path:
    """A clip at `path`; `times` are those of the pictures (default: 25 a second), each of `sound` names codec, start, tags, flags."""
    with av.open(str(path), "w") as out:
        video = out.add_stream(codec, rate=25)
        context = video.codec_context
        context.width, context.height, context.pix_fmt = *size, pix_fmt
        context.time_base = Fraction(1, 1000)
        usual = {"libx264": {"preset": "ultrafast"}, "libx265": {"preset": "ultrafast", "x265-params": "log-level=error"}}
        context.options = {**usual.get(codec, {}), **(params or {})}
        if aspect is not None:
            context.sample_aspect_ratio = aspect
        if colours is not None:
            context.color_primaries, context.color_trc, context.colorspace = colours
        if matrix is not None:
            video.set_display_matrix(matrix)
        tracks = [_track(out, spec) for spec in sound]
        text = out.add_stream("mov_text" if path.suffix == ".mp4" else "subrip") if subtitles else None
        if text is not None:
            text.codec_context.subtitle_header = b"[Script Info]\n[V4+ Styles]\n[Events]\n"
        for name, mime, data in attachments:
            out.add_attachment(name, mime, data)
        out.metadata.update(tags or {})
        if chapters:
            out.set_chapters(
                [
                    {
                        "id": n,
                        "start": round(a * 1000),
                        "end": round(b * 1000),
                        "time_base": Fraction(1, 1000),
                        "metadata": {"title": title},
                    }
                    for n, (a, b, title) in enumerate(chapters)
                ]
            )
        for number, at in enumerate(times if times is not None else [n / 25 for n in range(round(seconds * 25))]):
            frame = picture(number, *size, pix_fmt)
            frame.pts, frame.time_base = round(at * 1000), Fraction(1, 1000)
            out.mux(video.encode(frame))
        for stream, spec in tracks:
            _sing(out, stream, spec, seconds)
        for start, end, words in subtitles:
            packet = Packet(_words(words, path))
            packet.stream, packet.time_base = text, Fraction(1, 1000)
            packet.pts = packet.dts = round(start * 1000)
            packet.duration = round((end - start) * 1000)
            out.mux(packet)
        out.mux(video.encode(None))
        for stream, _spec in tracks:
            out.mux(stream.encode(None))
    return path


def song(
    path: Path, codec: str, *, seconds: float = 1.0, rate: int = RATE, layout: str = "stereo", tags: dict[str, str] | None = None
) -> Path:
    """Sound only."""
    with av.open(str(path), "w") as out:
        stream, spec = _track(out, {"codec": codec, "rate": rate, "layout": layout})
        out.metadata.update(tags or {})
        _sing(out, stream, spec, seconds)
        out.mux(stream.encode(None))
    return path


def _track(out: Any, spec: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    stream = out.add_stream(spec["codec"], rate=spec.get("rate", RATE))
    stream.codec_context.layout = spec.get("layout", "stereo")
    stream.metadata.update(spec.get("tags", {}))
    stream.disposition = Disposition(sum(Disposition[flag] for flag in spec.get("flags", ())))
    return stream, spec


def _sing(out: Any, stream: Any, spec: dict[str, Any], seconds: float) -> None:
    rate, first = spec.get("rate", RATE), round(spec.get("start", 0.0) * spec.get("rate", RATE))
    total = round(spec.get("seconds", seconds) * rate)
    for at in range(0, total, 1024):
        frame = tone(at, min(1024, total - at), rate, spec.get("layout", "stereo"))
        frame.pts = first + at
        out.mux(stream.encode(frame))


def _words(words: str, path: Path) -> bytes:
    data = words.encode()
    return struct.pack(">H", len(data)) + data if path.suffix == ".mp4" else data


def frames_of(path: Path) -> list[tuple[float, VideoFrame]]:
    """All pictures of the first video stream, with their times."""
    with av.open(str(path)) as media:
        return [(frame.time, frame) for frame in media.decode(video=0)]
