"""Decoding in one thread, encoding in another: the result is always the same, an end comes at once, and memory stays flat."""

import hashlib
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from dmc.convert.limits import Limits
from dmc.convert.plan import Plan, plan
from dmc.convert.probe import probe
from dmc.convert.recipes import RECIPES
from dmc.convert.transcode import Transcoded, transcode
from dmc.errors import Cancelled
from tests.convert.clips import clip

LIMITS = Limits()


def _run(source: Path, target: Path, kind: str = "h264", stop_at: int | None = None, **options: Any) -> Transcoded:
    facts = probe(source, LIMITS, source.name)
    made: Plan = plan(facts, RECIPES[kind], {"crf": 30, **options} if kind != "mkv" else options)
    asked = iter(range(1 << 30))

    def stop() -> bool:
        return stop_at is not None and next(asked) >= stop_at

    return transcode(source, target, facts, made, LIMITS, lambda _reached, _read: None, stop, source.name)


def _shown(path: Path) -> tuple[list[tuple[int | None, str]], list[tuple[int, int | None, int | None, bytes]]]:
    """The pictures, decoded, and the packets of the other streams.

    Not the packets of the pictures: x264 makes other bytes of the same ones once in a while.
    """
    with av.open(str(path)) as media:
        pictures = [
            (frame.pts, hashlib.sha256(b"".join(bytes(plane) for plane in frame.planes)).hexdigest()) for frame in media.decode(video=0)
        ]
    with av.open(str(path)) as media:
        return pictures, [(p.stream_index, p.pts, p.dts, bytes(p)) for p in media.demux() if p.size and p.stream.type != "video"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sound = ({"codec": "aac"}, {"codec": "flac"})
    return clip(tmp_path_factory.mktemp("flow") / "flow.mkv", size=(320, 240), sound=sound, seconds=4.0)


@pytest.mark.parametrize("options", [{}, {"height": 160}])
def test_what_is_written_does_not_depend_on_which_thread_was_faster(source: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    results = []
    for number in range(3):
        _run(source, tmp_path / f"{number}.mkv", crf=0, **options)  # Without loss, so that what is shown is what was handed over.
        results.append(_shown(tmp_path / f"{number}.mkv"))
    assert results[0] == results[1] == results[2]
    assert (len(results[0][0]), len({index for index, *_rest in results[0][1]})) == (100, 2)


def test_a_stopped_conversion_ends_with_its_thread(source: Path, tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(Cancelled):
        _run(source, tmp_path / "stopped.mkv", stop_at=5)
    assert threading.active_count() == before


@contextmanager
def _measured() -> Iterator[list[int]]:
    """The highest number of bytes in Python's objects meanwhile."""
    peak: list[int] = []
    tracemalloc.start()
    try:
        yield peak
        peak.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["h264", "mkv"])
def test_memory_does_not_grow_with_length(tmp_path: Path, kind: str) -> None:
    """A list with a number per picture or packet would show: 36 bytes each at least. What waits between the threads differs by less."""
    peaks = []
    for pictures in (10, 500, 5500):  # The first fills the caches.
        long = clip(tmp_path / f"{pictures}.mkv", size=(16, 16), times=[n / 25 for n in range(pictures)], sound=())
        with _measured() as peak:
            done = _run(long, tmp_path / f"{pictures}.{kind}.mkv", kind)
        assert done.made[0].written == pictures
        assert done.made[0].span.shown.last == Fraction(pictures - 1, 25)
        peaks += peak
    assert peaks[2] - peaks[1] < 5000 * 25
