"""Converting here and now: what is published was made of the file as it is."""

import errno
import io
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmc.convert.local import Ended, LocalRun
from dmc.files import RealDisk, SyncFailed, sha512_of
from dmc.jobs import Job, Progress, Report, ResultFacts

RECEIPT = {"schema": "dmc.receipt/1", "source": {"file_name": "film.mp4", "sha512": ""}, "reason": "\N{EURO SIGN}"}


class WhileItWorks:
    """A pool that converts each job by writing `made`, after it has done `first` to the original."""

    def __init__(self, first: str) -> None:
        self._first = first
        self._jobs: list[Job] = []
        self._bell = threading.Event()

    def submit(self, job: Job) -> None:
        self._jobs.append(job)

    def poll(self) -> list[Progress | Report]:
        done: list[Progress | Report] = []
        for job in self._jobs:
            original = Path(job.original)
            if self._first == "grows":
                with original.open("ab") as file:
                    file.write(b" and more")
            elif self._first.startswith("goes"):
                moved = original.rename(original.with_name("elsewhere"))
                if self._first == "goes and grows":
                    moved.write_bytes(b"another film")
            elif self._first == "is replaced":
                original.with_name("new").write_bytes(b"a FILM")
                was = original.stat()
                os.utime(original.with_name("new"), ns=(was.st_atime_ns, was.st_mtime_ns))
                original.with_name("new").replace(original)
            (Path(job.out_dir) / "result.mkv").write_bytes(b"made")
            if self._first == "makes two":
                (Path(job.out_dir) / "result.3.mks").write_bytes(b"words")
            (Path(job.out_dir) / "receipt.json").write_text("rubbish" if self._first == "talks rubbish" else json.dumps(RECEIPT))
            result = ResultFacts(file_name="result.mkv", file_size=4, sha512_checksum="0" * 128)
            done.append(Report(item_id=job.item_id, attempt=1, kind="converted", result=result))
        self._jobs.clear()
        return done

    def free_slots(self) -> int:
        return 1

    def wait(self, timeout_s: float) -> None:
        self._bell.wait(60 if self._first == "is slower to read" and not self._jobs else 0)

    def wake(self) -> None:
        self._bell.set()

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


def _reading(monkeypatch: pytest.MonkeyPatch, of: str, read: Callable[[io.FileIO, int], bytes]) -> None:
    """Let the disk read a file of that name so."""

    class Slow(io.FileIO):
        def readinto(self, buffer: Any) -> int:
            block = read(self, len(buffer))
            buffer[: len(block)] = block
            return len(block)

    really = Path.open

    def opens(path: Path, *how: Any, **more: Any) -> Any:
        return Slow(path) if path.name == of and how == ("rb",) else really(path, *how, **more)

    monkeypatch.setattr(Path, "open", opens)


def test_the_source_is_read_beside_its_conversion_and_its_receipt_says_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    converted, source = threading.Event(), tmp_path / "film.mp4"

    class Watched(WhileItWorks):
        def poll(self) -> list[Progress | Report]:
            said = super().poll()
            if said:
                converted.set()
            return said

    def read(file: io.FileIO, size: int) -> bytes:
        assert converted.wait(60), "the job is begun before its source is read"
        return io.FileIO.read(file, size)

    _reading(monkeypatch, "film.mp4", read)
    source.write_bytes(b"a film")
    signed: list[Any] = []

    def end(ended: Ended) -> None:
        assert ended.receipt is not None
        signed.append(json.loads(ended.receipt.read_text("utf-8")))

    run = LocalRun(Watched("is slower to read"), RealDisk(), lambda source, ending: [source.with_suffix(ending or ".x")])
    run.run([source], "h265", {}, lambda *_: None, end)
    assert signed == [{**RECEIPT, "source": {"file_name": "film.mp4", "sha512": sha512_of(source)}}]
    assert list(signed[0]) == list(RECEIPT)


def test_a_receipt_that_cannot_be_understood_ends_without_a_result(tmp_path: Path) -> None:
    ended = _run(tmp_path, "talks rubbish")
    assert (ended.report.kind, ended.target, [error.code for error in ended.report.errors]) == ("failed", None, ["StillBroken"])


def test_a_source_that_cannot_be_read_to_its_end_ends_without_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(file: io.FileIO, size: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    _reading(monkeypatch, "film.mp4", read)
    ended = _run(tmp_path, "stays")
    assert (ended.report.kind, ended.target) == ("failed", None)
    assert "reading film.mp4: Input/output error" in ended.report.errors[0].message


def test_a_result_is_published_with_the_time_of_its_source(tmp_path: Path) -> None:
    ended = _run(tmp_path, "stays")
    assert ended.target is not None and ended.target.read_bytes() == b"made"
    assert ended.target.stat().st_mtime_ns == ended.source.stat().st_mtime_ns


def test_a_result_and_what_lies_beside_it_are_synced_before_they_have_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    sync, link = RealDisk.sync_file, RealDisk.link
    monkeypatch.setattr(RealDisk, "sync_file", lambda disk, path: (done.append(f"sync {path.name}"), sync(disk, path))[1])
    monkeypatch.setattr(RealDisk, "link", lambda disk, one, other: (done.append(f"name {other.name}"), link(disk, one, other))[1])
    ended = _run(tmp_path, "makes two")
    assert [path.name for path in ended.sidecars] == ["film.3.mks"]
    assert sorted(done[:2]) == ["sync result.3.mks", "sync result.mkv"]
    assert done[2:] == ["name film.mkv", "name film.3.mks"]


def test_a_result_that_cannot_be_synced_ends_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_disk: RealDisk, path: Path) -> None:
        raise SyncFailed(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr(RealDisk, "sync_file", broken)
    ended = _run(tmp_path, "stays")
    assert (ended.report.kind, ended.target, [error.code for error in ended.report.errors]) == ("failed", None, ["DiskFault"])
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


@pytest.mark.parametrize("first", ["grows", "is replaced", "goes and grows"])
def test_a_file_that_changes_while_it_is_converted_ends_without_a_result(tmp_path: Path, first: str) -> None:
    ended = _run(tmp_path, first)
    assert (ended.report.kind, ended.target, ended.receipt) == ("failed", None, None)
    assert [error.message for error in ended.report.errors] == ["film.mp4 changed while it was converted."]
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere" if first.startswith("goes") else "film.mp4"]


def test_the_result_of_a_file_that_was_moved_away_meanwhile_has_its_time_and_mode(tmp_path: Path) -> None:
    ended = _run(tmp_path, "goes")
    assert ended.report.kind == "converted" and ended.target is not None
    was, now = (tmp_path / "elsewhere").stat(), ended.target.stat()
    assert (now.st_mtime_ns, now.st_mode) == (was.st_mtime_ns, was.st_mode)


def test_a_file_that_cannot_be_read_is_told_and_the_others_are_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = Path.open

    def opens(path: Path, *how: Any, **more: Any) -> Any:
        if path.name == "closed.mp4":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return really(path, *how, **more)

    monkeypatch.setattr(Path, "open", opens)
    sources = [tmp_path / name for name in ("first.mp4", "closed.mp4", "last.mp4")]
    for source in sources:
        with really(source, "wb") as file:
            file.write(b"a film")
    ends: list[Ended] = []
    run = LocalRun(WhileItWorks("stays"), RealDisk(), lambda source, ending: [source.with_suffix(ending or ".x")])
    run.run(sources, "h265", {}, lambda *_: None, ends.append)
    assert {ended.source.name: ended.report.kind for ended in ends} == {
        "first.mp4": "converted",
        "closed.mp4": "failed",
        "last.mp4": "converted",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["closed.mp4", "first.mkv", "first.mp4", "last.mkv", "last.mp4"]
