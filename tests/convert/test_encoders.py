"""What encoders are told, read back from what they wrote."""

import re
from pathlib import Path

import av
import pytest

from dmc.convert import encoders
from dmc.convert.limits import Limits
from dmc.convert.threads import Threads, cores_here, decoder_threads, encoder_threads, share_of_cores
from tests.convert.clips import clip
from tests.convert.works import convert


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libvpx-vp9", "libsvtav1"])
@pytest.mark.parametrize("cores", [1, 4, 64])
def test_a_lone_conversion_leaves_the_threads_to_its_encoder(cores: int, encoder: str) -> None:
    assert encoder_threads(encoder, share_of_cores(cores, 1), cores) == Threads(0)


@pytest.mark.parametrize(
    ("cores", "encoder", "told"),
    [
        (2, "libx264", Threads(4, ("sync-lookahead=1",))),
        (3, "libx264", Threads(6, ("sync-lookahead=1",))),
        (2, "libx265", Threads(0, ("frame-threads=2",))),
        (2, "libvpx-vp9", Threads(0)),
        (2, "libsvtav1", Threads(0)),
    ],
)
def test_alone_on_few_cores_one_picture_more_is_begun(cores: int, encoder: str, told: Threads) -> None:
    assert encoder_threads(encoder, share_of_cores(cores, 1), cores) == told


@pytest.mark.parametrize("kind", ["h264", "h265"])
def test_the_result_is_the_same_however_many_pictures_are_begun_at_once(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the words in which the encoder tells its settings, in its first packet.

    x264 makes other bytes once in a hundred runs whatever it is told, so once in three will do: a difference of ours would always be there.
    """
    source = clip(tmp_path / "a.mkv", sound=(), size=(640, 360), seconds=2)
    for attempt in range(3):
        coded, shown, told = [], [], []
        for cores in (2, 4):
            monkeypatch.setattr(encoders, "cores_here", lambda cores=cores: cores)
            done = convert(source, kind, tmp_path / f"out-{cores}-{attempt}", crf=24, keep_if_larger=True)
            with av.open(done.result) as media:
                coded.append([(packet.pts, packet.dts, bytes(packet)) for packet in media.demux(video=0)])
            with av.open(done.result) as media:
                shown.append([bytes(plane) for plane in next(media.decode(video=0)).planes])
            told.append(any(word in done.result.read_bytes() for word in (b" frame-threads=2 ", b" threads=4 ")))
        if coded[0][1:] == coded[1][1:]:
            break
    assert told[0]
    assert len(coded[0]) > 40 and coded[0][1:] == coded[1][1:]
    assert shown[0] == shown[1]


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
    assert encoder_threads(encoder, share_of_cores(cores, jobs), cores) == told


@pytest.mark.parametrize("cores", range(1, 20))
@pytest.mark.parametrize("jobs", [2, 3, 1000])
def test_no_core_is_left_without_work_and_none_has_a_thread_too_many(cores: int, jobs: int) -> None:
    assert cores <= share_of_cores(cores, jobs) * jobs < cores + jobs


@pytest.mark.parametrize(("share", "cores", "threads"), [(0, 1, 1), (0, 2, 1), (0, 8, 4), (1, 8, 1), (4, 8, 2)])
def test_a_decoder_has_half_the_threads_of_the_encoder_that_takes_its_pictures_as_they_are(share: int, cores: int, threads: int) -> None:
    assert decoder_threads(share, cores, as_they_are=True) == threads


@pytest.mark.parametrize("share", [0, 1, 4])
def test_a_decoder_whose_pictures_are_made_smaller_has_the_whole_share(share: int) -> None:
    assert decoder_threads(share, 8, as_they_are=False) == share


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
