"""Whole conversions: every end of a job is a report, and the output folder holds what the report says."""

import os
import threading
import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from dmc.conversions import MediaType
from dmc.convert.limits import Limits
from dmc.convert.progress import EVERY_S, Meter, alive
from tests.convert.clips import clip, picture, song
from tests.convert.works import convert
from tests.patience import PATIENCE_S


def test_a_converted_file_has_result_receipt_and_nothing_else(tmp_path: Path) -> None:
    done = convert(clip(tmp_path / "clip.mp4"), "h265", tmp_path / "out")
    assert (done.report.kind, done.report.media_type, done.report.reason) == ("converted", MediaType.VIDEO, None)
    assert done.report.result is not None
    assert sorted(os.listdir(done.out)) == ["receipt.json", "result.mkv"]
    assert done.report.result.file_size == done.result.stat().st_size
    assert done.receipt.result is not None
    assert done.receipt.verification is not None
    assert done.receipt.result.sha512 == done.report.result.sha512_checksum == done.receipt.verification.sha512
    assert done.told[-1] == (1.0, None, 0.0)


def test_progress_is_told_at_most_four_times_a_second_and_never_falls() -> None:
    now = [0.0]
    told: list[tuple[float, float | None, float | None]] = []
    meter = Meter(lambda *step: told.append(step), 10.0, lambda: now[0])
    for n in range(1000):
        now[0] += 0.01
        meter.transcoded(Fraction(n if n % 7 else 0, 100))
    for n in range(1000):
        now[0] += 0.01
        meter.verified(Fraction(n, 100))
    fractions = [fraction for fraction, _speed, _eta in told]
    assert len(told) <= 20 / EVERY_S + 2
    assert fractions == sorted(fractions)
    assert 0.85 < fractions[len(fractions) // 2] < 0.95
    assert fractions[-1] > 0.95
    assert told[20][1] == pytest.approx(1.0, abs=0.1)


def test_a_result_that_is_larger_is_thrown_away_unless_wished(tmp_path: Path) -> None:
    small = song(tmp_path / "small.mp3", "libmp3lame", seconds=0.3, layout="mono", rate=16000)
    done = convert(small, "opus", tmp_path / "a", keep_if_larger=False)
    assert done.report.kind == "kept-original"
    assert "would be larger" in (done.report.reason or "")
    assert os.listdir(done.out) == ["receipt.json"]
    assert (done.receipt.outcome, done.receipt.result) == ("kept-original", None)
    assert convert(small, "opus", tmp_path / "b").report.kind == "converted"


@pytest.mark.parametrize("kind", ["web", "mkv"])
def test_types_that_are_about_playing_keep_a_larger_result(tmp_path: Path, kind: str) -> None:
    source = clip(tmp_path / "clip.mp4", pix_fmt="yuv444p", params={"crf": "50"})
    assert convert(source, kind, tmp_path / "out", keep_if_larger=False).report.kind == "converted"


def test_what_is_already_as_wished_is_skipped_with_a_receipt(tmp_path: Path) -> None:
    done = convert(clip(tmp_path / "clip.mkv"), "h264", tmp_path / "out")
    assert (done.report.kind, done.report.reason) == ("skipped", "already H.264")
    assert done.receipt.outcome == "skipped"
    assert os.listdir(done.out) == ["receipt.json"]


@pytest.mark.parametrize(
    ("kind", "options", "code"),
    [
        ("h264", {"cfr": 3}, "BadRequest"),
        ("h266", {}, "UnknownConversion"),
        ("webp", {}, "UnfitConversion"),
    ],
)
def test_wrong_wishes_end_as_failed_with_a_hint(tmp_path: Path, kind: str, options: dict[str, Any], code: str) -> None:
    done = convert(clip(tmp_path / "clip.mkv"), kind, tmp_path / "out", **options)
    assert done.report.kind == "failed"
    assert done.report.errors[0].code == code
    assert done.report.errors[0].hint
    assert os.listdir(done.out) == []


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "NotMedia"),
        (b"text " * 99, "NotMedia"),
        (b"#EXTM3U\n/etc/passwd\n", "NotMedia"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "DamagedMedia"),
    ],
)
def test_what_is_not_media_ends_as_failed(tmp_path: Path, content: bytes, code: str) -> None:
    source = tmp_path / "clip.mp4"
    source.write_bytes(content)
    done = convert(source, "h264", tmp_path / "out")
    assert (done.report.kind, done.report.errors[0].code) == ("failed", code)
    assert os.listdir(done.out) == []


def test_a_truncated_source_is_converted_but_told_or_refused_when_little_is_left(media: Path, tmp_path: Path) -> None:
    whole = (media / "video-h264-aac-720p-hello-talk.mp4").read_bytes()
    most, little = tmp_path / "most.mp4", tmp_path / "little.mp4"
    most.write_bytes(whole[:3_300_000])
    little.write_bytes(whole[:400_000])
    done = convert(most, "mkv", tmp_path / "a")
    assert done.report.kind == "converted"
    assert "promises 8.3 s" in (done.report.reason or "")
    assert done.receipt.reason in done.receipt.warnings
    refused = convert(little, "mkv", tmp_path / "b")
    assert (refused.report.kind, refused.report.errors[0].code) == ("failed", "DamagedMedia")
    assert os.listdir(refused.out) == []


def test_on_loss_refuse_ends_without_a_result(media: Path, tmp_path: Path) -> None:
    source = media / "video-hevc-hlg-dolbyvision-editlist-rotated-vfr.mp4"
    done = convert(source, "mkv", tmp_path / "out", on_loss="refuse")
    assert (done.report.kind, done.report.errors[0].code) == ("failed", "LossRefused")
    assert os.listdir(done.out) == []


def test_stopping_leaves_nothing_behind(tmp_path: Path) -> None:
    asked = iter(range(1000))
    done = convert(clip(tmp_path / "clip.mkv", seconds=2), "h265", tmp_path / "out", stop=lambda: next(asked) > 20)
    assert done.report.kind == "cancelled"
    assert os.listdir(done.out) == []


def test_a_full_disk_is_a_matter_of_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = clip(tmp_path / "clip.mkv")

    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dmc.convert.engine.write_receipt", full)
    done = convert(source, "h265", tmp_path / "out")
    assert (done.report.kind, done.report.errors[0].code) == ("unavailable", "DiskFull")
    assert os.listdir(done.out) == []


@pytest.mark.parametrize(("name", "kind"), [("image-jpeg-gps-exif.jpg", "webp"), ("image-gif-animated.gif", "png")])
def test_pictures_go_through_the_same_door(media: Path, tmp_path: Path, name: str, kind: str) -> None:
    done = convert(media / name, kind, tmp_path / "out")
    assert (done.report.kind, done.report.media_type) == ("converted", MediaType.IMAGE)
    assert done.result.stat().st_size > 0
    assert done.receipt.conversion_type == kind


def test_a_picture_that_is_already_as_wished_is_skipped(media: Path, tmp_path: Path) -> None:
    assert convert(media / "image-jpeg-cmyk.jpg", "jpeg", tmp_path / "out").report.reason == "already JPEG"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("video-h264-vfr-android-slowmotion.mp4", "h265"),
        ("video-h264-pgs-bitmap-subtitles.mkv", "h265"),
        ("video-h264-interlaced-ac3.mp4", "web"),
        ("video-ts-timestamp-wraparound.ts", "h265"),
        ("video-wmv2-wmav2.wmv", "h264"),
        ("video-vp9-odd-dimensions-161x121.webm", "h265"),
        ("video-theora-named-ogg.ogg", "mkv"),
        ("audio-alac.m4a", "mp3"),
        ("audio-pcm-f32-5.1-extensible.wav", "opus"),
        ("corrupt-mp3-200kb-garbage-prefix.mp3", "opus"),
        ("corrupt-mp4-audio-missing-stsd.mp4", "mkv"),
    ],
)
def test_real_files_come_through_verified(media: Path, tmp_path: Path, name: str, kind: str) -> None:
    done = convert(media / name, kind, tmp_path / "out")
    assert done.report.kind == "converted", done.report
    assert done.receipt.verification is not None
    assert done.receipt.verification.passed
    assert all(entry.reason for entry in done.receipt.streams)


@pytest.mark.parametrize("pictures", [1, 2, 3])
def test_very_short_clips_get_decoding_times_that_can_be(tmp_path: Path, pictures: int) -> None:
    source = clip(tmp_path / "short.mkv", times=[n / 25 for n in range(pictures)], sound=())
    for n in range(6):
        for container in ("mkv", "mp4"):
            done = convert(source, "h265", tmp_path / f"{container}{n}", container=container)
            assert done.report.kind == "converted", done.report


def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    def peak(seconds: int) -> int:
        source = tmp_path / f"{seconds}.mp4"
        with av.open(str(source), "w") as out:
            stream = out.add_stream("mpeg4", rate=25)
            stream.codec_context.width, stream.codec_context.height = 32, 32
            for n in range(seconds * 25):
                frame = picture(n, 32, 32)
                frame.pts, frame.time_base = n, Fraction(1, 25)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        tracemalloc.start()
        try:
            assert convert(source, "mkv", tmp_path / f"out{seconds}", limits=Limits()).report.kind == "converted"
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(40) < peak(4) * 1.1 + 50_000


def test_without_a_known_length_progress_counts_bytes() -> None:
    now = [0.0]
    told: list[float] = []
    meter = Meter(lambda fraction, _speed, _eta: told.append(fraction), None, lambda: now[0])
    for n in range(100):
        now[0] += 1.0
        meter.transcoded(Fraction(n), n / 100)
    meter.transcoded(None, 0.0)
    for n in range(100):
        now[0] += 1.0
        meter.verified(Fraction(n))
    assert told == sorted(told)
    assert (told[50], told[149], told[-1]) == (pytest.approx(0.45), pytest.approx(0.9, abs=0.1), pytest.approx(1.0))


def test_one_long_call_shows_signs_of_life_but_not_for_ever() -> None:
    beats: list[int] = []
    ended = threading.Event()

    def beat() -> None:
        beats.append(1)
        if len(beats) == 3:
            ended.set()

    with alive(beat, 60.0, every_s=0.001):
        assert ended.wait(PATIENCE_S)
    after = len(beats)
    with alive(beat, 0.0, every_s=0.001):
        ended.wait(0.01)
    assert len(beats) == after
