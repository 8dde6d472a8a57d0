"""Conversions in the caller's own thread: no process, no walls. For tests, and to look at an engine in a debugger.

Obeys the same law as the pool as far as one thread can: `submit` does the whole job, `poll` gives what came of it. An engine that
kills the process kills the caller; that is what the pool is for.
"""

from collections.abc import Callable

from dmc.clock import Clock
from dmc.convert.conversation import PROGRESS_EVERY_S, doubt, report_of
from dmc.convert.limits import Limits
from dmc.convert.worker import Engine, run
from dmc.errors import Busy, UsageFault
from dmc.jobs import Job, Progress, Report


class InlineExecutor:
    """Does each job at once, with the engine handed in. The slot stays taken until the report was polled."""

    def __init__(self, limits: Limits, clock: Clock, convert: Engine, *, slots: int = 1) -> None:
        self._limits = limits
        self._clock = clock
        self._convert = convert
        self._slots = slots
        self._said: list[Progress | Report] = []
        self._open = True
        self._frozen = False

    def submit(self, job: Job) -> None:
        """Do a job; raises Busy when no slot is free."""
        if not self._open:
            raise UsageFault("the executor is closed.")
        if self.free_slots() == 0:
            raise Busy("every worker is busy.")
        report = run(self._convert, job, self._limits, self._pacer(job))
        why = doubt(job, report)
        if why is not None:
            report = report_of(job, "crashed", "BadReport", f"the worker's report cannot be believed: {why}.")
        self._said.append(report)

    def poll(self) -> list[Progress | Report]:
        """What happened since the last poll."""
        said, self._said = self._said, []
        return said

    def cancel(self, item_id: str) -> None:
        """Nothing to kill: a job that was submitted is already done."""

    def freeze(self) -> None:
        """Begin nothing; nothing runs outside `submit`."""
        self._frozen = True

    def thaw(self) -> None:
        self._frozen = False

    def free_slots(self) -> int:
        return 0 if self._frozen else max(0, self._slots - sum(isinstance(said, Report) for said in self._said))

    def wait(self, timeout_s: float) -> None:
        """Returns at once: nothing happens outside `submit`."""

    def wake(self) -> None:
        """Nobody waits."""

    def close(self) -> None:
        """No process, nothing to end."""
        self._open = False
        self._said.clear()

    def _pacer(self, job: Job) -> Callable[[Progress], None]:
        """Progress as the law wants it: of this job, never falling, at most four a second."""
        fraction, told_at = 0.0, float("-inf")

        def take(said: Progress) -> None:
            nonlocal fraction, told_at
            fraction = max(fraction, min(1.0, said.fraction))
            now = self._clock.monotonic()
            if now - told_at >= PROGRESS_EVERY_S and (said.item_id, said.attempt) == (job.item_id, job.attempt):
                told_at = now
                self._said.append(said.model_copy(update={"fraction": fraction}))

        return take
