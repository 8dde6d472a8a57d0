"""What the structure of a file tells of its end: a file that was cut off is never taken for a whole one, nor a whole one for that."""

import io
import wave
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from av.audio.frame import AudioFrame
from PIL import Image

from dmc.convert.ends import cut_off
from dmc.convert.limits import Limits
from dmc.convert.probe import probe
from tests.convert.clips import clip, song
from tests.convert.works import convert


def _sound(path: Path, codec: str, **options: str) -> Path:
    with av.open(str(path), "w", options=options) as out:
        stream = out.add_stream(codec, rate=48000)
        stream.codec_context.layout = "mono"
        for number in range(50):
            frame = AudioFrame("s16" if codec in ("flac", "pcm_s16le", "libopus") else "fltp", "mono", 4800)
            for plane in frame.planes:
                plane.update(bytes((number * i) % 97 for i in range(plane.buffer_size)))
            frame.sample_rate, frame.pts = 48000, number * 4800
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def _wav(path: Path) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(48000)
        out.writeframes(bytes(96000))
    return path


def _gif(path: Path) -> Path:
    frames = [Image.new("RGB", (40, 30), (40 * number, 0, 0)).quantize() for number in range(6)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    return path


MAKERS: dict[str, Callable[[Path], Path]] = {
    "wav": _wav,
    "gif": _gif,
    "ogg": lambda path: _sound(path, "libopus"),
    "mp3": lambda path: _sound(path, "libmp3lame"),
    "avi": lambda path: clip(path, codec="mpeg4", sound=({"codec": "libmp3lame"},), size=(160, 120), seconds=2),
    "flv": lambda path: clip(path, size=(160, 120), seconds=2),
    "mkv": lambda path: clip(path, size=(160, 120), seconds=2),
}


@pytest.fixture(scope="module", params=sorted(MAKERS))
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ends") / f"whole.{request.param}"
    return MAKERS[request.param](path)


def test_a_whole_file_is_whole_and_one_that_was_cut_off_is_not(whole: Path, tmp_path: Path) -> None:
    assert cut_off(whole) is None
    data = whole.read_bytes()
    for share in (0.5, 0.7, 0.8):
        short = tmp_path / f"{share}{whole.suffix}"
        short.write_bytes(data[: int(len(data) * share)])
        assert "cut off" in (cut_off(short) or ""), share


@pytest.mark.parametrize("kind", ["wav", "ogg", "mp3", "gif"])
def test_kinds_that_no_length_betrays_are_flagged_in_report_and_receipt(tmp_path: Path, kind: str) -> None:
    data = MAKERS[kind](tmp_path / f"whole.{kind}").read_bytes()
    end = data.rfind(b"\x21\xf9\x04") if kind == "gif" else int(0.7 * len(data))  # Between two pictures all that is there decodes.
    source = tmp_path / f"short.{kind}"
    source.write_bytes(data[:end])
    done = convert(source, "webp" if kind == "gif" else "flac", tmp_path / "out")
    assert done.report.kind == "converted"
    assert "cut off" in (done.report.reason or "")
    assert done.receipt.warnings == (done.receipt.reason,)


SAYING_NOTHING: dict[str, Callable[[Path], Path]] = {
    "film.ts": lambda path: _sound(path, "mp2"),
    "film.mpg": lambda path: _sound(path, "mp2"),
    "talk.aac": lambda path: song(path, "aac", seconds=5, layout="mono"),
    "talk.mp3": lambda path: _sound(path, "libmp3lame", write_xing="0"),
    "live.webm": lambda path: _sound(path, "libopus", live="1"),
}


@pytest.mark.parametrize("name", SAYING_NOTHING)
def test_kinds_that_say_nothing_of_their_length_are_taken_as_they_are(tmp_path: Path, name: str) -> None:
    """docs/what-happens-when.md names them: nobody can tell that their tail is missing."""
    data = SAYING_NOTHING[name](tmp_path / f"whole-{name}").read_bytes()
    source = tmp_path / name
    source.write_bytes(data[: int(0.6 * len(data))])
    assert cut_off(source) is None
    done = convert(source, "flac", tmp_path / "out")
    assert done.report.kind == "converted" and "cut off" not in (done.report.reason or "")
    assert 2.0 < (done.facts.duration_s or 0) < 4.0, "of five seconds"


def test_what_stays_as_it_is_although_it_was_cut_off_says_so(tmp_path: Path) -> None:
    data = clip(tmp_path / "whole.mkv", size=(160, 120), seconds=2).read_bytes()
    source = tmp_path / "short.mkv"
    source.write_bytes(data[: int(0.8 * len(data))])
    done = convert(source, "mkv", tmp_path / "out")
    assert (done.report.kind, len(done.receipt.warnings)) == ("skipped", 1)
    assert "already Matroska; the source seems to be cut off" in (done.report.reason or "")


def test_a_picture_that_stays_as_it_is_although_it_is_damaged_says_so(media: Path, tmp_path: Path) -> None:
    done = convert(media / "corrupt-jpeg-truncated.jpg", "jpeg", tmp_path / "out")
    assert done.report.kind == "skipped"
    assert "already JPEG; corrupt-jpeg-truncated.jpg is damaged" in (done.report.reason or "")
    whole = convert(media / "image-jpeg-gps-exif.jpg", "jpeg", tmp_path / "whole")
    assert (whole.report.kind, whole.report.reason) == ("skipped", "already JPEG")


def test_an_mp4_that_ends_before_its_last_box_is_seen_without_decoding(tmp_path: Path) -> None:
    path = convert(clip(tmp_path / "film.mkv", seconds=2), "mp4", tmp_path / "out").result
    assert cut_off(path) is None
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 100)
    assert "mdat" in (cut_off(path) or "")
    assert probe(path, Limits()).warnings == (cut_off(path),)


@pytest.mark.parametrize(
    "head", [b"RIFF\xff\xff\xff\xffWAVEfmt ", b"RIFF\0\0\0\0AVI LIST", b"", b"ID3", b"GIF89a", b"OggS", b"\xff\xfb", b"\x1aE\xdf\xa3"]
)
def test_what_was_streamed_or_is_next_to_nothing_raises_nothing(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "odd"
    for length in range(len(head) + 1):
        path.write_bytes(head[:length])
        assert cut_off(path) is None
    path.write_bytes(head.ljust(16, b"\0") + bytes(100))
    assert cut_off(path) is None or head == b"OggS"


def test_real_files_are_whole(media: Path) -> None:
    odd = {"image-gif-decompression-bomb-44-bytes.gif"}
    files = [path for path in media.iterdir() if path.suffix not in (".md", ".json")]
    assert {path.name for path in files if cut_off(path) is not None} == odd


def test_a_hostile_chain_of_boxes_ends(tmp_path: Path) -> None:
    made = io.BytesIO()
    for _ in range(20_000):
        made.write(b"\0\0\0\x08free")
    (tmp_path / "chain.mp4").write_bytes(made.getvalue() + b"\0\0\xff\xffmdat")
    assert cut_off(tmp_path / "chain.mp4") is None
