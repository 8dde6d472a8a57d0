"""What a plan expects of a conversion, and how many files are looked at together."""

import math
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dmc.clock import SystemClock
from dmc.convert import forecast
from dmc.convert.estimate import FILE_NAME, estimate, read_estimate
from dmc.convert.expect import expect
from dmc.convert.forecast import Forecast, ForecastRun, Wanted
from dmc.convert.inline import InlineExecutor
from dmc.convert.limits import Limits
from dmc.convert.plan import plan
from dmc.convert.probe import probe
from dmc.convert.recipes import RECIPES
from dmc.convert.sample import Window, sample, windows_of
from dmc.errors import StillBroken
from tests.convert.clips import clip, song
from tests.convert.works import convert

SMALL = {"height": 144}
"""Pictures so small that a whole file is soon encoded."""


def _expected(source: Path, kind: str, length_s: float, scratch: Path, **options: Any) -> Any:
    facts = probe(source, Limits())
    made = plan(facts, RECIPES[kind], options)
    scratch.mkdir()
    pieces = sample(source, facts, made, Limits(), scratch, windows_of(facts.duration_s, length_s), lambda _: None, lambda: False)
    assert os.listdir(scratch) == []
    return expect(facts, made, pieces)


def test_pieces_are_spread_and_a_short_file_is_one() -> None:
    assert windows_of(60.0, 2.0) == [Window(9.0, 11.0), Window(29.0, 31.0), Window(49.0, 51.0)]
    assert windows_of(8.0, 2.0) == [Window(0.0, math.inf)]
    assert windows_of(None, 2.0) == [Window(0.0, 6.0)]


@pytest.mark.parametrize(
    ("name", "kind", "length_s", "options"),
    [
        ("video-mpeg2-ps-hello-talk.mpg", "h264", 0.4, SMALL),
        pytest.param("video-mpeg2-ps-hello-talk.mpg", "h264", 0.4, {}, marks=pytest.mark.slow),
        ("video-mpeg2-ps-hello-talk.mpg", "av1", 0.4, SMALL),
        pytest.param("video-h264-speech-then-22s-silence.mp4", "av1", 0.5, SMALL, marks=pytest.mark.slow),
        ("speech-sync-timbl-full.mp3", "opus", 2.0, {}),
        ("speech-jfk-11s.flac", "aac", 0.5, {}),
    ],
)
def test_the_expectation_is_within_a_third_of_the_truth_on_real_files(
    media: Path, tmp_path: Path, name: str, kind: str, length_s: float, options: dict[str, Any]
) -> None:
    expected = _expected(media / name, kind, length_s, tmp_path / "scratch", **options)
    really = convert(media / name, kind, tmp_path / "out", **options).result.stat().st_size
    assert not expected.whole
    assert really / 1.33 < expected.size < really * 1.33
    assert expected.low <= really <= expected.high
    assert expected.seconds > 0


def test_a_short_file_is_encoded_whole_and_told_nearly_exactly(tmp_path: Path) -> None:
    source = clip(tmp_path / "clip.mp4", seconds=2)
    expected = _expected(source, "h265", 2.0, tmp_path / "scratch")
    really = convert(source, "h265", tmp_path / "out").result.stat().st_size
    assert expected.whole and expected.low == expected.size == expected.high
    assert abs(really - expected.size) < 1000, "but for the container's head and tags"


def test_a_stream_without_a_length_is_told_by_bytes(tmp_path: Path, media: Path) -> None:
    source = media / "video-vp9-opus-no-duration.webm"
    assert probe(source, Limits()).duration_s is None
    expected = _expected(source, "h264", 2.0, tmp_path / "scratch", **SMALL)
    really = convert(source, "h264", tmp_path / "out", **SMALL).result.stat().st_size
    assert really / 2 < expected.size < really * 2


def _run(files: list[Wanted], *, samples: bool = True) -> list[Forecast]:
    told: list[float] = []
    executor = InlineExecutor(Limits(), SystemClock(), estimate, slots=2)
    found = ForecastRun(executor, samples=samples).run(files, told.append)
    assert told == sorted(told) and told[-1] == 1.0
    return found


def _wanted(path: Path, kind: str, *, picture: bool = False, **options: Any) -> Wanted:
    return Wanted(path, path.stat().st_size, kind, options, picture)


def test_every_end_is_told_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    lean = song(tmp_path / "lean.mp3", "libmp3lame", seconds=1, layout="mono", rate=16000)
    (tmp_path / "bad.mp4").write_bytes(b"text")
    files = [
        _wanted(clip(tmp_path / "fat.mp4", codec="mjpeg", pix_fmt="yuvj420p", seconds=1), "h265"),
        _wanted(clip(tmp_path / "fine.mkv"), "h264"),
        _wanted(lean, "opus"),
        _wanted(tmp_path / "bad.mp4", "h265"),
        _wanted(lean, "webp"),
        _wanted(clip(tmp_path / "copy.mp4"), "mkv"),
    ]
    before = sorted(os.listdir(tmp_path))
    fat, fine, kept, bad, unfit, copied = (one.estimate for part in (files[:4], files[4:5], files[5:]) for one in _run(part))
    assert sorted(os.listdir(tmp_path)) == before
    assert [one.outcome for one in (fat, fine, kept, bad, unfit, copied)] == [
        "convert",
        "skip",
        "kept-original",
        "refuse",
        "refuse",
        "convert",
    ]
    assert all(one.reason for one in (fat, fine, kept, bad, unfit, copied))
    assert fat.expected is not None and fat.expected.basis == "encoded"
    assert copied.expected is not None and copied.expected.basis == "copied"
    assert "would be larger" in kept.reason
    assert all(stream.reason for stream in fat.streams)


def test_without_samples_nothing_is_encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmc.convert.estimate.sample", lambda *_: pytest.fail("a piece was encoded"))
    (one,) = _run([_wanted(clip(tmp_path / "clip.mp4"), "h265")], samples=False)
    assert (one.estimate.outcome, one.estimate.expected, one.gain) == ("convert", None, None)


def test_of_many_pictures_some_speak_for_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "PICTURES_TRIED", 3)
    files = []
    for number in range(9):
        path = tmp_path / f"{number}.png"
        Image.effect_noise((64 + 8 * number, 64), 60).convert("RGB").save(path)
        files.append(_wanted(path, "webp", picture=True))
    found = _run(files)
    bases = [one.estimate.expected.basis for one in found if one.estimate.expected is not None]
    assert sorted(bases) == ["encoded"] * 3 + ["others"] * 6
    truth = sum(convert(file.path, "webp", tmp_path / f"out{n}").result.stat().st_size for n, file in enumerate(files))
    told = sum(one.estimate.expected.size for one in found if one.estimate.expected is not None)
    assert truth / 1.1 < told < truth * 1.1


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"outcome": "convert", "reason": 1}', b'{"outcome":"convert","reason":"","expected":{"size":-1}}']
)
def test_a_worker_that_says_nonsense_is_not_believed(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(StillBroken):
        read_estimate(tmp_path)
