"""A part of a file: exact where it is encoded, at key pictures where it is copied, and nothing moves against anything else."""

from fractions import Fraction
from itertools import takewhile
from pathlib import Path
from typing import Any

import av
import pytest

from dmc.convert.cut import Cut
from dmc.convert.estimate import Estimate, estimate, read_estimate
from dmc.convert.limits import Limits
from dmc.convert.probe import probe
from dmc.convert.receipt import short_lines
from dmc.errors import BadRequest
from dmc.jobs import Job
from dmc.products import FACTS_FILE, Products
from tests.convert.clips import clip, frames_of, song
from tests.convert.works import Done, convert

SECONDS = 3.0
KEYS = {"g": "20", "bf": "2", "sc_threshold": "0"}  # A key picture every 0.8 s.


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """75 pictures, two sound tracks, subtitles, chapters; H.264 with key pictures at 0, 0.8, 1.6 and 2.4 s."""
    return clip(
        tmp_path_factory.mktemp("cut") / "source.mkv",
        seconds=SECONDS,
        params={**KEYS, "preset": "veryfast"},
        sound=({"codec": "flac"}, {"codec": "libopus"}),
        subtitles=((0.1, 0.5, "before"), (0.9, 1.3, "at the start"), (1.5, 1.7, "within"), (1.9, 2.6, "at the end"), (2.7, 2.9, "after")),
        chapters=((0, 1.1, "one"), (1.1, 1.9, "two"), (1.9, 3, "three")),
        tags={"timecode": "01:00:00:00"},
    )


def planes(path: Path) -> list[tuple[float, bytes]]:
    return [(at, b"".join(bytes(plane) for plane in frame.planes)) for at, frame in frames_of(path)]


def samples(path: Path, stream: int = 0) -> bytes:
    """All samples of a sound track, 16 bits, channels interleaved."""
    with av.open(str(path)) as media:
        resampler = av.AudioResampler("s16", "stereo", 48000)
        frames = [f for frame in media.decode(audio=stream) for f in resampler.resample(frame)] + resampler.resample(None)
        return b"".join(bytes(f.planes[0])[: f.samples * 4] for f in frames)


def cut_entry(done: Done) -> str:
    return next(entry.detail for entry in done.receipt.metadata if entry.kind == "length")


def shown(source: Path, start: float, end: float) -> list[tuple[float, bytes]]:
    """The pictures of `source` from `start` to `end`, the first one being the one that is shown at `start`; times from `start`."""
    everything = planes(source)
    first = max(n for n, (at, _data) in enumerate(everything) if at <= start + 0.001)
    return [(max(at - start, 0.0), data) for at, data in everything[first:] if at < end - 0.001]


@pytest.mark.parametrize(
    ("start", "end"),
    [(1.0, 2.0), ("00:00:01.000", "2"), (1.01, 1.99), (0, 0.04), (2.5, 60), (0.8, 1.6), (2.96, 3.0)],
    ids=["middle", "as text", "between pictures", "the first picture", "to the end and beyond", "at key pictures", "the last picture"],
)
def test_a_cut_holds_exactly_the_pictures_and_samples_of_its_time(source: Path, tmp_path: Path, start: Any, end: Any) -> None:
    done = convert(source, "h264", tmp_path / "out", start=start, end=end, crf=0)
    assert done.report.kind == "converted", done.report.errors
    first = 1.0 if isinstance(start, str) else float(start)
    last = min(float(end), SECONDS)
    expected, found = shown(source, first, last), planes(done.result)
    assert [at for at, _ in found] == pytest.approx([at for at, _ in expected], abs=0.0011)
    assert [data for _, data in found] == [data for _, data in expected]
    assert done.receipt.verification is not None
    assert done.receipt.verification.decoded_frames == len(expected)
    assert done.fate("length") == "changed"
    assert f"of {SECONDS:.1f} s, from {first:.3f} s" in cut_entry(done)
    assert done.receipt.losses == []


def test_sound_is_cut_to_the_sample(tmp_path: Path) -> None:
    whole = song(tmp_path / "tone.flac", "flac", seconds=2.0)
    done = convert(whole, "flac", tmp_path / "out", start=0.512345, end=1.7)
    begin, end = round(0.512345 * 48000), round(1.7 * 48000)
    assert samples(done.result) == samples(whole)[4 * begin : 4 * end]
    assert "it is cut at the very sample" in done.receipt.streams[0].reason
    assert done.facts.duration_s == pytest.approx((end - begin) / 48000, abs=1e-4)


@pytest.mark.parametrize("kind", ["opus", "mp3", "aac"])
def test_lossy_sound_is_as_long_as_its_cut(tmp_path: Path, kind: str) -> None:
    done = convert(song(tmp_path / "tone.flac", "flac", seconds=3.0), kind, tmp_path / "out", start=1, end=2.5)
    assert done.report.kind == "converted", done.report.errors
    assert done.facts.duration_s == pytest.approx(1.5, abs=0.06)


def test_an_ogg_is_cut_too_though_its_times_are_guessed(tmp_path: Path) -> None:
    whole = song(tmp_path / "tone.opus", "libopus", seconds=3.0)
    done = convert(whole, "flac", tmp_path / "out", start=1.25, end=2.5)
    assert samples(done.result) == samples(whole)[4 * 60000 : 4 * 120000]
    again = convert(whole, "mkv", tmp_path / "mkv", start=1.25, end=2.5)
    assert again.report.kind == "converted", again.report.errors
    assert again.facts.duration_s == pytest.approx(1.25, abs=0.05)


def test_a_remux_begins_at_the_key_picture_before_the_start_and_says_so(source: Path, tmp_path: Path) -> None:
    done = convert(source, "mkv", tmp_path / "out", start=1.0, end=2.0)
    assert done.report.kind == "converted", done.report.errors
    found = planes(done.result)
    expected = [(at - 0.8, data) for at, data in planes(source) if at > 0.799]
    assert [data for _, data in found[:30]] == [data for _, data in expected[:30]]
    assert [at for at, _ in found[:30]] == pytest.approx([at for at, _ in expected[:30]], abs=0.0011)
    assert 30 <= len(found) <= 33  # Pictures that others need are kept, those after the end or not.
    assert "from 0.800 s" in cut_entry(done)
    assert "0.200 s before the start that was asked for" in cut_entry(done)
    assert done.receipt.streams[0].action == "copy"
    assert "key picture" in done.receipt.streams[0].reason
    assert done.receipt.verification is not None
    assert done.receipt.verification.drift_s < 0.04


def test_copied_and_encoded_streams_stay_together(source: Path, tmp_path: Path) -> None:
    """A tone of 440 Hz whose phase is known: where a copied packet lies can be heard."""
    done = convert(source, "h265", tmp_path / "out", start=1.003, end=2.0)
    assert [s.action for s in done.receipt.streams[:3]] == ["encode", "copy", "copy"]
    starts = [(s.start_s or 0.0) for s in done.facts.streams[:3]]
    assert starts[0] == 0.0
    with av.open(str(done.result)) as media:
        frame = next(media.decode(audio=0))
        at = round(float(frame.time or 0) * 48000)
    original = samples(source)
    moved = samples(done.result)
    begin = round(1.003 * 48000) + at
    near = range(begin - 48, begin + 49)  # Matroska's clock has milliseconds.
    assert any(original[4 * n : 4 * n + 4000] == moved[:4000] for n in near)


def test_subtitles_and_chapters_are_shifted_and_shortened(source: Path, tmp_path: Path) -> None:
    done = convert(source, "h264", tmp_path / "out", start=1.0, end=2.0, crf=30)
    with av.open(str(done.result)) as media:
        texts = [(p.pts, p.duration, bytes(p)) for p in media.demux(subtitles=0) if p.size]
    assert texts == [(0, 300, b"at the start"), (500, 200, b"within"), (900, 100, b"at the end")]
    chapters = [(c.title, c.start_s, c.end_s) for c in done.facts.chapters]
    assert chapters == [
        ("one", 0.0, pytest.approx(0.1)),
        ("two", pytest.approx(0.1), pytest.approx(0.9)),
        ("three", pytest.approx(0.9), 1.0),
    ]
    assert done.fate("chapters") == "kept"
    assert {k.lower(): v for k, v in done.facts.tags.items()}["timecode"] == "01:00:01:00"


def test_an_mp4_takes_the_subtitles_of_a_cut_as_its_own(source: Path, tmp_path: Path) -> None:
    done = convert(source, "web", tmp_path / "out", start=1.0, end=2.0)
    assert done.report.kind == "converted", done.report.errors
    assert done.facts.duration_s == pytest.approx(1.0, abs=0.05)
    again = convert(done.result, "web", tmp_path / "again", start=0.5)
    assert again.report.kind == "converted", again.report.errors
    assert len(frames_of(again.result)) == 13  # The one that is shown at 0.5 s began at 0.48 s.
    assert [s.action for s in again.receipt.streams if s.type == "audio"] == ["copy", "copy"]


def test_vp9_holds_the_same_number_of_pictures(source: Path, tmp_path: Path) -> None:
    done = convert(source, "vp9", tmp_path / "out", start=1.0, end=1.52, crf=40)
    assert len(frames_of(done.result)) == 13


def test_variable_rates_stay_variable_within_a_cut(tmp_path: Path) -> None:
    whole = clip(tmp_path / "vfr.mkv", times=[0.0, 0.04, 0.3, 0.31, 0.5, 1.2, 1.24, 2.0], sound=())
    done = convert(whole, "h264", tmp_path / "out", start=0.4, end=1.3, crf=0)
    assert [at for at, _ in frames_of(done.result)] == pytest.approx([0.0, 0.1, 0.8, 0.84], abs=0.0011)


def test_a_clock_that_does_not_start_at_zero_counts_from_its_start(tmp_path: Path) -> None:
    late = clip(tmp_path / "late.mkv", times=[10 + n / 25 for n in range(50)], sound=({"codec": "aac", "start": 10.0, "seconds": 2.0},))
    assert (probe(late, Limits()).start_s or 0) > 9
    done = convert(late, "h264", tmp_path / "out", start=1, end=1.4, crf=0)
    assert [data for _, data in planes(done.result)] == [data for _, data in shown_from_start(late, 1.0, 1.4)]


def shown_from_start(source: Path, start: float, end: float) -> list[tuple[float, bytes]]:
    zero = probe(source, Limits()).start_s or 0.0
    return shown(source, zero + start, zero + end)


def test_a_cut_is_kept_even_if_it_is_larger(tmp_path: Path) -> None:
    lean = clip(
        tmp_path / "lean.mkv", codec="libx265", params={"x265-params": "log-level=error:crf=50", "crf": "50"}, sound=(), seconds=2.0
    )
    done = convert(lean, "h265", tmp_path / "out", start=0.5, keep_if_larger=False, crf=0)
    assert done.report.kind == "converted"
    assert done.result.stat().st_size > lean.stat().st_size


@pytest.mark.parametrize("kind", ["h264", "mkv", "opus"])
def test_a_start_beyond_the_end_is_refused_in_a_sentence(source: Path, tmp_path: Path, kind: str) -> None:
    done = convert(source, kind, tmp_path / "out", start=3.5)
    assert done.report.kind == "failed"
    assert done.report.errors[0].code == "BadRequest"
    assert "cannot begin at 3.500 s" in done.report.errors[0].message
    assert list((tmp_path / "out").iterdir()) == []


def test_the_end_is_refused_where_it_is_not_after_the_start(source: Path, tmp_path: Path) -> None:
    done = convert(source, "h264", tmp_path / "out", start=2, end="00:00:02")
    assert "is not after the start" in done.report.errors[0].message


def test_progress_goes_by_the_length_of_the_cut(source: Path, tmp_path: Path) -> None:
    done = convert(source, "h264", tmp_path / "out", start=1, end=2, crf=30)
    fractions = [fraction for fraction, _speed, _eta in done.told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_the_receipt_for_people_says_what_was_cut(source: Path, tmp_path: Path) -> None:
    done = convert(source, "h264", tmp_path / "out", start=1, end=2, crf=30)
    assert "changed: kept 1.0 s of 3.0 s, from 1.000 s to 2.000 s" in short_lines(done.receipt)


def test_the_previews_and_facts_are_those_of_the_cut(source: Path, tmp_path: Path) -> None:
    done = convert(source, "h264", tmp_path / "out", start=1, end=2, crf=30, previews=True)
    products = Products.model_validate_json((done.out / FACTS_FILE).read_bytes())
    assert products.facts.duration_s == pytest.approx(1.0, abs=0.05)
    assert products.sprite is not None


def test_a_source_with_a_short_track_leaves_that_track_out(tmp_path: Path) -> None:
    short = clip(tmp_path / "short.mp4", seconds=2.0, sound=({"codec": "aac", "seconds": 0.5}, {"codec": "aac"}))
    done = convert(short, "h264", tmp_path / "out", start=1, crf=30)
    assert [s.action for s in done.receipt.streams] == ["encode", "drop", "copy"]
    assert "between start and end" in done.receipt.streams[1].reason


def test_the_times_of_a_cut_are_exact() -> None:
    assert Cut(Fraction("1.001"), None, Fraction("1.001")).clock(Fraction(1, 30000)) == Fraction(1, 30000)
    assert Cut(Fraction("0.5"), None, Fraction("0.5")).clock(Fraction(1, 25)) == Fraction(1, 90000)
    assert Cut(Fraction("0.000001"), None, Fraction(0)).clock(Fraction(1, 12800)) == Fraction(1, 90000)


REAL = [
    ("video-h264-starts-at-10s.mp4", "h264", 1.48, 2.8),
    ("video-mpeg4-mp3-packed-bframes.avi", "h264", 1.512, 2.861),
    ("video-h264-6min-tiny.mp4", "h264", 134.224, 136.0),
    ("video-h264-interlaced-ac3.mp4", "h264", 0.259, 0.49),
    ("video-vp9-opus-no-duration.webm", "h264", 1.11, 2.1),
]


@pytest.mark.parametrize(("name", "kind", "start", "end"), REAL)
def test_real_files_are_cut_to_the_picture(media: Path, tmp_path: Path, name: str, kind: str, start: float, end: float) -> None:
    done = convert(media / name, kind, tmp_path / "out", start=start, end=end)
    assert done.report.kind == "converted", done.report.errors
    zero = probe(media / name, Limits()).start_s or 0.0
    times = [at - zero for at in _times_around(media / name, zero + start, zero + end)]
    first = max(at for at in times if at <= start + 0.001)
    expected = [max(at - start, 0.0) for at in times if first <= at < end - 0.001]
    assert [at for at, _frame in frames_of(done.result)] == pytest.approx(expected, abs=0.0021)


def _times_around(path: Path, start: float, end: float) -> list[float]:
    """When pictures are shown, from long before `start` until after `end`; hours of others need no look."""
    with av.open(str(path)) as opened:
        if start > 60:
            opened.seek(int((start - 10) * 1_000_000))
        return list(takewhile(lambda at: at < end + 1, (float(frame.time or 0) for frame in opened.decode(video=0))))


@pytest.mark.parametrize("name", ["video-vvc-h266-10bit.mp4", "video-ts-timestamp-wraparound.ts", "video-mpeg4-mp3-packed-bframes.avi"])
def test_real_files_are_remuxed_from_a_key_picture(media: Path, tmp_path: Path, name: str) -> None:
    length = probe(media / name, Limits()).duration_s or 0.0
    done = convert(media / name, "mkv", tmp_path / "out", start=0.37 * length, end=0.7 * length)
    assert done.report.kind == "converted", done.report.errors
    assert "key picture" in cut_entry(done)
    assert done.receipt.warnings == ()


@pytest.mark.parametrize(
    ("name", "kind"), [("audio-mp3-cover-and-chapters.mp3", "mp3"), ("audio-alac.m4a", "flac"), ("audio-opus-5.1.ogg", "opus")]
)
def test_real_sound_is_cut(media: Path, tmp_path: Path, name: str, kind: str) -> None:
    done = convert(media / name, kind, tmp_path / "out", start="0.5", end="00:00:01.750")
    assert done.report.kind == "converted", done.report.errors
    assert done.facts.duration_s == pytest.approx(1.25, abs=0.08)


@pytest.mark.parametrize(("kind", "basis"), [("h265", "pieces"), ("mp4", "copied")])
def test_a_plan_respects_the_cut(source: Path, tmp_path: Path, kind: str, basis: str) -> None:
    whole, part = (_estimate(source, kind, tmp_path / name, **asked) for name, asked in (("whole", {}), ("part", {"start": 1, "end": 2})))
    assert whole.expected is not None
    assert part.expected is not None
    assert part.expected.basis == basis
    assert part.expected.size < 0.7 * whole.expected.size
    assert not part.gated
    assert "to 2.000 s only" in part.reason


def test_a_plan_refuses_a_start_beyond_the_end(source: Path, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"cannot begin at 9.000 s"):
        _estimate(source, "h264", tmp_path / "out", start=9)


def _estimate(source: Path, kind: str, out: Path, **options: Any) -> Estimate:
    out.mkdir()
    job = Job(
        item_id="one",
        attempt=1,
        original=str(source),
        out_dir=str(out),
        log_file=str(out / "log"),
        label=source.name,
        conversion_type=kind,
        options=options,
        file_size=source.stat().st_size,
        sha512_checksum="",
    )
    estimate(job, Limits(), lambda *_told: None)
    return read_estimate(out)
