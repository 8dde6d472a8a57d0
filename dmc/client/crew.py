"""Work beside the sync thread: hashing, sending, fetching, asking. Jobs run in lanes of worker threads.

A job returns a value or raises; it never touches the outbox. `collect` hands the ends to the owner. `InlineCrew` does
the same without threads, for tests: a job runs when the owner collects.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from dmc.errors import DmcError

Value = TypeVar("Value")

WIDTHS: Mapping[str, int] = {"hash": 2, "send": 2, "fetch": 2, "ask": 1}
"""Jobs at once per lane; a lane's kind is its name up to the colon: each server has lanes of its own."""

QUEUED: Mapping[str, int] = {"hash": 62}
"""Jobs that may wait in a lane: with many small files several ends are written down in one durable step."""


class Crew(Protocol):
    """Lanes of workers. `post` and `stopping` are for everybody, the rest for the owner's thread.

    `wake` is set whenever there is something to collect.
    """

    wake: threading.Event

    def free(self, lane: str) -> int:
        """How many more jobs the lane takes now."""
        ...

    def submit(self, lane: str, job: Callable[[], Value], done: Callable[[Value], None], failed: Callable[[Exception], None]) -> None:
        """Run `job`; at a later `collect` either `done` or `failed` is called."""
        ...

    def post(self, note: Callable[[], None]) -> None:
        """From inside a job: let `note` run on the owner's thread at its next `collect`."""
        ...

    def collect(self) -> int:
        """Call what is to be called; returns how many."""
        ...

    def stop(self) -> None:
        """Ask running jobs to stop; no new ones are taken."""
        ...

    def stopping(self) -> bool: ...

    def clear(self) -> None:
        """After `stop`: wait for running jobs, forget what they said, and take new ones again."""
        ...


def _width(widths: Mapping[str, int], lane: str) -> int:
    return widths.get(lane.partition(":")[0], 1)


def _room(widths: Mapping[str, int], lane: str) -> int:
    return _width(widths, lane) + QUEUED.get(lane.partition(":")[0], 0)


class ThreadCrew(Crew):
    """Worker threads, started as they are needed."""

    def __init__(self, widths: Mapping[str, int] = WIDTHS) -> None:
        self.wake = threading.Event()
        self._widths = widths
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._running: dict[str, int] = {}
        self._notes: deque[Callable[[], None]] = deque()
        self._stop = threading.Event()

    def free(self, lane: str) -> int:
        return 0 if self._stop.is_set() else _room(self._widths, lane) - self._running.get(lane, 0)

    def submit(self, lane: str, job: Callable[[], Value], done: Callable[[Value], None], failed: Callable[[Exception], None]) -> None:
        if lane not in self._pools:
            self._pools[lane] = ThreadPoolExecutor(_width(self._widths, lane), thread_name_prefix=f"dmc-{lane}")
        self._running[lane] = self._running.get(lane, 0) + 1
        future = self._pools[lane].submit(job)

        def end() -> None:
            self._running[lane] -= 1
            problem = future.exception()
            if problem is None:
                done(future.result())
            elif isinstance(problem, Exception):
                failed(problem)
            else:
                raise problem

        future.add_done_callback(lambda _: self.post(end))

    def post(self, note: Callable[[], None]) -> None:
        self._notes.append(note)
        self.wake.set()

    def collect(self) -> int:
        called = 0
        while self._notes and not self._stop.is_set():
            self._notes.popleft()()
            called += 1
        return called

    def stop(self) -> None:
        self._stop.set()

    def stopping(self) -> bool:
        return self._stop.is_set()

    def clear(self) -> None:
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)
        self._pools.clear()
        self._running.clear()
        self._notes.clear()
        self._stop.clear()


class InlineCrew(Crew):
    """No threads: jobs run one after the other inside `collect`, in the order they came."""

    def __init__(self, widths: Mapping[str, int] = WIDTHS) -> None:
        self._widths = widths
        self._jobs: deque[tuple[str, Callable[[], None]]] = deque()
        self._stopped = False
        self.wake = threading.Event()

    @property
    def has_jobs(self) -> bool:
        return bool(self._jobs)

    def free(self, lane: str) -> int:
        return _room(self._widths, lane) - sum(waiting == lane for waiting, _ in self._jobs)

    def submit(self, lane: str, job: Callable[[], Value], done: Callable[[Value], None], failed: Callable[[Exception], None]) -> None:
        def whole() -> None:
            try:
                value = job()
            except (DmcError, OSError) as problem:
                failed(problem)  # Anything else is a bug, and here it may surface at once.
            else:
                done(value)

        self._jobs.append((lane, whole))

    def post(self, note: Callable[[], None]) -> None:
        note()

    def collect(self) -> int:
        called = 0
        for _ in range(len(self._jobs)):
            self._jobs.popleft()[1]()
            called += 1
        return called

    def stop(self) -> None:
        self._stopped = True

    def stopping(self) -> bool:
        return self._stopped

    def clear(self) -> None:
        self._jobs.clear()
        self._stopped = False
