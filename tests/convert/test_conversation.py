"""What a worker may say, and what is believed of it."""

import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmc.convert.conversation import Conversation, death_of, doubt
from dmc.convert.wire import LINE_LIMIT, Rubbish
from dmc.jobs import Job, MadeFile, Report, ResultFacts
from tests.convert.rooms import a_job

JOB = Job(
    item_id="i",
    attempt=2,
    original="/o",
    out_dir="/out",
    log_file="/log",
    label="x",
    conversion_type="webp",
    file_size=1,
    sha512_checksum="",
)


def _line(key: str, **fields: Any) -> bytes:
    return json.dumps({key: {"item_id": "i", "attempt": 2, **fields}}).encode() + b"\n"


def _progress(fraction: float) -> bytes:
    return _line("progress", worker_pid=1, fraction=fraction)


def test_lines_may_come_in_pieces() -> None:
    talk = Conversation(JOB, 0.0)
    whole = _progress(0.5)
    heard = [said for index in range(len(whole)) for said in talk.hear(whole[index : index + 1], 1.0)]
    assert [said.fraction for said in heard] == [0.5]
    assert talk.heard_at == 1.0


@given(st.lists(st.tuples(st.floats(-2, 2), st.floats(0.1, 0.9)), max_size=30))
def test_progress_never_falls_and_keeps_its_pace(steps: list[tuple[float, float]]) -> None:
    talk, now, told = Conversation(JOB, 0.0), 0.0, []
    for fraction, pause in steps:
        now += pause
        told += [(now, said.fraction) for said in talk.hear(_progress(fraction), now)]
    assert [fraction for _, fraction in told] == sorted(fraction for _, fraction in told)
    assert all(0.0 <= fraction <= 1.0 for _, fraction in told)
    assert all(later - earlier >= 0.25 - 1e-9 for (earlier, _), (later, _) in itertools.pairwise(told))


@pytest.mark.parametrize(
    "data",
    [
        b"\n",
        b"{}\n",
        b"[]\n",
        b"null\n",
        b"\xff\xfe\n",
        b'{"progress": 1}\n',
        b'{"farewell": {}}\n',
        b"[" * 60_000 + b"\n",
        b"x" * (LINE_LIMIT + 1),
        b'{"report":"' + b"x" * LINE_LIMIT + b'"}\n',
        _progress(float("inf")),
        _line("progress", worker_pid=1, fraction=0.5, attempt=3),
        _line("report", kind="cancelled"),
        _line("report", kind="converted", more=1),
        _line("report", kind="skipped") + b"and then",
        _line("report", kind="skipped") + _progress(0.1),
        _progress(0.1) * 100,
        json.dumps({"report": None}).encode() + b"\n",
    ],
    ids=range(18),
)
def test_whatever_does_not_belong_to_the_job_is_rubbish(data: bytes) -> None:
    with pytest.raises(Rubbish):
        Conversation(JOB, 0.0).hear(data, 0.1)


@given(st.binary(max_size=400))
def test_no_bytes_do_worse_than_rubbish(data: bytes) -> None:
    talk = Conversation(JOB, 0.0)
    try:
        talk.hear(data, 0.1)
    except Rubbish:
        return
    assert talk.report is None


def _converted(name: str, size: int = 3) -> Report:
    facts = ResultFacts(file_name=name, file_size=size, sha512_checksum="0" * 128)
    return Report(item_id="item-1", attempt=1, kind="converted", result=facts)


def test_a_result_that_is_there_is_believed(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    Path(job.out_dir, "r.webp").write_bytes(b"abc")
    assert doubt(job, _converted("r.webp")) is None
    assert doubt(job, _converted("r.webp", 4)) is not None


@pytest.mark.parametrize("name", ["", ".", "..", "../original.bin", "/etc/hostname", "a\0b", "deep/er", "missing", "x" * 5000])
def test_a_result_elsewhere_is_doubted(tmp_path: Path, name: str) -> None:
    job = a_job(tmp_path)
    assert doubt(job, _converted(name)) is not None


@pytest.mark.parametrize("strange", ["folder", "link", "pipe", "second name"])
def test_anything_but_files_in_out_is_doubted(tmp_path: Path, strange: str) -> None:
    job = a_job(tmp_path)
    out = Path(job.out_dir)
    (out / "r").write_bytes(b"abc")
    assert doubt(job, _converted("r")) is None
    if strange == "folder":
        (out / "x").mkdir()
    elif strange == "link":
        (out / "x").symlink_to("/etc/hostname")
    elif strange == "pipe":
        os.mkfifo(out / "x")
    else:
        (out / "x").hardlink_to(job.original)
    assert "'x' in out/" in str(doubt(job, _converted("r")))


@pytest.mark.parametrize("digest", ["", "AB" * 64, "0" * 128 + "\n", "../" * 40])
def test_a_digest_that_is_none_is_doubted(tmp_path: Path, digest: str) -> None:
    job = a_job(tmp_path)
    Path(job.out_dir, "r").write_bytes(b"abc")
    told = MadeFile(file_name="r", file_size=3, sha512_checksum=digest)
    report = _converted("r")
    assert report.result is not None
    beside = report.result.model_copy(update={"sidecars": (told.model_copy(update={"file_name": "r.mks"}),)})
    Path(job.out_dir, "r.mks").write_bytes(b"abc")
    assert "digest" in str(doubt(job, report.model_copy(update={"result": ResultFacts(**told.model_dump())})))
    assert "digest" in str(doubt(job, report.model_copy(update={"result": beside})))


def test_an_out_folder_that_is_gone_or_overfull_is_doubted(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    for number in range(1001):
        Path(job.out_dir, str(number)).touch()
    assert "more than 1000" in str(doubt(job, _converted("1", 0)))
    assert doubt(job.model_copy(update={"out_dir": str(tmp_path / "gone")}), _converted("1", 0)) is not None


@pytest.mark.parametrize(
    ("code", "words"),
    [(3, "exit code 3"), (-9, "SIGKILL"), (-11, "SIGSEGV"), (-40, "signal 40"), (None, "starts the workers"), (-24, "processor time")],
)
def test_every_way_to_die_has_words(code: int | None, words: str) -> None:
    report = death_of(JOB, code)
    assert words in report.errors[0].message
    assert report.kind == ("failed" if code == -24 else "crashed")
