"""The executor seam: what does the converting. The broker knows no more of it; convert/ fits it by shape.

Law (each line is a contract test run on every variant):
1. `poll` never blocks; `wait` does, until there is something to poll.
2. Every submit yields exactly one Report, even if the process that does it dies, hangs or writes rubbish.
3. After `cancel` the job's process is dead and reaped before its Report (kind `cancelled`, or the one that came first) is polled.
4. After `close` no process of it lives and nothing writes into any out/ any more.
5. Progress never falls and comes at most four times a second and job.
6. Between `freeze` and `thaw` no job uses the processor (within 2 s) and none begins: `free_slots` is 0. Frozen time counts for nothing:
   no silence, no part of speed or eta. `cancel` and `close` work all the same, and no frozen process outlives its owner.
7. Jobs, progress and reports are plain values that survive JSON.
"""

from collections.abc import Sequence
from typing import Protocol

from dmc.jobs import Job, Progress, Report


class Executor(Protocol):
    """Something that converts; see the law above."""

    def submit(self, job: Job) -> None:
        """Begin a job; raises Busy when no slot is free."""
        ...

    def poll(self) -> Sequence[Progress | Report]:
        """What happened since the last poll."""
        ...

    def wait(self, timeout_s: float) -> None:
        """Return when `poll` has something to say, or after `timeout_s`; sooner is no harm."""
        ...

    def cancel(self, item_id: str) -> None:
        """Kill the job of an item; does nothing if it has none."""
        ...

    def freeze(self) -> None:
        """Let every job stand still; does nothing if they do."""
        ...

    def thaw(self) -> None:
        """Let them go on; does nothing if they do."""
        ...

    def free_slots(self) -> int: ...

    def close(self) -> None: ...
