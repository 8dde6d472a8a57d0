"""What encoders are told, read back from what they wrote."""

import re
from pathlib import Path

import pytest

from dmc.convert.limits import Limits
from dmc.convert.threads import Threads, cores_here, encoder_threads, share_of_cores
from tests.convert.clips import clip
from tests.convert.works import convert


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libvpx-vp9", "libsvtav1"])
@pytest.mark.parametrize("cores", [1, 2, 64])
def test_a_lone_conversion_leaves_the_threads_to_its_encoder(cores: int, encoder: str) -> None:
    assert encoder_threads(encoder, share_of_cores(cores, 1)) == Threads(0)


@pytest.mark.parametrize(
    ("cores", "jobs", "encoder", "told"),
    [
        (8, 2, "libx264", Threads(4)),
        (8, 3, "libx264", Threads(3)),
        (2, 8, "libx264", Threads(1)),
        (8, 2, "libvpx-vp9", Threads(4)),
        (8, 2, "libx265", Threads(4, ("pools=4",))),
        (8, 2, "libsvtav1", Threads(4, ("lp=4",))),
        (64, 2, "libsvtav1", Threads(32, ("lp=6",))),
    ],
)
def test_conversions_side_by_side_share_the_cores(cores: int, jobs: int, encoder: str, told: Threads) -> None:
    assert encoder_threads(encoder, share_of_cores(cores, jobs)) == told


@pytest.mark.parametrize("cores", range(1, 20))
@pytest.mark.parametrize("jobs", [2, 3, 1000])
def test_no_core_is_left_without_work_and_none_has_a_thread_too_many(cores: int, jobs: int) -> None:
    assert cores <= share_of_cores(cores, jobs) * jobs < cores + jobs


def test_the_machine_has_cores() -> None:
    assert cores_here() >= 1


def test_the_share_reaches_the_encoder(tmp_path: Path) -> None:
    source = clip(tmp_path / "a.mkv", sound=(), size=(320, 240), seconds=0.2)
    for share in (2, 5):
        done = convert(source, "h264", tmp_path / f"out-{share}", limits=Limits(encoder_threads=share), crf=30)
        assert f" threads={share} ".encode() in done.result.read_bytes()


def test_pictures_are_encoded_whole_and_not_cut_into_slices(tmp_path: Path) -> None:
    """x264 writes its settings into the stream. Slices cost size and time; PyAV asks for them unless it is told otherwise."""
    done = convert(clip(tmp_path / "a.mkv", sound=()), "h264", tmp_path / "out", crf=30, keep_if_larger=True)
    said = re.search(rb"x264 - core .*? options: ([ -~]+)", done.result.read_bytes())
    assert said is not None
    assert b"sliced_threads=0" in said[1]
    assert b"slices=" not in said[1]
