"""The source of a conversion here and now: which file it is, and its SHA-512, computed in a thread while a worker is at it."""

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

_AT_ONCE = 256 * 1024
_PATIENCE_S = 1.0
"""How long the reading of one block may take when nobody wants the digest any more."""


class Source:
    """A file from before its conversion to the end of it. `on_end` is called, in another thread, when the digest stands."""

    def __init__(self, path: Path, on_end: Callable[[], None]) -> None:
        """Begin to read. Raises OSError for a file that cannot be."""
        self.path = path
        self._file = path.open("rb", buffering=0)
        self.was = os.fstat(self._file.fileno())
        self._on_end = on_end
        self._digest = hashlib.sha512()
        self._problem: OSError | None = None
        self._given_up = self._ended = False
        self._thread = threading.Thread(target=self._read, name="digest", daemon=True)
        self._thread.start()

    @property
    def is_read(self) -> bool:
        """Whether `sha512` has an answer."""
        return self._ended

    def sha512(self) -> str:
        """In lower-case hex, when it `is_read`; raises the OSError that reading met."""
        if self._problem is not None:
            raise self._problem
        return self._digest.hexdigest()

    def is_as_it_was(self) -> bool:
        """Was nothing else read than what is there now? A file that was moved away or deleted was read whole."""
        if _identity(os.fstat(self._file.fileno())) != _identity(self.was):
            return False
        try:
            now = self.path.stat()
        except OSError:
            return True
        return _identity(now) == _identity(self.was)

    def close(self) -> None:
        """Read no further."""
        self._given_up = True
        self._thread.join(_PATIENCE_S)
        if not self._thread.is_alive():
            self._file.close()  # Else the disk hangs, and the thread with it.

    def _read(self) -> None:
        block = memoryview(bytearray(_AT_ONCE))
        try:
            while not self._given_up and (count := self._file.readinto(block)):
                self._digest.update(block[:count])
        except OSError as problem:
            self._problem = problem
        self._ended = True
        self._on_end()


def _identity(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns
