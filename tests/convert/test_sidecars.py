"""What a container cannot hold lies beside the result, whole, if files beside it are wanted."""

import base64
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from dmc.convert.limits import Limits
from dmc.convert.local import Ended, LocalRun
from dmc.convert.pool import WorkerPool
from dmc.convert.probe import probe
from dmc.files import RealDisk, sha512_of
from tests.convert.clips import clip
from tests.convert.rooms import a_pool
from tests.convert.works import convert

FONT = b"\0\1\0\0a font"
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNg+M9QDwADgQF/e5IkGQAAAABJRU5ErkJggg==")


@pytest.fixture
def dressed(tmp_path: Path) -> Path:
    """A clip with a font, a text of an odd name and a cover."""
    attachments = (("../font.TTF", "font/ttf", FONT), ("notes", "text/plain", b"notes"), ("cover.png", "image/png", PNG))
    return clip(tmp_path / "dressed.mkv", codec="vp9", params={"cpu-used": "8"}, sound=(), seconds=0.2, attachments=attachments)


def test_attachments_and_covers_lie_beside_a_webm_under_names_of_ours(dressed: Path, tmp_path: Path) -> None:
    done = convert(dressed, "vp9", tmp_path / "out", sidecars=True, container="webm")
    beside = {entry.file_name: entry for entry in done.receipt.sidecars}
    assert sorted(os.listdir(done.out)) == ["receipt.json", "result.1.ttf", "result.2.bin", "result.3.png", "result.webm"]
    assert [(done.out / name).read_bytes() for name in sorted(beside)] == [FONT, b"notes", PNG]
    assert beside["result.1.ttf"].original_name == "../font.TTF"
    assert all(entry.sha512 == sha512_of(done.out / name) for name, entry in beside.items())
    assert [(s.action, s.outcome) for s in done.receipt.streams[1:]] == [("sidecar", "kept")] * 3
    assert done.receipt.losses == []
    told = {one.file_name: one.sha512_checksum for one in done.report.result.sidecars}  # type: ignore[union-attr]
    assert told == {name: entry.sha512 for name, entry in beside.items()}


def test_picture_subtitles_lie_beside_an_mp4_with_their_times(media: Path, tmp_path: Path) -> None:
    source = media / "video-h264-pgs-bitmap-subtitles.mkv"
    done = convert(source, "mp4", tmp_path / "out", sidecars=True)
    (entry,) = done.receipt.sidecars
    beside = done.out / entry.file_name
    with av.open(str(beside)) as kept:
        assert [stream.codec_context.name for stream in kept.streams] == ["pgssub"]
    assert [size for _at, size in _shown(beside)] == [size for _at, size in _shown(source)]
    shift = probe(source, Limits()).start_s or 0.0
    assert [at for at, _size in _shown(beside)] == pytest.approx([at - shift for at, _size in _shown(source)], abs=0.0015)


def _shown(path: Path) -> list[tuple[float, int]]:
    with av.open(str(path)) as media:
        return [(float(p.pts * p.time_base), p.size) for p in media.demux(subtitles=0) if p.size]


def test_without_the_wish_they_are_said_to_be_lost(dressed: Path, tmp_path: Path) -> None:
    done = convert(dressed, "vp9", tmp_path / "out", container="webm")
    assert sorted(os.listdir(done.out)) == ["receipt.json", "result.webm"]
    assert len(done.receipt.losses) == 3
    refused = convert(dressed, "vp9", tmp_path / "b", container="webm", on_loss="refuse").report
    assert refused.errors[0].code == "LossRefused"
    assert convert(dressed, "vp9", tmp_path / "c", sidecars=True, container="webm", on_loss="refuse").report.kind == "converted"


def test_a_result_that_is_thrown_away_leaves_no_sidecars(dressed: Path, tmp_path: Path) -> None:
    done = convert(dressed, "h264", tmp_path / "out", sidecars=True, container="mp4", crf=0, keep_if_larger=False)
    assert done.report.kind == "kept-original"
    assert os.listdir(done.out) == ["receipt.json"]
    assert done.receipt.sidecars == ()


def test_a_local_run_puts_them_beside_the_result_and_replaces_nothing(dressed: Path, tmp_path: Path) -> None:
    target = tmp_path / "made.mp4"
    os.utime(dressed, ns=(1_577_836_800_123_456_000, 1_577_836_800_123_456_000))
    dressed.chmod(0o640)
    (tmp_path / "made.1.ttf").write_bytes(b"somebody's")

    def names(_source: Path, _ending: str) -> Iterator[Path]:
        yield target

    ends: list[Ended] = []
    with a_pool("convert", module="dmc.convert.engine") as pool:
        assert isinstance(pool, WorkerPool)
        run = LocalRun(pool, RealDisk(), names)
        run.run([dressed], "h264", {"container": "mp4", "keep_if_larger": True}, lambda _source, _said: None, ends.append)
    assert ends[0].target == target, ends[0].report
    assert [path.name for path in ends[0].sidecars] == ["made (2).1.ttf", "made.2.bin"]
    assert (tmp_path / "made (2).1.ttf").read_bytes() == FONT
    for made in (target, *ends[0].sidecars):
        assert (made.stat().st_mtime_ns, stat.S_IMODE(made.stat().st_mode)) == (1_577_836_800_123_456_000, 0o640)
    assert (tmp_path / "made.1.ttf").read_bytes() == b"somebody's"
