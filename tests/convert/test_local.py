"""Converting here and now: what is published was made of the file as it is."""

import errno
from pathlib import Path

import pytest

from dmc.convert import local
from dmc.convert.local import Ended, LocalRun
from dmc.files import RealDisk, sha512_of
from dmc.jobs import Job, Progress, Report, ResultFacts


class WhileItWorks:
    """A pool that converts each job by writing `made`, after it has done `first` to the original."""

    def __init__(self, first: str) -> None:
        self._first = first
        self._jobs: list[Job] = []

    def submit(self, job: Job) -> None:
        self._jobs.append(job)

    def poll(self) -> list[Progress | Report]:
        done: list[Progress | Report] = []
        for job in self._jobs:
            original = Path(job.original)
            if self._first == "grows":
                with original.open("ab") as file:
                    file.write(b" and more")
            elif self._first == "goes":
                original.rename(original.with_name("elsewhere"))
            (Path(job.out_dir) / "result.mkv").write_bytes(b"made")
            result = ResultFacts(file_name="result.mkv", file_size=4, sha512_checksum="0" * 128)
            done.append(Report(item_id=job.item_id, attempt=1, kind="converted", result=result))
        self._jobs.clear()
        return done

    def free_slots(self) -> int:
        return 1

    def wait(self, timeout_s: float) -> None:
        pass

    def close(self) -> None:
        pass


def _run(tmp_path: Path, first: str) -> Ended:
    source = tmp_path / "film.mp4"
    source.write_bytes(b"a film")
    ends: list[Ended] = []
    run = LocalRun(WhileItWorks(first), RealDisk(), lambda source, ending: [source.with_suffix(ending or ".x")])
    run.run([source], "h265", {}, lambda *_: None, ends.append)
    (ended,) = ends
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".dmc")] == []
    return ended


def test_a_result_is_published_with_the_time_of_its_source(tmp_path: Path) -> None:
    ended = _run(tmp_path, "stays")
    assert ended.target is not None and ended.target.read_bytes() == b"made"
    assert ended.target.stat().st_mtime_ns == ended.source.stat().st_mtime_ns


def test_a_file_that_grows_while_it_is_converted_ends_without_a_result(tmp_path: Path) -> None:
    ended = _run(tmp_path, "grows")
    assert (ended.report.kind, ended.target, ended.receipt) == ("failed", None, None)
    assert [error.message for error in ended.report.errors] == ["film.mp4 changed while it was converted."]
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def test_the_result_of_a_file_that_was_moved_away_meanwhile_has_its_time_and_mode(tmp_path: Path) -> None:
    ended = _run(tmp_path, "goes")
    assert ended.report.kind == "converted" and ended.target is not None
    was, now = (tmp_path / "elsewhere").stat(), ended.target.stat()
    assert (now.st_mtime_ns, now.st_mode) == (was.st_mtime_ns, was.st_mode)


def test_a_file_that_cannot_be_read_is_told_and_the_others_are_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reads(path: Path) -> str:
        if path.name == "closed.mp4":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return sha512_of(path)

    monkeypatch.setattr(local, "sha512_of", reads)
    sources = [tmp_path / name for name in ("first.mp4", "closed.mp4", "last.mp4")]
    for source in sources:
        source.write_bytes(b"a film")
    ends: list[Ended] = []
    run = LocalRun(WhileItWorks("stays"), RealDisk(), lambda source, ending: [source.with_suffix(ending or ".x")])
    run.run(sources, "h265", {}, lambda *_: None, ends.append)
    assert {ended.source.name: ended.report.kind for ended in ends} == {
        "first.mp4": "converted",
        "closed.mp4": "failed",
        "last.mp4": "converted",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["closed.mp4", "first.mkv", "first.mp4", "last.mkv", "last.mp4"]
