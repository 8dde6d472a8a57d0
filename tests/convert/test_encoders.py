"""What encoders are told, read back from what they wrote."""

import re
from pathlib import Path

from tests.convert.clips import clip
from tests.convert.works import convert


def test_pictures_are_encoded_whole_and_not_cut_into_slices(tmp_path: Path) -> None:
    """x264 writes its settings into the stream. Slices cost size and time; PyAV asks for them unless it is told otherwise."""
    done = convert(clip(tmp_path / "a.mkv", sound=()), "h264", tmp_path / "out", crf=30, keep_if_larger=True)
    said = re.search(rb"x264 - core .*? options: ([ -~]+)", done.result.read_bytes())
    assert said is not None
    assert b"sliced_threads=0" in said[1]
    assert b"slices=" not in said[1]
