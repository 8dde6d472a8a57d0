"""What others see: ffprobe and exiftool on originals and results, against what dmc says of them. Slow: every real file."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dmc.conversions import MediaType
from dmc.convert.facts import MediaFacts
from dmc.convert.limits import Limits
from dmc.convert.probe import probe
from dmc.errors import DmcError
from tests.convert.works import Done, convert

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "media"
TOO_LONG = ("4k60", "hevc-8k", "6min")
NAMES = sorted(p.name for p in FOLDER.iterdir() if p.suffix not in (".md", ".json")) if FOLDER.is_dir() else []
STREAMS = [n for n in NAMES if n.startswith(("video-", "audio-", "speech-")) and not any(word in n for word in TOO_LONG)]
PICTURES = [n for n in NAMES if n.startswith("image-")]
BLANK = {None, "", "unknown", "unspecified", "reserved"}

pytestmark = pytest.mark.slow
needs_ffprobe = pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
needs_exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")


def ffprobe(path: Path) -> dict[str, Any]:
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-of", "json", "-show_streams", "-show_format", "-show_chapters", str(path)],
        capture_output=True,
        check=True,
    )
    return json.loads(done.stdout.decode("utf-8", "replace"))


def exiftool(path: Path) -> dict[str, Any]:
    done = subprocess.run(["exiftool", "-j", "-n", "-G1", str(path)], capture_output=True, check=True)
    return json.loads(done.stdout)[0]


def facts_of(path: Path) -> MediaFacts:
    try:
        return probe(path, Limits())
    except DmcError as problem:
        pytest.skip(f"refused: {problem.message}")


def converted(name: str, out: Path, kind: str) -> Done:
    done = convert(FOLDER / name, kind, out)
    if done.report.kind != "converted":
        pytest.skip(f"{done.report.kind}: {done.report.reason or done.report.errors[0].message}")
    return done


def tracks(seen: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    found = [s for s in seen["streams"] if s.get("codec_type") == kind]
    return [s for s in found if not s["disposition"]["attached_pic"]]


def turn(stream: dict[str, Any]) -> int:
    return next((int(d["rotation"]) for d in stream.get("side_data_list", []) if "rotation" in d), 0) % 360


def light(stream: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """HDR10 values as numbers, however they are written as fractions."""
    for note in stream.get("side_data_list", []):
        for key, value in note.items():
            if key.startswith(("red", "green", "blue", "white", "min_lum", "max_lum", "max_content", "max_average")):
                above, _, below = str(value).partition("/")
                yield key, float(above) / float(below or 1)


@needs_ffprobe
@pytest.mark.parametrize("name", STREAMS)
def test_ffprobe_sees_the_streams_that_probe_tells(name: str) -> None:
    facts, seen = facts_of(FOLDER / name), ffprobe(FOLDER / name)
    theirs = {s["index"]: s for s in seen["streams"]}
    for ours in facts.streams:
        other = theirs[ours.index]
        if ours.codec is None or other.get("codec_name") in (None, "unknown", "none"):
            continue
        assert other["codec_name"] == ours.codec
        if ours.type == "audio":
            assert (other["channels"], int(other["sample_rate"])) == (ours.channels, ours.sample_rate)
        assert other.get("tags", {}).get("language") == ours.language
    assert len(seen["chapters"]) == len(facts.chapters)


@needs_ffprobe
@pytest.mark.parametrize("name", [n for n in STREAMS if not n.startswith(("audio-", "speech-"))])
def test_ffprobe_sees_in_a_video_result_what_the_receipt_calls_kept(name: str, tmp_path: Path) -> None:
    done = converted(name, tmp_path / "out", "mkv")
    before, after = ffprobe(FOLDER / name), ffprobe(done.result)
    kept = {s.index for s in done.receipt.streams if s.outcome != "lost" and s.action != "sidecar"}
    theirs = {s["index"]: s for s in before["streams"]}
    for kind in ("video", "audio", "subtitle"):
        wanted = [
            s for index, s in theirs.items() if index in kept and s.get("codec_type") == kind and not s["disposition"]["attached_pic"]
        ]
        there = tracks(after, kind)
        assert len(there) == len(wanted), kind
        for was, now in zip(wanted, there, strict=True):
            language = was.get("tags", {}).get("language", "und")
            assert now.get("tags", {}).get("language", "und") == language
            assert now["disposition"]["forced"] == was["disposition"]["forced"]
            if kind == "video":
                assert (now["width"], now["height"]) == (was["width"], was["height"])
                assert turn(now) == turn(was)
                assert dict(light(now)) == pytest.approx(dict(light(was)), rel=0.01)
                for tag in ("color_primaries", "color_transfer", "color_space"):
                    if was.get(tag) not in BLANK:
                        assert now.get(tag) == was[tag], tag
    if all(m.outcome != "lost" for m in done.receipt.metadata if m.kind == "chapters"):
        assert len(after["chapters"]) == len(before["chapters"])
    said = done.receipt.result
    assert said is not None
    if said.duration_s is not None:
        assert float(after["format"]["duration"]) == pytest.approx(said.duration_s, abs=0.05)


@needs_ffprobe
@pytest.mark.parametrize("name", [n for n in STREAMS if n.startswith(("audio-", "speech-"))])
def test_ffprobe_sees_in_a_sound_result_what_the_receipt_says(name: str, tmp_path: Path) -> None:
    done = converted(name, tmp_path / "out", "opus")
    before, after = ffprobe(FOLDER / name), ffprobe(done.result)
    sound, was = tracks(after, "audio")[0], tracks(before, "audio")[0]
    assert (sound["codec_name"], sound["channels"]) == ("opus", was["channels"])
    said = done.receipt.verification
    assert said is not None
    assert float(after["format"]["duration"]) == pytest.approx(said.source_s, abs=0.1)
    tags = {key.lower(): value for key, value in {**sound.get("tags", {}), **after["format"].get("tags", {})}.items()}
    for key, value in before["format"].get("tags", {}).items():
        if key.lower() in ("title", "artist", "album", "genre"):
            assert tags.get(key.lower()) == value, key


@needs_exiftool
@pytest.mark.parametrize("kind", ["webp", "png", "jpeg"])
@pytest.mark.parametrize("name", PICTURES)
def test_exiftool_sees_in_a_picture_what_the_receipt_calls_kept(name: str, kind: str, tmp_path: Path) -> None:
    done = converted(name, tmp_path / "out", kind)
    before, after = exiftool(FOLDER / name), exiftool(done.result)
    facts = probe(FOLDER / name, Limits())
    assert facts.media_type is MediaType.IMAGE
    fates = {m.kind: m.outcome for m in done.receipt.metadata}
    assert (after["File:ImageWidth"] if "File:ImageWidth" in after else probe(done.result, Limits()).width) > 0
    if fates.get("EXIF") == "kept":
        for tag in ("IFD0:Make", "IFD0:Model", "ExifIFD:DateTimeOriginal", "GPS:GPSLatitude", "GPS:GPSLongitude"):
            assert after.get(tag) == before.get(tag), tag
        assert after.get("IFD0:Orientation", 1) == 1
    if fates.get("ICC") == "kept":
        assert after.get("ICC_Profile:ProfileDescription") == before.get("ICC_Profile:ProfileDescription")
        assert any(key.startswith("ICC") for key in after)
    if "GPS:GPSLatitude" in before and "Composite:GPSLatitude" in before and facts.latitude is not None:
        assert facts.latitude == pytest.approx(before["Composite:GPSLatitude"], abs=1e-4)
        assert facts.longitude == pytest.approx(before["Composite:GPSLongitude"], abs=1e-4)


@needs_exiftool
@pytest.mark.parametrize("name", STREAMS)
def test_exiftool_sees_the_place_that_probe_tells(name: str) -> None:
    facts = facts_of(FOLDER / name)
    if facts.latitude is None:
        pytest.skip("it tells no place")
    seen = exiftool(FOLDER / name)
    if "Composite:GPSLatitude" not in seen:
        pytest.skip("exiftool does not read the place of this container")
    assert (facts.latitude, facts.longitude) == pytest.approx((seen["Composite:GPSLatitude"], seen["Composite:GPSLongitude"]), abs=1e-4)
