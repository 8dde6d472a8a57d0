"""The executor without processes; its law is tested in tests/contracts/test_executor.py."""

from pathlib import Path

import pytest

from dmc.clock import ManualClock
from dmc.convert.inline import InlineExecutor
from dmc.convert.limits import Limits
from dmc.convert.progress import OnProgress
from dmc.errors import Busy, UsageFault
from dmc.jobs import Job, Progress, Report
from tests.convert import engines
from tests.convert.rooms import a_job


def test_the_slot_stays_taken_until_the_report_was_polled(tmp_path: Path) -> None:
    executor = InlineExecutor(Limits(), ManualClock(), engines.copies)
    executor.submit(a_job(tmp_path, "one"))
    assert executor.free_slots() == 0
    with pytest.raises(Busy):
        executor.submit(a_job(tmp_path, "two"))
    executor.cancel("one")
    said = executor.poll()
    assert [type(value) for value in said] == [Progress, Report]
    assert executor.free_slots() == 1


def test_progress_keeps_its_pace_by_the_clock_it_was_given(tmp_path: Path) -> None:
    clock = ManualClock()

    def ticks(job: Job, limits: Limits, tell: OnProgress) -> Report:
        for step in range(20):
            tell(step / 20, None, None)
            clock.advance(0.1)
        return engines.skips(job, limits, tell)

    executor = InlineExecutor(Limits(), clock, ticks)
    executor.submit(a_job(tmp_path))
    heard = [said.fraction for said in executor.poll() if isinstance(said, Progress)]
    assert heard == sorted(heard)
    assert len(heard) == 7


def test_a_closed_executor_takes_no_jobs(tmp_path: Path) -> None:
    executor = InlineExecutor(Limits(), ManualClock(), engines.copies)
    executor.submit(a_job(tmp_path))
    executor.close()
    assert executor.poll() == []
    with pytest.raises(UsageFault):
        executor.submit(a_job(tmp_path, "late"))
