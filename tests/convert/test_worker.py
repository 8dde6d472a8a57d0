"""The child's main, in its own process and through the real engine: errors become reports, words reach the log, tricks fail."""

import errno
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmc.clock import SystemClock
from dmc.convert.limits import Limits
from dmc.convert.pool import WorkerPool
from dmc.convert.progress import OnProgress
from dmc.convert.receipt import read_receipt
from dmc.convert.worker import load, run
from dmc.errors import Busy, DamagedMedia, DiskFault
from dmc.jobs import Job, Report
from tests.convert import engines
from tests.convert.rooms import a_job, a_pool, until_report


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    """The pool as it is shipped: the real engine, walls as far as the machine has them."""
    made = WorkerPool(2, Limits(), SystemClock())
    made.start()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("problem", "kind", "code"),
    [
        (DamagedMedia("cut short."), "failed", "DamagedMedia"),
        (Busy("later."), "unavailable", "Busy"),
        (DiskFault("I/O."), "crashed", "DiskFault"),
        (OSError(errno.ENOSPC, "No space left on device"), "unavailable", "DiskFull"),
        (OSError(errno.EFBIG, "File too large"), "failed", "TooLarge"),
        (OSError(errno.EIO, "Input/output error"), "crashed", "DiskFault"),
        (OSError(errno.EACCES, "Permission denied"), "crashed", "StillBroken"),
        (MemoryError(), "failed", "TooLarge"),
        (RuntimeError("odd"), "crashed", "StillBroken"),
    ],
)
def test_the_family_of_an_error_decides_the_kind_of_report(tmp_path: Path, problem: Exception, kind: str, code: str) -> None:
    def fails(job: Job, limits: Limits, tell: OnProgress) -> Report:
        raise problem

    report = run(fails, a_job(tmp_path), Limits(), lambda said: None)
    assert (report.kind, report.errors[0].code) == (kind, code)


def test_an_entry_is_a_module_and_a_function() -> None:
    assert load("tests.convert.engines:copies") is engines.copies


def test_a_traceback_reaches_the_log_and_not_the_report(tmp_path: Path) -> None:
    with a_pool("raises") as pool:
        job = a_job(tmp_path)
        pool.submit(job)
        report = until_report(pool)
        assert "on purpose" not in report.errors[0].message
        assert "ZeroDivisionError: on purpose" in Path(job.log_file).read_text()


def test_attempts_are_told_apart_in_one_log(tmp_path: Path) -> None:
    with a_pool("skips") as pool:
        job = a_job(tmp_path)
        for attempt in (1, 2):
            pool.submit(job.model_copy(update={"attempt": attempt}))
            assert until_report(pool).attempt == attempt
        log = Path(job.log_file).read_text()
        assert "attempt=1" in log and "attempt=2" in log


def test_an_original_that_is_gone_is_said(tmp_path: Path) -> None:
    with a_pool("copies") as pool:
        pool.submit(a_job(tmp_path, original=str(tmp_path / "gone")))
        report = until_report(pool)
        assert (report.kind, report.errors[0].code) == ("failed", "NotFound")


def test_long_words_are_cut_so_that_the_report_arrives(tmp_path: Path) -> None:
    with a_pool("says_too_much") as pool:
        pool.submit(a_job(tmp_path))
        report = until_report(pool)
        assert report.kind == "failed"
        assert len(report.errors[0].message) == 2000


def test_a_log_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    Path(job.log_file).symlink_to(tmp_path / "elsewhere")
    with a_pool("copies") as pool:
        pool.submit(job)
        assert until_report(pool).kind == "crashed"
        assert not (tmp_path / "elsewhere").exists()


def test_a_real_picture_comes_out_verified_with_its_receipt(pool: WorkerPool, media: Path, tmp_path: Path) -> None:
    source = media / "image-jpeg-orientation7-mirrored-icc.jpg"
    job = a_job(tmp_path, original=str(source), label=source.name, conversion_type="webp", file_size=source.stat().st_size)
    pool.submit(job)
    report = until_report(pool)
    assert report.kind == "converted", report
    receipt = read_receipt(Path(job.out_dir))
    assert receipt.verification is not None and receipt.verification.passed
    assert report.result is not None and receipt.result is not None
    assert report.result.sha512_checksum == receipt.result.sha512


def test_real_sound_comes_out_verified(pool: WorkerPool, media: Path, tmp_path: Path) -> None:
    source = media / "speech-jfk-11s.flac"
    job = a_job(tmp_path, original=str(source), label=source.name, conversion_type="opus", file_size=source.stat().st_size)
    pool.submit(job)
    assert until_report(pool).kind == "converted"


@pytest.mark.parametrize("name", ["list.m3u8", "list.mp4", "list.txt", "list.mkv"])
@pytest.mark.parametrize("kind", ["hls", "ffconcat", "ffconcat absolute", "network"])
def test_a_playlist_does_not_read_the_neighbours_file(pool: WorkerPool, media: Path, tmp_path: Path, name: str, kind: str) -> None:
    neighbour = a_job(tmp_path, "neighbour", content=(media / "video-vp8-vorbis.webm").read_bytes())
    text = {
        "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n../neighbour/original.bin\n#EXT-X-ENDLIST\n",
        "ffconcat": "ffconcat version 1.0\nfile ../neighbour/original.bin\n",
        "ffconcat absolute": f"ffconcat version 1.0\nfile {neighbour.original}\n",
        "network": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
    }[kind]
    job = a_job(tmp_path, "trick", content=text.encode(), conversion_type="h264", label=name)
    disguised = Path(job.original).with_name(name)
    Path(job.original).rename(disguised)
    pool.submit(job.model_copy(update={"original": str(disguised)}))
    report = until_report(pool)
    assert report.kind == "failed", report
    assert report.errors[0].code in ("NotMedia", "Unsupported", "DamagedMedia")
    assert [path.name for path in Path(job.out_dir).iterdir()] == []


def test_progress_and_reports_are_plain_json(pool: WorkerPool, tmp_path: Path) -> None:
    pool.submit(a_job(tmp_path, content=b"milk, eggs", label="list.txt"))
    report = until_report(pool)
    assert report.errors[0].code == "NotMedia"
    assert json.loads(report.model_dump_json())["kind"] == "failed"


def test_what_the_libraries_say_of_a_damaged_file_reaches_its_log(pool: WorkerPool, media: Path, tmp_path: Path) -> None:
    source = media / "corrupt-mp3-200kb-garbage-prefix.mp3"
    job = a_job(tmp_path, original=str(source), label=source.name, conversion_type="opus", file_size=source.stat().st_size)
    pool.submit(job)
    until_report(pool)
    assert "[mp3float" in Path(job.log_file).read_text()
