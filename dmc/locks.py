"""Locks between processes: the only file that knows filelock.

One `ProcessLock` per lock file and process. It is `flock` underneath, so the kernel frees it when its holder dies. Lock
files are never deleted: whoever removes one by hand lets a second holder in, which is why the path is compared with
the open file after each acquisition.
"""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import Timeout, UnixFileLock

from dmc.errors import Locked


class Waits:
    """How often a lock was asked for, and the seconds that were waited for it in all; those in vain included."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self.count = 0
        self.seconds = 0.0

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """The block waits for the lock, and ends when it is taken."""
        began = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - began
            with self._guard:
                self.count += 1
                self.seconds += took


class ProcessLock:
    """A lock against other processes and, at the same time, against other threads of this one. Not re-entrant.

    `timeout_s` bounds every wait. `holder_hint` is said when the wait was in vain.
    """

    def __init__(self, path: Path, *, timeout_s: float = 10.0, holder_hint: str = "") -> None:
        self.path = path
        self._timeout_s = timeout_s
        self._hint = holder_hint
        self.waits = Waits()
        self._threads = threading.Lock()
        # thread_local=False: one object is shared by all threads, and _threads is what keeps them apart.
        self._file = UnixFileLock(path, timeout=timeout_s, mode=0o600, thread_local=False, poll_interval=0.001, fallback_to_soft=False)

    def acquire(self, timeout_s: float | None = None) -> None:
        """Take the lock or raise Locked after `timeout_s` (default: that of the lock)."""
        with self.waits.counted():
            self._take(self._timeout_s if timeout_s is None else timeout_s)

    def _take(self, limit: float) -> None:
        deadline = time.monotonic() + limit
        if not self._threads.acquire(timeout=max(limit, 0.0)):
            raise self._locked(limit)
        try:
            while True:
                self._file.acquire(timeout=max(0.0, deadline - time.monotonic()))
                if self._is_ours():
                    return
                self._file.release()  # Somebody deleted the lock file meanwhile; lock the one that is there now.
        except Timeout:
            self._threads.release()
            raise self._locked(limit) from None
        except BaseException:
            self._threads.release()
            raise

    def release(self) -> None:
        """Give the lock back."""
        self._file.release()
        self._threads.release()

    @contextlib.contextmanager
    def held(self, timeout_s: float | None = None) -> Iterator[None]:
        """Hold the lock for a block."""
        self.acquire(timeout_s)
        try:
            yield
        finally:
            self.release()

    def _is_ours(self) -> bool:
        fd = self._file._context.lock_file_fd
        if fd is None:
            return False
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return False
        mine = os.fstat(fd)
        return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)

    def _locked(self, waited_s: float) -> Locked:
        return Locked(f"{self.path.name} is held by another process (waited {waited_s:g} s).", self._hint)
