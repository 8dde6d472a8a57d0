"""The thread index, `threads.json`: which conversion worker (pid) holds which item since when, and how far it is.

Written by the broker, at most twice a second and unsynced; read by the server and the command line, in any process. It may be
lost at any time: it holds nothing that the ledger would need.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dmc.clock import Clock
from dmc.files import Disk, translate, write_loosely
from dmc.jobs import Progress

WRITE_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Thread:
    """A worker at work: `version` is that of the item's record when it began."""

    started_at: str
    version: int
    progress: Progress


class ThreadIndex:
    """See the top of this file."""

    def __init__(self, data: Path, disk: Disk, clock: Clock) -> None:
        self._path = data / "threads.json"
        self._disk = disk
        self._clock = clock
        self._written: tuple[float, list[Thread]] | None = None
        self._read: tuple[tuple[int, int], dict[str, Progress]] | None = None

    def write(self, threads: Iterable[Thread], *, at_once: bool = False) -> None:
        """Tell who works on what; does nothing if that is known or was told less than half a second ago, unless it shall be `at_once`.

        Small files begin and end more often than that; whoever reads asks the ledger what is in progress.
        """
        wanted, now = list(threads), self._clock.monotonic()
        if self._written is not None:
            at, known = self._written
            if known == wanted or (now - at < WRITE_EVERY_S and not at_once):
                return
        index = {
            str(thread.progress.worker_pid): {
                "pid": thread.progress.worker_pid,
                "started_at": thread.started_at,
                "item_id": thread.progress.item_id,
                "version": thread.version,
                "progress": thread.progress.model_dump(mode="json"),
            }
            for thread in wanted
        }
        try:
            write_loosely(self._disk, self._path, json.dumps(index, indent=1).encode() + b"\n")
        except OSError as problem:
            raise translate(problem, "writing threads.json") from problem
        self._written = (now, wanted)

    def read(self) -> dict[str, Progress]:
        """Progress by item id; empty if no broker works."""
        found = self._disk.stat(self._path)
        if found is None:
            return {}
        stamp = (found.st_ino, found.st_mtime_ns)
        if self._read is None or self._read[0] != stamp:
            try:
                threads = json.loads(self._disk.read(self._path)).values()
                known = [Progress.model_validate(thread["progress"]) for thread in threads]
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                return {}
            self._read = (stamp, {progress.item_id: progress for progress in known})
        return self._read[1]
