"""The law of the Executor seam (dmc/broker/executor.py), run on every variant with engines that behave and engines that do not."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dmc.broker.executor import Executor
from dmc.clock import SystemClock
from dmc.convert.inline import InlineExecutor
from dmc.convert.limits import Limits
from dmc.convert.pool import WorkerPool
from dmc.errors import Busy
from dmc.jobs import Progress, Report
from tests.convert import engines
from tests.convert.rooms import (
    HurriedClock,
    Playing,
    a_job,
    a_pool,
    is_alive,
    is_stopped,
    processor_ticks,
    progresses,
    reports,
    until,
    until_report,
)
from tests.patience import PATIENCE_S

Opens = Callable[..., AbstractContextManager[Any]]

MANY = 7
"""Jobs that are more than the four slots they get: a fresh process for each is the greater part of this file's time."""


@contextmanager
def _inline(engine: str, slots: int = 2, **_: Any) -> Iterator[InlineExecutor]:
    executor = InlineExecutor(Limits(), SystemClock(), getattr(engines, engine), slots=slots)
    yield executor
    executor.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Callable[[str], WorkerPool]]:
    """Pools that many tests use one after the other: starting one takes longer than most jobs."""
    with ExitStack() as stack:
        pools: dict[str, WorkerPool] = {}

        def pool(method: str) -> WorkerPool:
            if method not in pools:
                pools[method] = stack.enter_context(a_pool("chosen", method=method))
            return pools[method]

        yield pool


def _opens(method: str, shared: Callable[[str], WorkerPool]) -> Opens:
    @contextmanager
    def opens(engine: str, **settings: Any) -> Iterator[Any]:
        if settings:
            with a_pool(engine, method=method, **settings) as pool:
                yield pool
            return
        pool = shared(method)
        yield Playing(pool, engine)
        for worker in pool.workers():
            pool.cancel(worker.item_id)
            until_report(pool)

    return opens


@pytest.fixture(params=["fork-server", "fresh-process", "inline"])
def executor(request: pytest.FixtureRequest, shared: Callable[[str], WorkerPool]) -> Opens:
    return _inline if request.param == "inline" else _opens(request.param, shared)


@pytest.fixture(params=["fork-server", "fresh-process"])
def processes(request: pytest.FixtureRequest, shared: Callable[[str], WorkerPool]) -> Opens:
    return _opens(request.param, shared)


def test_every_variant_fits_the_seam() -> None:
    takes: list[Callable[[], Executor]] = [
        lambda: WorkerPool(1, Limits(), SystemClock()),
        lambda: InlineExecutor(Limits(), SystemClock(), engines.copies),
    ]
    for make in takes:
        made = make()
        assert made.free_slots() == 1
        made.close()


def test_a_job_ends_with_its_result(executor: Opens, tmp_path: Path) -> None:
    with executor("copies") as runs:
        runs.submit(a_job(tmp_path, content=b"abc"))
        heard: list[Progress] = []
        report = until_report(runs, heard)
        assert (report.kind, report.item_id, report.attempt) == ("converted", "item-1", 1)
        assert report.result is not None and report.result.file_size == 3
        assert [said.fraction for said in heard] == [0.5]
        assert runs.poll() == []
        assert runs.free_slots() == 2


@pytest.mark.parametrize(
    ("engine", "kind", "code"),
    [
        ("skips", "skipped", None),
        ("refuses", "failed", "NotMedia"),
        ("finds_the_disk_full", "unavailable", "DiskFull"),
        ("raises", "crashed", "StillBroken"),
        ("speaks_for_another_item", "crashed", "BadReport"),
        ("claims_a_result", "crashed", "BadReport"),
        ("points_outside", "crashed", "BadReport"),
    ],
)
def test_every_end_is_one_report(executor: Opens, tmp_path: Path, engine: str, kind: str, code: str | None) -> None:
    with executor(engine) as runs:
        runs.submit(a_job(tmp_path))
        report = until_report(runs)
        assert (report.kind, report.item_id) == (kind, "item-1")
        assert [note.code for note in report.errors] == ([code] if code else [])
        runs.wait(0.05)
        assert runs.poll() == []


@pytest.mark.parametrize(
    ("engine", "code", "words"),
    [
        ("exits_at_once", "WorkerDied", "exit code 3"),
        ("exits_politely", "WorkerDied", "exit code"),
        ("kills_itself", "WorkerDied", "SIGKILL"),
        ("crashes_natively", "WorkerDied", "SIGSEGV"),
        ("reports_two_ends", "BadReport", "after its report"),
        ("writes_rubbish", "BadReport", "no message"),
        ("sends_a_pickle", "BadReport", "no message"),
        ("sends_not_a_number", "BadReport", "no message"),
        ("floods_with_progress", "BadReport", "more lines"),
        ("floods_without_lines", "BadReport", "without an end"),
        ("sleeps_for_ever", "Stalled", "said nothing"),
        ("holds_the_interpreter", "Stalled", "said nothing"),
        ("ignores_every_signal", "Stalled", "said nothing"),
    ],
)
def test_whatever_the_process_does_there_is_one_report(processes: Opens, tmp_path: Path, engine: str, code: str, words: str) -> None:
    stalls = code == "Stalled"
    with processes(engine, **({"stall_limit_s": 0.6} if stalls else {})) as runs:
        job = a_job(tmp_path)
        runs.submit(job)
        report = until_report(runs)
        assert (report.kind, report.errors[0].code) == ("crashed", code), report
        assert words in report.errors[0].message
        assert runs.poll() == []
        assert runs.free_slots() == 2
        assert not Path(f"{job.log_file}.pwned").exists()


def test_a_native_crash_leaves_words_in_the_log(processes: Opens, tmp_path: Path) -> None:
    with processes("crashes_natively") as runs:
        job = a_job(tmp_path)
        runs.submit(job)
        until_report(runs)
        assert "Segmentation fault" in Path(job.log_file).read_text()


def test_more_jobs_than_slots_are_refused(executor: Opens, tmp_path: Path) -> None:
    with executor("copies", slots=1) as runs:
        runs.submit(a_job(tmp_path, "one"))
        with pytest.raises(Busy):
            runs.submit(a_job(tmp_path, "two"))
        assert until_report(runs).item_id == "one"
        runs.submit(a_job(tmp_path, "three"))
        assert until_report(runs).item_id == "three"


def test_each_of_many_jobs_is_reported_once(executor: Opens, tmp_path: Path) -> None:
    with executor("copies", slots=4) as runs:
        ended: list[str] = []
        for index in range(MANY):
            if not runs.free_slots():
                ended += [report.item_id for report in reports(runs, 1)]
            runs.submit(a_job(tmp_path, f"item-{index}"))
        ended += [report.item_id for report in reports(runs, MANY - len(ended))]
        assert sorted(ended) == sorted(f"item-{index}" for index in range(MANY))


def test_wait_returns_when_something_is_said(executor: Opens, tmp_path: Path) -> None:
    with executor("copies") as opened:
        opened.submit(a_job(tmp_path))
        said: list[Any] = []
        for _ in range(100):  # It may return sooner, but not for nothing all the time.
            opened.wait(30.0)
            said += opened.poll()
            if any(isinstance(one, Report) for one in said):
                break
        assert [one.kind for one in said if isinstance(one, Report)] == ["converted"]


def test_poll_never_blocks(processes: Opens, tmp_path: Path) -> None:
    with processes("sleeps_for_ever") as runs:
        runs.submit(a_job(tmp_path))
        progresses(runs, 1)
        began = time.monotonic()
        for _ in range(5000):
            assert runs.poll() == []
        assert time.monotonic() - began < PATIENCE_S, "each would have had time to wait for something"


def test_cancel_kills_at_once_and_says_so_once(processes: Opens, tmp_path: Path) -> None:
    with processes("ignores_every_signal") as runs:
        runs.submit(a_job(tmp_path))
        (pid,) = [said.worker_pid for said in progresses(runs, 1)]
        runs.cancel("item-1")
        runs.cancel("item-1")
        report = until_report(runs)
        assert (report.kind, report.errors[0].code) == ("cancelled", "cancelled")
        assert not is_alive(pid)
        runs.cancel("item-1")
        runs.wait(0.05)
        assert runs.poll() == []


def test_a_job_can_be_cancelled_before_its_process_is_there(processes: Opens, tmp_path: Path) -> None:
    with processes("sleeps_for_ever") as runs:
        runs.submit(a_job(tmp_path))
        runs.cancel("item-1")
        assert until_report(runs).kind == "cancelled"


def test_cancelling_what_has_ended_changes_nothing(executor: Opens, tmp_path: Path) -> None:
    with executor("copies") as runs:
        runs.submit(a_job(tmp_path))
        assert until_report(runs).kind == "converted"
        runs.cancel("item-1")
        runs.cancel("never heard of")
        assert runs.poll() == []


def test_cancel_spares_the_others(processes: Opens, tmp_path: Path) -> None:
    with processes("sleeps_for_ever") as runs:
        runs.submit(a_job(tmp_path, "one"))
        runs.submit(a_job(tmp_path, "two"))
        pids = {said.item_id: said.worker_pid for said in progresses(runs, 2)}
        runs.cancel("one")
        assert until_report(runs).item_id == "one"
        assert is_alive(pids["two"])


def test_after_close_no_process_lives_and_nothing_is_written(processes: Opens, tmp_path: Path) -> None:
    with processes("sleeps_for_ever", slots=2) as runs:
        runs.submit(a_job(tmp_path, "one"))
        runs.submit(a_job(tmp_path, "two"))
        pids = [said.worker_pid for said in progresses(runs, 2)]
        runs.close()
        assert [pid for pid in pids if is_alive(pid)] == []
        runs.close()


def test_progress_never_falls_and_comes_at_most_four_times_a_second(executor: Opens, tmp_path: Path) -> None:
    with executor("goes_backwards") as runs:
        heard: list[Progress] = []
        began = time.monotonic()
        runs.submit(a_job(tmp_path))
        assert until_report(runs, heard).kind == "converted"
        fractions = [said.fraction for said in heard]
        assert fractions == sorted(fractions)
        assert all(0.0 <= fraction <= 1.0 for fraction in fractions)
        assert 1 <= len(heard) <= 1 + (time.monotonic() - began) * 4


def test_jobs_progress_and_reports_survive_json(executor: Opens, tmp_path: Path) -> None:
    with executor("copies") as runs:
        job = a_job(tmp_path)
        runs.submit(type(job).model_validate(json.loads(job.model_dump_json())))
        heard: list[Progress] = []
        report = until_report(runs, heard)
        for said in [report, *heard]:
            assert type(said).model_validate_json(said.model_dump_json()) == said


def test_names_that_are_no_text_pass(executor: Opens, tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n\xf0\x9f\x8e\xac.bin")
    Path(odd).write_bytes(b"odd")
    with executor("copies") as runs:
        runs.submit(a_job(tmp_path, original=odd))
        report: Report = until_report(runs)
        assert report.result is not None and report.result.file_size == 3, report


def test_while_frozen_nothing_begins(executor: Opens, tmp_path: Path) -> None:
    with executor("copies") as runs:
        runs.freeze()
        runs.freeze()
        assert runs.free_slots() == 0
        with pytest.raises(Busy):
            runs.submit(a_job(tmp_path, "one"))
        runs.thaw()
        runs.thaw()
        assert runs.free_slots() == 2
        runs.submit(a_job(tmp_path, "two"))
        assert until_report(runs).item_id == "two"


def test_frozen_jobs_use_no_processor_and_then_go_on(processes: Opens, tmp_path: Path) -> None:
    with processes("works_hard_for_a_while") as runs:
        job = a_job(tmp_path)
        runs.submit(job)
        (pid,) = {said.worker_pid for said in progresses(runs, 1)}
        until(lambda: processor_ticks(pid) > 20, runs)
        runs.freeze()
        until(lambda: is_stopped(pid), runs)
        used = processor_ticks(pid)
        until(_some_looks(100), runs)
        assert processor_ticks(pid) == used
        runs.thaw()
        until(lambda: processor_ticks(pid) > used + 20, runs)
        (Path(job.out_dir) / "enough").touch()
        assert until_report(runs).kind == "converted"


def test_a_job_that_is_just_beginning_is_frozen_too(processes: Opens, tmp_path: Path) -> None:
    with processes("sleeps_for_ever") as runs:
        runs.submit(a_job(tmp_path))
        runs.freeze()
        until(lambda: any(worker.pid and is_stopped(worker.pid) for worker in runs.workers()), runs)
        (worker,) = runs.workers()
        runs.thaw()
        until(lambda: not is_stopped(worker.pid), runs)


def test_frozen_time_is_no_silence(processes: Opens, tmp_path: Path) -> None:
    clock = HurriedClock()
    with processes("works_hard_for_a_while", clock=clock) as runs:
        job = a_job(tmp_path)
        runs.submit(job)
        (pid,) = {said.worker_pid for said in progresses(runs, 1)}
        runs.freeze()
        until(lambda: is_stopped(pid), runs)
        clock.ahead = 3600.0
        until(_some_looks(3), runs)
        runs.thaw()
        (Path(job.out_dir) / "enough").touch()
        assert until_report(runs).kind == "converted"


def test_a_frozen_job_is_cancelled_and_closed_like_any_other(processes: Opens, tmp_path: Path) -> None:
    with processes("works_hard_for_a_while", slots=2) as runs:
        runs.submit(a_job(tmp_path, "one"))
        runs.submit(a_job(tmp_path, "two"))
        pids: dict[str, int] = {}
        while len(pids) < 2:
            pids |= {said.item_id: said.worker_pid for said in progresses(runs, 1)}
        runs.freeze()
        until(lambda: all(is_stopped(pid) for pid in pids.values()), runs)
        runs.cancel("one")
        assert (until_report(runs).item_id, is_alive(pids["one"])) == ("one", False)
        assert is_stopped(pids["two"])
        runs.close()
        assert not is_alive(pids["two"])


def _some_looks(count: int) -> Callable[[], bool]:
    """False so many times, then True: half a second of looking on, at 5 ms each."""
    left = iter(range(count))
    return lambda: next(left, None) is None
