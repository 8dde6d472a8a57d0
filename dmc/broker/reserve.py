"""The ballast of a ledger that is no journal: a file that is dropped on a full disk, so that what exists can still be changed."""

import secrets
from pathlib import Path


class Reserve:
    """A file of `size` bytes at `path`, there whenever there is room for it."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self._is_wanting = False

    def fill(self) -> None:
        """Have it stand ready, if there is room."""
        try:
            if not self._path.exists() or self._path.stat().st_size != self._size:
                self._path.write_bytes(secrets.token_bytes(self._size))  # Random: compression would keep no room.
            self._is_wanting = False
        except OSError:
            self.drop()

    def refill(self) -> None:
        """Have it stand ready again, if it was dropped; costs nothing otherwise."""
        if self._is_wanting:
            self.fill()

    def drop(self) -> bool:
        """Give its room back; False if there was none."""
        self._is_wanting = True
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
