"""Timecodes keep to the pictures that they count."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from dmc.convert.timecode import fits, moved, said_in, same
from tests.convert.clips import TINY_PNG, picture
from tests.convert.works import convert

NTSC, FAST = Fraction(30000, 1001), Fraction(60000, 1001)


@pytest.mark.parametrize(
    ("code", "rate", "seconds", "found"),
    [
        ("01:00:00:00", Fraction(25), Fraction(1), "01:00:01:00"),
        ("01:00:00:20", Fraction(25), Fraction("0.4"), "01:00:01:05"),
        ("23:59:59:24", Fraction(25), Fraction(1, 25), "00:00:00:00"),
        ("00:00:59;29", NTSC, 1 / NTSC, "00:01:00;02"),
        ("00:09:59;29", NTSC, 1 / NTSC, "00:10:00;00"),
        ("01:00:00;00", NTSC, Fraction(600 * 999 + 600, 1000), "01:10:00;00"),
        ("00:00:59;59", FAST, 1 / FAST, "00:01:00;04"),
        ("00:00:59:29", NTSC, 1 / NTSC, "00:01:00:00"),
        ("00:00:00:00", Fraction(24), Fraction("0.99"), "00:00:00:23"),
        ("reel 7", Fraction(25), Fraction(1), "reel 7"),
    ],
)
def test_the_timecode_of_a_later_picture(code: str, rate: Fraction, seconds: Fraction, found: str) -> None:
    assert moved(code, rate, seconds) == found


def test_drop_frame_counts_every_picture_once_a_day() -> None:
    """All codes of eleven minutes, one picture at a time: each follows the one before, and none comes twice."""
    code, seen = "00:59:00;02", set()
    for _ in range(11 * 1800):
        assert code not in seen
        seen.add(code)
        code = moved(code, NTSC, 1 / NTSC)
    assert not any(c.endswith((";00", ";01")) and c[6:8] == "00" and c[4] != "0" for c in seen)


@pytest.mark.parametrize(
    ("code", "rate", "found"),
    [
        ("01:00:00:00", (25, 1), True),
        ("01:00:00;00", (30000, 1001), True),
        ("01:00:00;00", (60000, 1001), True),
        ("01:00:00;00", (25, 1), False),
        ("01:00:00;00", (2937, 100), False),
        ("01:00:00:25", (25, 1), False),
        ("24:00:00:00", (25, 1), False),
        ("01:00:00:00", (1000, 1), False),
        ("01:00:00:00", (1, 4), False),
        ("01:00:00:00", None, False),
        ("reel 7", (25, 1), False),
    ],
)
def test_what_a_timecode_track_can_hold(code: str, rate: tuple[int, int] | None, found: bool) -> None:
    assert fits(code, rate) == found


def test_pictures_may_have_two_or_three_digits() -> None:
    assert same("01:00:00:07", "01:00:00:007")
    assert not same("01:00:00:07", "01:00:00;07")
    assert not same("01:00:00:07", None)
    assert same("reel 7", "reel 7")


def film(path: Path, code: str, rate: Fraction, times: list[int] | None = None, on: str = "stream") -> Path:
    """Ten pictures, `times` in milliseconds, with a timecode on the stream or on the file."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=rate)
        context = video.codec_context
        context.width, context.height, context.pix_fmt, context.options = 64, 48, "yuv420p", {"preset": "ultrafast"}
        context.time_base = Fraction(1, 1000)
        (video if on == "stream" else out).metadata["timecode"] = code
        for number in range(10):
            frame = picture(number, 64, 48)
            frame.pts = round(number * 1000 / rate) if times is None else times[number]
            frame.time_base = Fraction(1, 1000)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


ODD = [0, 33, 67, 100, 133, 200, 267, 300, 333, 400]


@pytest.mark.parametrize("kind", ["mp4", "web"])
@pytest.mark.parametrize(
    ("code", "rate", "times"),
    [
        ("01:00:00;00", Fraction(25), None),
        ("01:00:00;02", Fraction(2937, 100), ODD),
        ("01:00:00:00", Fraction(1000), None),
        ("01:00:00:00", Fraction(1, 4), None),
        ("99:99:99:99", Fraction(25), None),
        ("reel 7", Fraction(25), None),
    ],
    ids=["drop-frame at 25", "drop-frame at an odd rate", "1000 a second", "one every 4 s", "no such time", "no timecode"],
)
def test_what_no_track_can_hold_becomes_a_tag_and_fails_nothing(
    tmp_path: Path, kind: str, code: str, rate: Fraction, times: list[int] | None
) -> None:
    done = convert(film(tmp_path / "film.mkv", code, rate, times), kind, tmp_path / "out", on_loss="refuse")
    assert done.report.kind == "converted", done.report.errors
    assert said_in(done.facts.tags) == code
    assert said_in(done.facts.streams[0].tags) is None
    [entry] = [entry for entry in done.receipt.metadata if entry.kind == "timecode of stream 0"]
    assert (entry.outcome, entry.detail.startswith(f"{code} became a tag of the file")) == ("changed", True)


@pytest.mark.parametrize("on", ["stream", "file"])
def test_what_a_track_can_hold_is_one(tmp_path: Path, on: str) -> None:
    for kind in ("mp4", "h265"):
        done = convert(film(tmp_path / f"{kind}.mkv", "01:00:00;02", Fraction(30000, 1001), on=on), kind, tmp_path / kind)
        entry = next(entry for entry in done.receipt.metadata if entry.kind == "timecode of stream 0")
        assert (entry.outcome, entry.detail) == ("kept", "01:00:00;02")
    assert said_in(convert(tmp_path / "h265.mkv", "mp4", tmp_path / "mp4-again").facts.streams[0].tags) == "01:00:00;02"


def test_a_timecode_beside_a_cover_is_said_to_be_lost(tmp_path: Path) -> None:
    """MP4 holds a cover or tags of any name, and such a timecode would be one."""
    source = film(tmp_path / "film.mkv", "01:00:00;00", Fraction(25))
    with_cover = tmp_path / "cover.mkv"
    with av.open(str(source)) as media, av.open(str(with_cover), "w") as out:
        copy = out.add_stream_from_template(media.streams[0])
        copy.metadata["timecode"] = "01:00:00;00"
        out.add_attachment("cover.png", "image/png", TINY_PNG)
        for packet in media.demux():
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    done = convert(with_cover, "mp4", tmp_path / "out")
    assert done.report.kind == "converted"
    assert done.receipt.losses == ["timecode of stream 0: 01:00:00;00 did not come along"]
