"""What must come along and no other test looks at in the result itself: HLG, HDR10+, interlaced, fonts, covers, flags, places, PGS."""

from collections.abc import Mapping
from pathlib import Path

import av
import pytest
from av.stream import AttachmentStream, Disposition

from dmc.convert.limits import Limits
from dmc.convert.probe import probe
from tests.convert.clips import TINY_PNG, clip, frames_of
from tests.convert.works import convert

HLG = (9, 18, 9)
PHONE = {
    "creation_time": "2024-01-24T14:50:14.000000Z",
    "com.apple.quicktime.location.ISO6709": "+48.1372+011.5755+519.123/",
    "com.apple.quicktime.make": "Maker",
    "com.apple.quicktime.model": "Model 15",
}


def packets_of(path: Path, kind: str) -> list[tuple[float, bytes]]:
    """Times and bytes of the packets of the first stream of this kind."""
    with av.open(str(path)) as media:
        stream = next(s for s in media.streams if s.type == kind)
        return [(float((p.pts or 0) * p.time_base), bytes(p)) for p in media.demux(stream) if p.size]


@pytest.mark.parametrize(
    ("kind", "options"), [("h264", {"crf": 30}), ("h265", {"crf": 30}), ("h265", {"crf": 30, "container": "mp4"}), ("av1", {}), ("mkv", {})]
)
def test_hlg_is_kept_and_read_back(tmp_path: Path, kind: str, options: Mapping[str, object]) -> None:
    source = clip(tmp_path / "hlg.mp4", codec="libx265", pix_fmt="yuv420p10le", colours=HLG, sound=(), seconds=0.2)
    done = convert(source, kind, tmp_path / "out", on_loss="refuse", **options)
    seen = done.facts.streams[0]
    assert (seen.depth, seen.primaries, seen.transfer, seen.colour_matrix) == (10, *HLG)
    assert done.fate("HLG colours") == "kept"


def test_hlg_becomes_standard_range_for_browsers_and_8_bits_are_refused_for_it(tmp_path: Path) -> None:
    source = clip(tmp_path / "hlg.mp4", codec="libx265", pix_fmt="yuv420p10le", colours=HLG, sound=(), seconds=0.2)
    web = convert(source, "web", tmp_path / "web")
    assert (web.facts.streams[0].depth, web.facts.streams[0].transfer, web.fate("HLG colours")) == (8, 1, "changed")
    skipped = convert(source, "vp9", tmp_path / "vp9")
    assert (skipped.report.kind, "cannot keep HDR" in str(skipped.report.reason)) == ("skipped", True)


@pytest.mark.parametrize("kind", ["mkv", "mp4"])
def test_hdr10_plus_comes_along_in_a_copy(media: Path, tmp_path: Path, kind: str) -> None:
    source = media / "video-hevc-hdr10plus-vfr-phone.mp4"
    done = convert(source, kind, tmp_path / "out", start=0, end=0.9)  # Cut, since an MP4 is an MP4 already.
    then, now = probe(source, Limits()).streams[0], done.facts.streams[0]
    assert (now.dynamic_hdr, now.light_level, now.mastering) == ("HDR10+", then.light_level, then.mastering)
    assert done.fate("dynamic HDR") == "kept"


def test_interlaced_pictures_are_deinterlaced_one_for_one_or_kept_and_said_either_way(media: Path, tmp_path: Path) -> None:
    source = media / "video-h264-interlaced-ac3.mp4"
    web, copy = convert(source, "web", tmp_path / "web"), convert(source, "mkv", tmp_path / "mkv")
    assert probe(source, Limits()).streams[0].interlaced
    assert "interlaced pictures are deinterlaced" in web.receipt.streams[0].reason
    assert not any(frame.interlaced_frame for _at, frame in frames_of(web.result))
    assert len(frames_of(web.result)) == len(frames_of(source)) == len(frames_of(copy.result))
    assert any(frame.interlaced_frame for _at, frame in frames_of(copy.result))
    assert copy.receipt.streams[0].reason == "copied without change"


def test_fonts_and_covers_come_along_byte_by_byte(tmp_path: Path) -> None:
    font = b"\0\1\0\0" + bytes(range(256)) * 9
    attachments = (("Ä font.ttf", "font/ttf", font), ("cover.png", "image/png", TINY_PNG))
    source = clip(tmp_path / "dressed.mkv", attachments=attachments, seconds=0.2)
    done = convert(source, "h265", tmp_path / "out", on_loss="refuse")
    with av.open(str(done.result)) as opened:
        kept = [(s.name, s.mimetype, s.data) for s in opened.streams if isinstance(s, AttachmentStream)]
        cover = next(s for s in opened.streams if s.disposition & Disposition.attached_pic)
        pictures = [bytes(packet) for packet in opened.demux(cover) if packet.size]
    assert kept == [("Ä font.ttf", "font/ttf", font)]
    assert pictures == [TINY_PNG]


@pytest.mark.parametrize("container", ["mkv", "mp4"])
def test_flags_of_every_track_come_along(tmp_path: Path, container: str) -> None:
    flags = [("default", "original"), ("forced",), ("hearing_impaired",), ("visual_impaired",), ("comment",), ()]
    source = clip(tmp_path / "flags.mkv", sound=[{"codec": "aac", "flags": each} for each in flags], seconds=0.2)
    done = convert(source, "h265", tmp_path / "out", container=container)
    then, now = probe(source, Limits()).streams[1:], done.facts.streams[1:]
    told = [entry for entry in done.receipt.streams if entry.type == "audio"]
    for before, after, entry in zip(then, now, told, strict=True):
        gone = sorted(set(before.dispositions) - set(after.dispositions) - {"default"})
        assert all(f"flag {flag}" in entry.reason for flag in gone)
        assert entry.outcome == ("changed" if gone else "kept")
    if container == "mkv":
        assert [s.dispositions for s in now] == [s.dispositions for s in then]


@pytest.mark.parametrize(("kind", "options"), [("h265", {}), ("h265", {"container": "mp4"}), ("mkv", {}), ("mp4", {}), ("vp9", {})])
def test_place_date_and_camera_are_equal_before_and_after(tmp_path: Path, kind: str, options: Mapping[str, object]) -> None:
    source = clip(tmp_path / "phone.mkv", tags=PHONE, sound=(), seconds=0.2)
    if kind == "mkv":  # Which a Matroska file is already.
        source = convert(source, "mp4", tmp_path / "first").result
    before, done = probe(source, Limits()), convert(source, kind, tmp_path / "out", on_loss="refuse", **options)
    after = done.facts
    assert (before.latitude, before.longitude, before.recorded_at) == (48.1372, 11.5755, "2024-01-24T14:50:14Z")
    assert (after.latitude, after.longitude, after.recorded_at) == (before.latitude, before.longitude, before.recorded_at)
    lower = {key.lower(): value for key, value in after.tags.items()}
    assert {key: lower.get(key.lower()) for key in PHONE if key != "creation_time"} == {
        key: value for key, value in PHONE.items() if key != "creation_time"
    }


def test_picture_subtitles_stay_as_they_are_in_matroska(media: Path, tmp_path: Path) -> None:
    source = media / "video-h264-pgs-bitmap-subtitles.mkv"
    done = convert(source, "h265", tmp_path / "out", on_loss="refuse")
    before, after = packets_of(source, "subtitle"), packets_of(done.result, "subtitle")
    assert [data for _at, data in after] == [data for _at, data in before]
    shift = packets_of(source, "video")[0][0] - packets_of(done.result, "video")[0][0]
    assert [at + shift for at, _data in after] == pytest.approx([at for at, _data in before], abs=0.002)
