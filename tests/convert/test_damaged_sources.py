"""A source that is cut off, corrupt in the middle, or wrong about its length never ends as a clean success."""

import struct
from pathlib import Path

import pytest

from tests.convert.clips import clip
from tests.convert.works import Done, convert

KINDS = ("mkv", "h265", "opus")


def _flagged(done: Done) -> bool:
    """Told in the report and in the receipt, or refused."""
    if done.report.kind == "failed":
        return done.report.errors[0].code == "DamagedMedia"
    return done.report.kind == "converted" and bool(done.report.reason) and done.receipt.reason in done.receipt.warnings


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("whole") / "whole.mkv", size=(160, 120), seconds=4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_source_is_clean(whole: Path, tmp_path: Path, kind: str) -> None:
    done = convert(whole, kind if kind != "mkv" else "mp4", tmp_path / "out")
    assert (done.report.kind, done.report.reason) == ("converted", None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
def test_a_source_that_is_cut_off_is_flagged(whole: Path, tmp_path: Path, kind: str, share: float) -> None:
    data = whole.read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(data[: int(len(data) * share)])
    assert _flagged(convert(cut, kind if kind != "mkv" else "mp4", tmp_path / "out")), share


@pytest.mark.parametrize("kind", ["mp4", "h265"])
def test_a_source_that_is_corrupt_in_the_middle_is_flagged(whole: Path, tmp_path: Path, kind: str) -> None:
    data = bytearray(whole.read_bytes())
    middle = len(data) // 2
    data[middle : middle + len(data) // 8] = bytes(byte ^ 0x5A for byte in data[middle : middle + len(data) // 8])
    bad = tmp_path / "bad.mkv"
    bad.write_bytes(data)
    assert _flagged(convert(bad, kind, tmp_path / "out"))


@pytest.mark.parametrize("kind", ["mp4", "h265", "opus"])
def test_a_source_that_states_a_longer_time_is_flagged(whole: Path, tmp_path: Path, kind: str) -> None:
    data = bytearray(whole.read_bytes())
    at = data.index(b"\x44\x89\x88") + 3  # Matroska's Duration: an 8-byte float in milliseconds.
    (stated,) = struct.unpack_from(">d", data, at)
    struct.pack_into(">d", data, at, stated * 1.5)
    long = tmp_path / "long.mkv"
    long.write_bytes(data)
    assert _flagged(convert(long, kind, tmp_path / "out"))
