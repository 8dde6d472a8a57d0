"""Rooms for tests: an item's folder, a pool whose workers run a test engine, and waiting for the end of a job."""

import hashlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from dmc.clock import SystemClock
from dmc.convert.limits import Limits
from dmc.convert.pool import WorkerPool
from dmc.jobs import Job, Progress, Report

ENGINES = str(Path(__file__).parent / "engines")
PATIENCE_S = 20.0


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
def a_pool(engine: str, slots: int = 2, limits: Limits | None = None, **settings: Any) -> Iterator[WorkerPool]:
    """A started pool whose workers run `engine` of engines_for_tests."""
    if ENGINES not in sys.path:
        sys.path.append(ENGINES)
    pool = WorkerPool(slots, limits or Limits(), SystemClock(), entry=f"engines_for_tests:{engine}", **settings)
    pool.start()
    try:
        yield pool
    finally:
        pool.close()


def until_report(executor: Runs, heard: list[Progress] | None = None) -> Report:
    """The next report; progress goes to `heard`."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        for said in executor.poll():
            if isinstance(said, Report):
                return said
            if heard is not None:
                heard.append(said)
        executor.wait(0.1)
    raise AssertionError("no report came")


def until_progress(executor: Runs) -> Progress:
    """The next progress."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        for said in executor.poll():
            assert isinstance(said, Progress), said
            return said
        executor.wait(0.1)
    raise AssertionError("no progress came")


def is_alive(pid: int) -> bool:
    """Whether a process lives (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
