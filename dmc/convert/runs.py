"""One job of the pool from submit to report: its conversation, its process, how it ended, and how long it stood still.

Time while a process is frozen counts for nothing: not for the stall limit, not for speed and time to go. Holds no process and
sends no signal; the pool does.
"""

import socket
from collections.abc import Iterable
from dataclasses import dataclass

from dmc.convert.conversation import Conversation
from dmc.convert.launch import Died
from dmc.jobs import Progress, Report


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """One running worker, for the thread index; `pid` is None until the process is there."""

    pid: int | None
    item_id: str
    attempt: int
    started_at: str
    progress: Progress | None


@dataclass(slots=True)
class Run:
    """See the top of this file. `verdict` is a report that was decided by the pool, against what the worker may say."""

    talk: Conversation
    channel: socket.socket
    started_at: str
    pid: int | None = None
    progress: Progress | None = None
    verdict: Report | None = None
    verdict_at: float = 0.0
    died: Died | None = None
    died_at: float = 0.0
    at_end: bool = False
    ended_at: float = 0.0
    frozen_at: float | None = None
    frozen_s: float = 0.0

    @property
    def may_be_frozen(self) -> bool:
        """Not before the walls stand: until then the kernel would not end a stopped worker with its parent. Not after the report."""
        said = self.talk
        return self.frozen_at is None and said.walls is not None and said.report is None and self.verdict is None and self.died is None

    @property
    def is_leaving(self) -> bool:
        """Its report is heard and stands; all that is left for the process is to end, and that is a matter of milliseconds."""
        return self.talk.report is not None and self.verdict is None

    def thaw(self, now: float) -> None:
        """The process goes on: the time since it was frozen has not been."""
        if self.frozen_at is not None:
            self.frozen_s += now - self.frozen_at
            self.talk.heard_at += now - max(self.frozen_at, self.talk.heard_at)
            self.frozen_at = None

    def told(self, said: Progress, now: float) -> Progress:
        """`said` by a worker whose own clock went on while it stood still, put right."""
        since = now - self.talk.began
        worked = (since - self.frozen_s) / since if since > 0 else 1.0
        return said.model_copy(
            update={
                "worker_pid": self.pid or said.worker_pid,
                "speed": said.speed / worked if said.speed is not None and worked > 0 else said.speed,
                "eta_s": said.eta_s * worked if said.eta_s is not None else None,
            }
        )

    def info(self) -> WorkerInfo:
        job = self.talk.job
        return WorkerInfo(self.pid, job.item_id, job.attempt, self.started_at, self.progress)


def at_work(runs: Iterable[Run]) -> int:
    """How many of them hold a slot."""
    return sum(not run.is_leaving for run in runs)
