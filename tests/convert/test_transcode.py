"""What comes along: streams, times, languages, chapters, covers, rotation, colours, gaps; checked in the result itself."""

from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from dmc.convert.limits import Limits
from dmc.convert.probe import probe
from tests.convert.clips import TINY_PNG, clip, frames_of, song
from tests.convert.works import convert

VARIABLE = [0.0, 0.04, 0.3, 0.31, 0.5, 1.2, 1.24]
MIRRORED = (0, 65536, 0, 65536, 0, 0, 0, 0, 1 << 30)


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip with nearly everything."""
    return clip(
        tmp_path_factory.mktemp("rich") / "rich.mkv",
        sound=(
            {"codec": "aac", "tags": {"language": "eng"}, "flags": ("default",)},
            {"codec": "flac", "tags": {"language": "ger", "title": "Kommentar"}, "flags": ("comment",)},
            {"codec": "libopus", "tags": {"language": "fre"}},
        ),
        subtitles=((0.1, 0.5, "hello"), (0.6, 0.9, "good bye")),
        chapters=((0, 0.5, "one"), (0.5, 1, "two")),
        attachments=(("font.ttf", "font/ttf", b"\0\1\0\0font"), ("cover.png", "image/png", TINY_PNG)),
        tags={"title": "A clip", "location": "+48.1000+011.5000/", "creation_time": "2024-01-24T14:50:14.000000Z", "make": "Camera"},
    )


def test_all_streams_and_what_they_say_of_themselves_come_along(rich: Path, tmp_path: Path) -> None:
    done = convert(rich, "h265", tmp_path / "out")
    facts = done.facts
    assert [(s.type, s.codec) for s in facts.streams] == [
        ("video", "hevc"),
        ("audio", "aac"),
        ("audio", "flac"),
        ("audio", "opus"),
        ("subtitle", "subrip"),
        ("attachment", None),
        ("video", "png"),
    ]
    assert [s.language for s in facts.streams[1:4]] == ["eng", "ger", "fre"]
    assert facts.streams[2].tags["title"] == "Kommentar"
    assert "comment" in facts.streams[2].dispositions
    assert [(c.title, c.start_s, c.end_s) for c in facts.chapters] == [("one", 0.0, 0.5), ("two", 0.5, 1.0)]
    for kind in ("tags", "recording date", "GPS", "camera", "chapters"):
        assert done.fate(kind) == "kept"
    assert done.receipt.losses == []


def test_an_mp4_holds_what_it_can_and_the_receipt_names_the_rest(rich: Path, tmp_path: Path) -> None:
    done = convert(rich, "h264", tmp_path / "out", container="mp4", crf=30)
    tracks = [(s.type, s.codec) for s in done.facts.streams if s.type != "data"]
    assert tracks == [("video", "h264"), ("audio", "aac"), ("audio", "flac"), ("audio", "opus"), ("subtitle", "mov_text"), ("video", "png")]
    assert done.facts.index_first
    assert [s.type for s in done.receipt.streams if s.outcome == "lost"] == ["attachment"]
    assert done.fate("GPS") == "kept"
    assert done.fate("recording date") == "kept"
    assert done.fate("chapters") == "kept"
    assert done.fate("camera") == "lost"  # MP4 holds a cover or tags of any name, see tags.py.


def test_tags_of_any_name_come_along_in_an_mp4_without_cover(tmp_path: Path) -> None:
    names = {"make": "Camera", "model": "One", "com.apple.quicktime.location.ISO6709": "+48.1000+011.5000/", "title": "A clip"}
    done = convert(clip(tmp_path / "phone.mkv", tags=names), "h264", tmp_path / "out", container="mp4", crf=30)
    assert {done.fate(kind) for kind in ("camera", "GPS", "tags")} == {"kept"}


def test_text_subtitles_keep_words_and_times(rich: Path, tmp_path: Path) -> None:
    mp4 = convert(rich, "h264", tmp_path / "a", container="mp4", crf=30).result
    back = convert(mp4, "mkv", tmp_path / "b").result
    with av.open(str(back)) as media:
        said = [(float(p.pts * p.time_base), bytes(p)) for p in media.demux(subtitles=0) if p.size]
    assert [words for _at, words in said] == [b"hello", b"good bye"]
    assert [at for at, _words in said] == pytest.approx([0.1, 0.6], abs=0.03)  # Priming of the sound moves all streams alike.


@pytest.mark.parametrize(
    ("kind", "options"),
    [("h264", {"crf": 30}), ("h265", {}), ("h265", {"container": "mp4"}), ("mkv", {}), ("mp4", {}), ("vp9", {}), ("av1", {})],
)
def test_a_variable_rate_stays_variable(tmp_path: Path, kind: str, options: dict[str, object]) -> None:
    source = clip(tmp_path / ("vfr.mkv" if kind == "mp4" else "vfr.mp4"), times=VARIABLE, sound=())
    result = convert(source, kind, tmp_path / "out", **options).result
    assert [at for at, _frame in frames_of(result)] == pytest.approx(VARIABLE, abs=0.0015)


def test_a_late_start_is_shifted_to_zero_and_sound_stays_with_the_picture(tmp_path: Path) -> None:
    source = clip(tmp_path / "late.mkv", times=[10 + n / 25 for n in range(25)], sound=({"codec": "flac", "start": 10.5, "seconds": 0.4},))
    done = convert(source, "h265", tmp_path / "out")
    picture, sound = done.facts.streams
    assert (picture.start_s, sound.start_s) == pytest.approx((0.0, 0.5), abs=0.002)
    assert any("10.000 s" in warning for warning in done.receipt.warnings)


def test_a_gap_in_the_sound_is_filled_with_silence(tmp_path: Path) -> None:
    source = tmp_path / "gap.mkv"
    with av.open(str(source), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=48000)
        stream.codec_context.layout = "mono"
        for at in (0, 24000, 96000, 120000):
            frame = av.AudioFrame("s16", "mono", 24000)
            frame.planes[0].update(b"\x10\x20" * 24000)
            frame.sample_rate, frame.pts, frame.time_base = 48000, at, Fraction(1, 48000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    done = convert(source, "mp3", tmp_path / "out")
    assert done.facts.duration_s == pytest.approx(3.0, abs=0.05)


@pytest.mark.parametrize(("kind", "ending"), [("h264", "mkv"), ("h265", "mp4"), ("mkv", "mkv")])
def test_rotation_and_mirroring_come_along_once_and_the_pixels_stay(tmp_path: Path, kind: str, ending: str) -> None:
    source = clip(tmp_path / "turned.mp4", matrix=MIRRORED, codec="libx264", sound=())
    options = {} if kind == "mkv" else {"container": ending, "crf": 18}
    done = convert(source, kind, tmp_path / "out", **options)
    assert done.facts.streams[0].matrix == MIRRORED
    assert (done.facts.streams[0].width, done.facts.streams[0].height) == (64, 48)
    assert done.fate("rotation") == "kept"


@pytest.mark.parametrize("matrix", [MIRRORED, (-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30), (0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30)])
def test_a_mirror_that_nothing_could_tell_of_is_put_into_the_pixels(tmp_path: Path, matrix: tuple[int, ...]) -> None:
    source = clip(tmp_path / "turned.mp4", matrix=matrix, sound=(), seconds=0.2)
    done = convert(source, "vp9", tmp_path / "out", crf=4)
    (_, before), (_, after) = frames_of(source)[0], frames_of(done.result)[0]
    flipped = _brightest_column(before) != _brightest_column(after)
    left = done.facts.streams[0].matrix
    assert left is None or left[0] * left[4] - left[1] * left[3] > 0
    assert flipped == (done.fate("rotation") == "changed") == (matrix[0] * matrix[4] - matrix[1] * matrix[3] < 0)


def _brightest_column(frame: av.VideoFrame) -> int:
    line = bytes(frame.planes[0])[: frame.width]
    return max(range(4, frame.width - 4), key=lambda x: line[x - 4 : x + 4].count(max(line)) * 1000 + line[x])


MASTERING = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"


def _hdr10(path: Path, **more: Any) -> Path:
    params = {"x265-params": f"log-level=error:master-display={MASTERING}:max-cll=1000,400:hdr10=1"}
    return clip(path, codec="libx265", pix_fmt="yuv420p10le", colours=(9, 16, 9), params=params, sound=(), **more)


def test_aspect_depth_and_colours_stay(tmp_path: Path) -> None:
    source = _hdr10(tmp_path / "hdr.mkv", aspect=Fraction(4, 3))
    for kind, options in (("h265", {"crf": 30}), ("h264", {}), ("av1", {})):
        done = convert(source, kind, tmp_path / kind, **options)
        seen = done.facts.streams[0]
        assert (seen.depth, seen.primaries, seen.transfer, seen.colour_matrix) == (10, 9, 16, 9)
        assert (seen.mastering, seen.light_level) == (MASTERING, "1000,400")
        assert {done.fate(kind) for kind in ("HDR10", "mastering", "light level")} == {"kept"}
        assert (seen.sample_aspect, done.fate("sample aspect")) == (((1, 1), "changed") if kind == "av1" else ((4, 3), "kept"))


@pytest.mark.slow  # The scaler's table of colours takes seconds; HLG goes this way in test_fidelity.py each time.
def test_hdr10_becomes_standard_range_for_browsers(tmp_path: Path) -> None:
    web = convert(_hdr10(tmp_path / "hdr.mkv", seconds=0.2), "web", tmp_path / "web")
    assert (web.facts.streams[0].depth, web.facts.streams[0].transfer, web.facts.streams[0].primaries) == (8, 1, 1)
    assert web.fate("HDR10") == "changed"


@pytest.mark.parametrize(("size", "made"), [((63, 47), (64, 48)), ((64, 47), (64, 48))])
def test_odd_sizes_get_their_last_line_twice(tmp_path: Path, size: tuple[int, int], made: tuple[int, int]) -> None:
    source = clip(tmp_path / "odd.mkv", codec="ffv1", size=size, sound=())
    done = convert(source, "h264", tmp_path / "out", crf=10)
    (_, before), (_, after) = frames_of(source)[3], frames_of(done.result)[3]
    assert (after.width, after.height) == made
    row = bytes(after.planes[0])[46 * after.planes[0].line_size :][:40]
    expected = bytes(before.planes[0])[46 * before.planes[0].line_size :][:40]
    assert max(abs(a - b) for a, b in zip(row, expected, strict=True)) < 16


def test_a_smaller_height_scales_and_keeps_the_brightness(tmp_path: Path) -> None:
    source = clip(tmp_path / "big.mkv", codec="ffv1", size=(640, 480), sound=(), seconds=0.2)
    done = convert(source, "h264", tmp_path / "out", height=120, crf=10)
    (_, before), (_, after) = frames_of(source)[0], frames_of(done.result)[0]
    assert (after.width, after.height) == (160, 120)
    assert _brightness(before) == pytest.approx(_brightness(after), abs=0.7)


def _brightness(frame: av.VideoFrame) -> float:
    plane = frame.planes[0]
    lines = bytes(plane)
    seen = b"".join(lines[y * plane.line_size : y * plane.line_size + frame.width] for y in range(frame.height))
    return sum(seen) / len(seen)


def test_a_change_of_size_within_the_stream_is_scaled(tmp_path: Path) -> None:
    parts = [clip(tmp_path / f"{n}.ts", size=size, sound=()) for n, size in enumerate(((64, 48), (96, 64)))]
    source = tmp_path / "both.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    done = convert(source, "h265", tmp_path / "out")
    assert {(frame.width, frame.height) for _at, frame in frames_of(done.result)} == {(64, 48)}


@pytest.mark.parametrize("kind", ["opus", "mp3", "aac", "flac"])
def test_sound_files_keep_tags_chapters_and_cover(media: Path, tmp_path: Path, kind: str) -> None:
    source = media / "audio-mp3-cover-and-chapters.mp3"
    if kind == "mp3":
        source = convert(source, "opus", tmp_path / "opus").result
    done = convert(source, kind, tmp_path / "out")
    facts = done.facts
    tracks = [s for s in facts.streams if s.type != "data"]  # MP4 holds the titles of chapters in one.
    assert [s.cover for s in tracks] == [False, True]
    assert (tracks[1].width, tracks[1].height) == (1400, 1400)
    assert [c.title for c in facts.chapters] == ["Chapter title", "chap2"]
    assert facts.chapters[1].start_s == pytest.approx(0.6, abs=0.01)
    if kind == "aac":
        back = convert(done.result, "flac", tmp_path / "back")
        assert [s.outcome for s in back.receipt.streams if s.type == "data"] == ["kept"]
        assert [c.title for c in back.facts.chapters] == ["Chapter title", "chap2"]
    assert done.fate("tags") == ("changed" if kind == "aac" else "kept")  # With a cover, MP4 holds tags of known names only, see tags.py.


def test_surround_sound_keeps_its_channels_in_opus(tmp_path: Path) -> None:
    source = song(tmp_path / "six.flac", "flac", layout="5.1", rate=44100)
    seen = convert(source, "opus", tmp_path / "out").facts.streams[0]
    assert (seen.channels, seen.layout) == (6, "5.1")


def test_the_clock_of_broadcast_wave_gets_no_invented_date(media: Path, tmp_path: Path) -> None:
    done = convert(media / "audio-pcm-s24-44k-stereo.wav", "mp3", tmp_path / "out")
    here = datetime(2016, 1, 10, 15, 55).astimezone()  # A clock that names no zone is taken for one of here, as FFmpeg does.
    assert datetime.fromisoformat(done.facts.tags["creation_time"]) == here


def test_an_edit_list_does_not_shift_the_sound(media: Path, tmp_path: Path) -> None:
    done = convert(media / "video-h264-sar-2by3-anamorphic.mp4", "h265", tmp_path / "out")
    assert done.receipt.verification is not None
    assert done.receipt.verification.drift_s < 0.025
    assert probe(done.result, Limits()).streams[0].sample_aspect == (2, 3)


@pytest.mark.parametrize("kind", ["h264", "h265", "vp9", "av1"])
def test_full_range_stays_full(tmp_path: Path, kind: str) -> None:
    source = clip(tmp_path / "full.mkv", codec="mjpeg", pix_fmt="yuvj420p", sound=(), seconds=0.2)
    done = convert(source, kind, tmp_path / "out", crf=10)
    assert done.facts.streams[0].colour_range == 2
    (_, before), (_, after) = frames_of(source)[0], frames_of(done.result)[0]
    assert _brightness(before) == pytest.approx(_brightness(after), abs=0.7)


def test_vp9_takes_odd_sizes_as_they_are(tmp_path: Path) -> None:
    seen = convert(clip(tmp_path / "odd.mkv", codec="ffv1", size=(63, 47), sound=()), "vp9", tmp_path / "out").facts.streams[0]
    assert (seen.codec, seen.width, seen.height) == ("vp9", 63, 47)


@pytest.mark.parametrize(("kind", "container"), [("vp9", "mkv"), ("vp9", "mp4"), ("av1", "mp4"), ("av1", "webm")])
def test_newer_codecs_go_into_the_container_that_is_asked_for(rich: Path, tmp_path: Path, kind: str, container: str) -> None:
    done = convert(rich, kind, tmp_path / "out", container=container)
    assert done.result.suffix == f".{container}"
    assert [s.codec for s in done.facts.streams][:2] == [kind, "opus" if container == "webm" else "aac"]
    assert [s.type for s in done.receipt.streams if s.outcome == "lost" and s.type not in ("attachment", "cover")] == []


def test_flac_keeps_every_sample(media: Path, tmp_path: Path) -> None:
    source = media / "audio-pcm-s24-44k-stereo.wav"
    done = convert(source, "flac", tmp_path / "out")
    assert _samples(done.result) == _samples(source)


def _samples(path: Path) -> bytes:
    with av.open(str(path)) as media:
        resampler = av.AudioResampler("s32", "stereo", 44100)
        return b"".join(bytes(out.planes[0])[: out.samples * 8] for frame in media.decode(audio=0) for out in resampler.resample(frame))


@pytest.mark.parametrize(
    ("aspect", "options", "size"),
    [
        (Fraction(4, 3), {}, (86, 48)),
        (Fraction(1, 2), {}, (64, 96)),
        (Fraction(1, 2), {"height": 24}, (16, 24)),
        (Fraction(4, 3), {"container": "mp4"}, (64, 48)),
    ],
)
def test_pixels_become_square_where_nothing_could_say_that_they_are_not(
    tmp_path: Path, aspect: Fraction, options: dict[str, object], size: tuple[int, int]
) -> None:
    source = clip(tmp_path / "wide.mkv", aspect=aspect, sound=(), seconds=0.2)
    done = convert(source, "vp9", tmp_path / "out", **options)
    seen = done.facts.streams[0]
    squared = "container" not in options
    assert (seen.width, seen.height) == size
    assert seen.sample_aspect == ((1, 1) if squared else (4, 3))
    assert done.fate("sample aspect") == ("changed" if squared else "kept")


@pytest.mark.parametrize("kind", ["h264", "mp4", "mkv"])
def test_where_it_was_recorded_is_taken_out_if_asked(tmp_path: Path, kind: str) -> None:
    names = {"location": "+48.1000+011.5000/", "com.apple.quicktime.location.ISO6709": "+48.1/", "title": "A clip", "make": "Camera"}
    source = clip(tmp_path / "phone.mkv", tags=names, sound=())
    done = convert(source, kind, tmp_path / "out", strip_location=True, keep_if_larger=False, on_loss="refuse")
    assert done.report.kind == "converted", "neither skipped nor kept: the source holds the place"
    assert b"48.1" not in done.result.read_bytes()
    assert (done.fate("GPS"), done.fate("camera"), done.fate("tags")) == ("changed", "kept", "kept")


@pytest.mark.parametrize(
    ("kind", "options"), [("web", {}), ("mp4", {}), ("mkv", {}), ("h264", {"crf": 30}), ("h264", {"crf": 30, "container": "mp4"})]
)
def test_a_timecode_track_comes_along_with_the_pictures(tmp_path: Path, kind: str, options: dict[str, object]) -> None:
    source = clip(tmp_path / "camera.mov", tags={"timecode": "01:02:03:04"}, seconds=0.4)
    assert [s.type for s in probe(source, Limits()).streams] == ["video", "audio", "data"]
    done = convert(source, kind, tmp_path / "out", on_loss="refuse", **options)
    assert done.report.kind == "converted", done.report.errors
    assert {key.lower(): value for key, value in done.facts.streams[0].tags.items()}["timecode"] == "01:02:03:04"
    assert "timecode 01:02:03:04, which is kept with the pictures" in done.receipt.streams[2].reason
    assert (done.receipt.streams[2].outcome, done.fate("timecode"), done.receipt.losses) == ("kept", "kept", [])


def test_twelve_streams_come_along_in_their_order(tmp_path: Path) -> None:
    languages = ["eng", "ger", "fre", "ita", "spa", "por", "dut", "swe", "dan", "fin", "pol"]
    sound = [{"codec": "aac", "tags": {"language": language, "title": f"track {language}"}} for language in languages]
    done = convert(clip(tmp_path / "many.mkv", sound=sound, seconds=0.3), "h264", tmp_path / "out", crf=30)
    made = done.facts.streams
    assert [s.type for s in made] == ["video", *["audio"] * 11]
    assert [(s.language, s.tags["title"]) for s in made[1:]] == [(language, f"track {language}") for language in languages]
    assert [s.outcome for s in done.receipt.streams] == ["changed", *["kept"] * 11]
    assert done.receipt.losses == []


def test_styled_subtitles_in_an_mp4_are_told_as_changed(media: Path, tmp_path: Path) -> None:
    done = convert(media / "video-h264-ass-subtitles.mkv", "mp4", tmp_path / "out")
    [entry] = [stream for stream in done.receipt.streams if stream.type == "subtitle"]
    assert (entry.codec, entry.action, entry.outcome) == ("ass", "encode", "changed")
    assert "fonts and positions may not" in entry.reason
