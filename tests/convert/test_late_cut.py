"""A cut late in a long file reads little of it, and gives what reading all of it would give."""

import io
import os
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import av
import pytest
from av.audio.frame import AudioFrame
from av.packet import Packet
from av.video.frame import VideoFrame

from dmc.convert import keys, media
from tests.convert.clips import clip, picture
from tests.convert.works import Done, convert

LENGTH, PICTURES, RATE = 150, 2, 8000
"""Seconds, pictures and samples of each."""


def long_film(path: Path, sound: str, *, texts: bool = False) -> Path:
    """A key picture every 5 s and B-pictures between; in every second the sound has another level."""
    with av.open(str(path), "w") as out:
        video, tones = out.add_stream("libx264", rate=PICTURES), out.add_stream(sound, rate=RATE)
        context = video.codec_context
        context.width, context.height, context.pix_fmt, context.time_base = 64, 48, "yuv420p", Fraction(1, 90_000)
        context.options = {"preset": "veryfast", "g": "10", "bf": "2", "sc_threshold": "0"}
        tones.codec_context.layout = "mono"
        words = out.add_stream("subrip") if texts else None
        if words is not None:
            words.codec_context.subtitle_header = b"[Script Info]\n[V4+ Styles]\n[Events]\n"
        for second in range(LENGTH):
            for number in range(second * PICTURES, (second + 1) * PICTURES):
                frame = picture(number, 64, 48)
                frame.pts, frame.time_base = number * 90_000 // PICTURES, Fraction(1, 90_000)
                out.mux(video.encode(frame))
            samples = AudioFrame("fltp" if sound == "aac" else "s16", "mono", RATE)
            level = (struct.pack("<f", second / 500) if sound == "aac" else struct.pack("<h", 50 * second)) * RATE
            samples.planes[0].update(level + bytes(samples.planes[0].buffer_size - len(level)))
            samples.sample_rate, samples.pts, samples.time_base = RATE, second * RATE, Fraction(1, RATE)
            out.mux(tones.encode(samples))
            if words is not None and second % 30 == 0:
                packet = Packet(b"%d" % second)
                packet.stream, packet.time_base = words, Fraction(1, 1000)
                packet.pts = packet.dts = second * 1000
                packet.duration = 25_000
                out.mux(packet)
        for stream in (video, tones):
            out.mux(stream.encode(None))
    return path


def heavy_film(path: Path) -> Path:
    """Four hundred seconds of the same noise, 30 MB of it."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("mjpeg", rate=2)
        context = video.codec_context
        context.width, context.height, context.pix_fmt, context.qmin, context.qmax = 320, 240, "yuvj420p", 2, 2
        context.time_base = Fraction(1, 2)
        noise = VideoFrame(320, 240, "yuvj420p")
        for plane in noise.planes:
            plane.update(Random(1).randbytes(plane.buffer_size))
        noise.pts, noise.time_base = 0, Fraction(1, 2)
        data = b"".join(bytes(packet) for packet in [*video.encode(noise), *video.encode(None)])
        for number in range(800):
            packet = Packet(data)
            packet.stream, packet.time_base, packet.is_keyframe = video, Fraction(1, 2), True
            packet.pts = packet.dts = number
            packet.duration = 1
            out.mux(packet)
    return path


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("films")
    return {
        "mp4": long_film(folder / "film.mp4", "aac"),
        "mov": long_film(folder / "film.mov", "pcm_s16le"),
        "mkv": long_film(folder / "film.mkv", "flac", texts=True),
        "ts": long_film(folder / "film.ts", "aac"),
    }


class Counted(io.FileIO):
    """A file that counts the bytes that are read from it."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:  # type: ignore[override]
        data = super().read(-1 if size is None else size) or b""
        Counted.taken += len(data)
        return data


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], int]]:
    """How many bytes of a file were read by FFmpeg's libraries since the test began."""
    monkeypatch.setattr(Counted, "taken", 0)
    true_open = av.open
    counted: list[str] = []
    files: list[Counted] = []

    def opened(file: str, mode: str = "r", **more: Any) -> Any:
        if mode == "r" and counted and os.fspath(file) == counted[0]:
            files.append(Counted(file))
            return true_open(files[-1], mode, **more)
        return true_open(file, mode, **more)

    monkeypatch.setattr(media.av, "open", opened)

    def since(path: Path) -> int:
        if not counted:
            counted.append(str(path.absolute()))
        return Counted.taken

    yield since
    for file in files:
        file.close()


def contents(path: Path) -> dict[int, list[tuple[Any, ...]]]:
    """Every packet of every stream: when it is shown and decoded, and its bytes."""
    found: dict[int, list[tuple[Any, ...]]] = {}
    with av.open(str(path)) as opened:
        for packet in opened.demux():
            if packet.size:
                found.setdefault(packet.stream_index, []).append((packet.pts, packet.dts, bytes(packet)))
    return found


def pictures(path: Path) -> list[bytes]:
    with av.open(str(path)) as opened:
        return [bytes(frame.planes[0]) for frame in opened.decode(video=0)]


def unlike(one: bytes, other: bytes) -> float:
    """The mean difference of two pictures, in levels of brightness."""
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def read_from_the_beginning(monkeypatch: pytest.MonkeyPatch, source: Path, kind: str, out: Path, **options: Any) -> Done:
    with monkeypatch.context() as patch:
        patch.setattr(keys, "_SEEKS", frozenset())
        return convert(source, kind, out, **options)


@pytest.mark.parametrize("name", ["mp4", "mov", "mkv", "ts"])
@pytest.mark.parametrize("kind", ["h264", "mkv", "flac"])
def test_it_gives_what_reading_everything_would_give(
    films: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    options = {"start": 113.35, "end": 118.1} | ({"crf": 30} if kind == "h264" else {})
    quick = convert(films[name], kind, tmp_path / "quick", **options)
    slow = read_from_the_beginning(monkeypatch, films[name], kind, tmp_path / "slow", **options)
    assert quick.report.kind == slow.report.kind == "converted", (quick.report, slow.report)
    found, expected = contents(quick.result), contents(slow.result)
    assert found.keys() == expected.keys()
    for index in found:
        assert [packet[:2] for packet in found[index]] == [packet[:2] for packet in expected[index]]
        # A decoder of AAC makes noise of its own, which differs by where it began; x264 chooses otherwise now and then.
        if (kind != "flac" or name in ("mov", "mkv")) and (kind, index) != ("h264", 0):
            assert found[index] == expected[index]
    if kind == "h264":
        assert all(unlike(*pair) < 1 for pair in zip(pictures(quick.result), pictures(slow.result), strict=True))
        assert unlike(*pictures(slow.result)[1:3]) > 3  # Another picture would be seen.
    told = [next(entry.detail for entry in done.receipt.metadata if entry.kind == "length") for done in (quick, slow)]
    assert told[0] == told[1] + "; the source was read, and looked at for damage, only there"


@pytest.mark.parametrize("name", ["film.mov", "film.mkv"])
def test_it_reads_little(tmp_path: Path, reading: Callable[[Path], int], name: str) -> None:
    source = heavy_film(tmp_path / name)
    reading(source)
    done = convert(source, "h264", tmp_path / "out", start=380, end=381)
    assert done.report.kind == "converted"
    assert 0 < reading(source) < 0.2 * source.stat().st_size, (reading(source), source.stat().st_size)


@pytest.mark.parametrize(
    ("name", "codec", "sound"),
    [
        ("gap.mkv", "libx264", ({"codec": "flac", "start": 112.5, "seconds": 2.0, "rate": 8000},)),
        ("old.avi", "mpeg4", ()),
    ],
    ids=["a sound that begins after where a seek would lead", "a container whose times are made up"],
)
def test_where_a_seek_might_miss_something_all_is_read(tmp_path: Path, name: str, codec: str, sound: tuple[dict[str, Any], ...]) -> None:
    times = [n / 2 for n in range(240)]
    source = clip(tmp_path / name, codec=codec, times=times, params={"g": "10"}, sound=sound)
    done = convert(source, "h264", tmp_path / "out", start=112, end=114, crf=30)
    assert done.report.kind == "converted", done.report.errors
    [told] = [entry.detail for entry in done.receipt.metadata if entry.kind == "length"]
    assert "looked at for damage" not in told
