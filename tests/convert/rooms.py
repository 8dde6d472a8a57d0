"""Rooms for tests: an item's folder, a pool whose workers run a test engine, and waiting for the end of a job."""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from dmc.clock import Clock, SystemClock
from dmc.convert.limits import Limits
from dmc.convert.pool import WorkerPool
from dmc.jobs import Job, Progress, Report
from tests.patience import PATIENCE_S


class Runs(Protocol):
    def poll(self) -> list[Progress | Report]: ...
    def wait(self, timeout_s: float) -> None: ...


def a_job(folder: Path, item_id: str = "item-1", content: bytes = b"the original", **fields: Any) -> Job:
    room = folder / item_id
    (room / "out").mkdir(parents=True)
    (room / "original.bin").write_bytes(content)
    values: dict[str, Any] = {
        "item_id": item_id,
        "attempt": 1,
        "original": str(room / "original.bin"),
        "out_dir": str(room / "out"),
        "log_file": str(room / "log.txt"),
        "label": "a file.bin",
        "conversion_type": "webp",
        "file_size": len(content),
        "sha512_checksum": hashlib.sha512(content).hexdigest(),
    }
    return Job(**(values | fields))


@contextmanager
def a_pool(
    engine: str,
    slots: int = 2,
    limits: Limits | None = None,
    module: str = "tests.convert.engines",
    clock: Clock | None = None,
    **settings: Any,
) -> Iterator[WorkerPool]:
    """A started pool whose workers run `engine` of `module`."""
    pool = WorkerPool(slots, limits or Limits(), clock or SystemClock(), entry=f"{module}:{engine}", **settings)
    pool.start()
    try:
        yield pool
    finally:
        pool.close()


class HurriedClock(SystemClock):
    """The machine's clock, `ahead` by so many seconds."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


class Playing:
    """An executor whose jobs all go to one engine of those that `chosen` plays."""

    def __init__(self, executor: Any, engine: str) -> None:
        self._executor = executor
        self._engine = engine

    def submit(self, job: Job) -> None:
        self._executor.submit(job.model_copy(update={"conversion_type": self._engine}))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)


def reports(executor: Runs, count: int, heard: list[Progress] | None = None) -> list[Report]:
    """The next `count` reports; progress goes to `heard`."""
    found: list[Report] = []
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        for said in executor.poll():
            if isinstance(said, Report):
                found.append(said)
            elif heard is not None:
                heard.append(said)
        if len(found) >= count:
            return found
        executor.wait(0.1)
    raise AssertionError(f"only these reports came: {found}")


def until_report(executor: Runs, heard: list[Progress] | None = None) -> Report:
    """The only report to come; progress goes to `heard`."""
    (report,) = reports(executor, 1, heard)
    return report


def progresses(executor: Runs, count: int) -> list[Progress]:
    """The next `count` values of progress; no report may come."""
    found: list[Progress] = []
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        for said in executor.poll():
            assert isinstance(said, Progress), said
            found.append(said)
        if len(found) >= count:
            return found
        executor.wait(0.1)
    raise AssertionError(f"only this progress came: {found}")


def is_alive(pid: int) -> bool:
    """Whether a process lives (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def is_stopped(pid: int) -> bool:
    """Whether a process stands still."""
    return _stat(pid)[0] == "T"


def processor_ticks(pid: int) -> int:
    """What a process and all its threads have used of the processor, in hundredths of a second."""
    return int(_stat(pid)[11]) + int(_stat(pid)[12])


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def until(what: Callable[[], bool], executor: Runs | None = None) -> None:
    """Wait for something that other processes do, polling `executor`, which must not report an end meanwhile."""
    end = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < end, "it does not happen"
        if executor is not None:
            assert not [said for said in executor.poll() if isinstance(said, Report)]
        time.sleep(0.005)
