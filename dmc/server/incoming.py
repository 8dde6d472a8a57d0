"""The bytes of one original as they arrive: append, sync, cut, hash. Blocking; runs in threads, never on the event loop.

The offset is a promise: what `offset` says after `sync` is on the disk and never shrinks. The beginning of a file is hashed
as it is stored. Beyond that the hash follows behind the writer by reading back what was written, most of the time from the page
cache; that way the same code hashes what an earlier process has stored, and a part that is not yet verified is simply not hashed.
"""

import contextlib
import errno
import hashlib
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from dmc.errors import Busy, DiskFault, DiskFull
from dmc.files import CHUNK, Disk, blocks_of, translate, write_durably

SYNC_EVERY = 16 * 1024 * 1024

HASHED_AT_ONCE = 4 * 1024 * 1024
"""Bytes from the start that are hashed by whom they are stored: two threads and the way back from the disk would not be worth it."""

UNVERIFIED = "unverified"
"""Stands beside the file while a part arrives whose checksum is open, and holds the offset to go back to if the process ends."""


class Hash(Protocol):
    """What hashlib makes."""

    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class IncomingFile:
    """The file at `path`, which exists. One writer and one `follow` at a time; both may run at once."""

    def __init__(self, path: Path, disk: Disk, *, sync_every: int = SYNC_EVERY) -> None:
        self.path = path
        self._disk = disk
        self._sync_every = sync_every
        self._fd: int | None = None
        self._synced = 0
        self._digest = hashlib.sha512()
        self._hashed = 0
        self._closing = threading.Event()
        self._mark = path.with_name(UNVERIFIED)
        self._take_back()
        self.offset = path.stat().st_size
        self.trusted = self.offset
        """Bytes from the start that may be hashed: all but a part whose own checksum is still open."""

    def open(self) -> None:
        """Make it ready for `append`; what an earlier process left is synced before it is promised again."""
        if self._fd is None:
            self._closing.clear()
            with _translated("opening an upload"):
                self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            if self.offset:
                self.sync()

    def close(self) -> None:
        """Give the file back and let a running `follow` end early; everything can be opened again."""
        self.abort_hash()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def rename(self, name: str) -> None:
        """Give it another name in its folder."""
        with _translated("naming an upload"):
            self._disk.rename(self.path, self.path.with_name(name))
        self.path = self.path.with_name(name)

    def abort_hash(self) -> None:
        """Let a running `follow` end early; what it has done stays."""
        self._closing.set()

    def append(self, pieces: Iterable[bytes], part: "Hash | None" = None) -> None:
        """Store `pieces`, syncing every so often. On DiskFull `offset` tells how much of them was stored.

        `part` is the hash of a part that is not verified yet: it is fed, and the file's own hash is held back.
        """
        for piece in pieces:
            begin = self.offset
            try:
                self._write(piece)
            finally:
                if part is None:
                    self.trusted = self.offset
            if part is not None:
                part.update(piece)
            elif begin < HASHED_AT_ONCE and self._hashed == begin:
                self._digest.update(piece)
                self._hashed = self.offset
            if self.offset - self._synced >= self._sync_every:
                self.sync()

    def _write(self, piece: bytes) -> None:
        view = memoryview(piece)
        try:
            while view:
                stored = os.write(self._open_fd(), view)
                self.offset += stored
                view = view[stored:]
        except OSError as problem:
            if problem.errno == errno.EFBIG:  # A limit of this machine, not a fault of the file: it may go on later.
                raise DiskFull("storing an upload: this machine lets no file grow so large.", "Raise the limit on file sizes.") from problem
            raise translate(problem, "storing an upload") from problem

    def sync(self) -> None:
        """Make all of it durable. Raises DiskFault, after which nothing of the file may be trusted."""
        if self._synced == self.offset and self._synced:
            return
        upto = self.offset
        try:
            os.fdatasync(self._open_fd())
        except OSError as problem:
            raise DiskFault("storing an upload: the disk lost what was written.", "Look at the disk and at the system log.") from problem
        self._synced = upto

    def begin_part(self) -> None:
        """From here on bytes arrive whose checksum is open: should the process end, they are taken back."""
        with _translated("beginning a part of an upload"):
            write_durably(self._disk, self._mark, str(self.offset).encode())

    def keep_part(self) -> None:
        """The part is verified and synced: it stays."""
        with _translated("keeping a part of an upload"):
            self._remove_mark()
        self.trusted = self.offset

    def drop_part(self) -> None:
        """The part is cut or wrong: none of it stays."""
        with _translated("taking back a part of an upload"):
            self._take_back()
        self.offset = self._synced = self.trusted

    def _take_back(self) -> None:
        if self._disk.stat(self._mark) is not None:
            self._disk.truncate(self.path, int(self._disk.read(self._mark)))
            self._disk.sync_file(self.path)
            self._remove_mark()

    def _remove_mark(self) -> None:
        """Durably: a mark that came back after a power cut would take away bytes that were promised."""
        self._disk.unlink(self._mark)
        self._disk.sync_folder(self._mark.parent)

    @property
    def is_hashed(self) -> bool:
        """Whether `follow` has nothing to do."""
        return self._hashed >= self.trusted

    def follow(self) -> None:
        """Hash what may be hashed and is not yet; returns early once the file is closed."""
        if self.is_hashed:
            return
        with _translated("reading an upload back"), self.path.open("rb", buffering=0) as file:
            file.seek(self._hashed)
            while self._hashed < self.trusted and not self._closing.is_set():
                block = file.read(min(CHUNK, self.trusted - self._hashed))
                if not block:
                    raise DiskFault("an upload lost bytes that were stored.", "Look at the disk and at the system log.")
                self._digest.update(block)
                self._hashed += len(block)

    def sha512(self) -> str:
        """SHA-512 of the whole file in lower-case hex; the file must be trusted to the end."""
        self.follow()
        if self._hashed != self.offset:
            raise Busy("the server stopped while an upload was hashed.", "Ask for it again.")
        return self._digest.hexdigest()

    def finish(self) -> tuple[str, bytes]:
        """SHA-512 and first bytes of a file that is complete. Syncs nothing: who makes an item of it does."""
        self._closing.clear()
        return self.sha512(), self.head()

    def blocks(self) -> Iterator[bytes]:
        """All of its bytes, in order."""
        with _translated("reading a part of an upload"):
            yield from blocks_of(self.path)

    def head(self, size: int = 64) -> bytes:
        """The first bytes, for the guess of the media type."""
        with _translated("reading an upload back"), self.path.open("rb", buffering=0) as file:
            return file.read(size)

    def _open_fd(self) -> int:
        if self._fd is None:
            raise DiskFault("an upload was written to while it was closed.", "")
        return self._fd


@contextlib.contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise translate(problem, doing) from problem
