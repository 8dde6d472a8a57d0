"""Durable file operations: the small seam between dmc and the disk, and the helpers everybody writes files with.

`Disk` is every operation that ledger, journal and storage may use; crash tests put a simulated disk in its place. The
helpers below it (`write_durably`, `publish`, `safe_name`, …) give one order: temp → fsync → rename → fsync folder. A
failed fsync is never tried again: the kernel may have dropped the pages (`DiskFault`).
"""

import ctypes
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from dmc.errors import BadSettings, DiskFault, DiskFull, DmcError, NotFound, TooLarge

TEMP_PREFIX = ".dmc-"
"""Every temporary file of dmc starts so; the client never takes such a file for a drop."""

CHUNK = 1024 * 1024
"""Bytes read or hashed at once."""

_FULL = {errno.ENOSPC, errno.EDQUOT}


class SyncFailed(OSError):
    """A sync failed. Never try it again: the kernel may have marked the lost pages clean, so the next one would lie."""


class Disk(Protocol):
    """The file-system seam. Paths are absolute. OSErrors pass through untranslated: the caller knows what was at stake.

    Nothing is durable before `append_synced`, `sync_file` or `sync_folder` said so; a rename is atomic but not durable by
    itself. A failed sync raises SyncFailed: what was written since the last one may be gone, whatever a later sync says.
    """

    def read(self, path: Path) -> bytes: ...
    def read_from(self, path: Path, offset: int, most: int = -1) -> bytes: ...
    def write(self, path: Path, data: bytes) -> None: ...
    def append_synced(self, path: Path, data: bytes) -> None: ...
    def truncate(self, path: Path, size: int) -> None: ...
    def sync_file(self, path: Path) -> None: ...
    def sync_folder(self, path: Path) -> None: ...
    def rename(self, source: Path, target: Path) -> None: ...
    def link(self, source: Path, target: Path) -> None: ...
    def unlink(self, path: Path) -> None: ...
    def make_folder(self, path: Path) -> None: ...
    def remove_folder(self, path: Path) -> None: ...
    def names(self, path: Path) -> list[str]: ...
    def stat(self, path: Path) -> os.stat_result | None: ...


class RealDisk:
    """The machine's own disk."""

    def read(self, path: Path) -> bytes:
        with path.open("rb", buffering=0) as file:  # A buffer would ask the kernel three times more.
            return file.read()

    def read_from(self, path: Path, offset: int, most: int = -1) -> bytes:
        with path.open("rb", buffering=0) as file:
            file.seek(offset)
            return file.read(most)

    def write(self, path: Path, data: bytes) -> None:
        """Create or replace the content of `path`; may leave a part on failure, so only ever for temp names."""
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_all(fd, data)
        finally:
            os.close(fd)

    def append_synced(self, path: Path, data: bytes) -> None:
        """Append to an existing file and make it durable; on a plain OSError a part may have been written.

        One handle for both: a handle opened after the write would miss an error that another process has been told already.
        """
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            _write_all(fd, data)
            _sync_handle(fd, path)
        finally:
            os.close(fd)

    def truncate(self, path: Path, size: int) -> None:
        os.truncate(path, size)

    def sync_file(self, path: Path) -> None:
        _sync(path, os.O_RDONLY)

    def sync_folder(self, path: Path) -> None:
        _sync(path, os.O_RDONLY | os.O_DIRECTORY)

    def rename(self, source: Path, target: Path) -> None:
        os.rename(source, target)

    def link(self, source: Path, target: Path) -> None:
        os.link(source, target)

    def unlink(self, path: Path) -> None:
        os.unlink(path)

    def make_folder(self, path: Path) -> None:
        os.mkdir(path, 0o700)

    def remove_folder(self, path: Path) -> None:
        os.rmdir(path)

    def names(self, path: Path) -> list[str]:
        """Names in a folder, sorted; an empty list if there is no such folder."""
        try:
            return sorted(os.listdir(path))
        except FileNotFoundError:
            return []

    def stat(self, path: Path) -> os.stat_result | None:
        """lstat, or None if there is nothing."""
        try:
            return os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _sync(path: Path, flags: int) -> None:
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        _sync_handle(fd, path)
    finally:
        os.close(fd)


def _sync_handle(fd: int, path: Path) -> None:
    try:
        if hasattr(fcntl, "F_FULLFSYNC"):
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # On macOS fsync stops at the drive's cache.
        else:
            os.fsync(fd)
    except OSError as problem:
        raise SyncFailed(problem.errno, problem.strerror, str(path)) from problem


# --- Helpers -------------------------------------------------------------------------------------------------------


def translate(problem: OSError, doing: str) -> DmcError:
    """The dmc error for an OSError: DiskFull for a lack of space, TooLarge for a limit on one file, NotFound for ENOENT, else DiskFault."""
    what = problem.strerror or str(problem)
    if problem.errno in _FULL and not isinstance(problem, SyncFailed):
        return DiskFull(f"{doing}: the disk is full.", "Free some space; dmc goes on by itself.")
    if problem.errno == errno.EFBIG:
        return TooLarge(f"{doing}: a file grew beyond the largest that may be written here.", "Raise the limit on the size of a file.")
    if problem.errno == errno.ENOENT:
        return NotFound(f"{doing}: {what}.")
    return DiskFault(f"{doing}: {what}.", "Look at the disk and at the system log; dmc trusts nothing that was not synced.")


def make_home(folder: Path) -> None:
    """Make a folder that dmc keeps its own things in, for this user alone; nothing happens if it is there.

    Raises BadSettings, DiskFull.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as problem:
        if problem.errno in _FULL:
            raise translate(problem, f"making {folder}") from problem
        why = "it is a file" if isinstance(problem, FileExistsError) else problem.strerror
        raise BadSettings(f"{folder} cannot be a folder of dmc: {why}.", "Name another one; see: dmc config show") from None
    owner = folder.stat().st_uid
    if owner != 0 == os.geteuid():
        hint = f"Run it as that user: sudo -u '#{owner}' dmc …"
        raise BadSettings(f"{folder} belongs to user {owner}, who could not read what root writes there.", hint)


def temp_name() -> str:
    """A short name for a temporary file in the folder of its target: `.dmc-1f2e3d4c5b6a`."""
    return TEMP_PREFIX + secrets.token_hex(6)


def write_durably(disk: Disk, path: Path, data: bytes) -> None:
    """Replace `path` by `data`, whole or not at all, durable on return: temp → fsync → rename → fsync folder."""
    temp = path.with_name(temp_name())
    try:
        disk.write(temp, data)
        disk.sync_file(temp)
        disk.rename(temp, path)
    except OSError:
        _forget(disk, temp)
        raise
    disk.sync_folder(path.parent)


def write_loosely(disk: Disk, path: Path, data: bytes) -> None:
    """Replace `path` by `data`, whole or not at all, without syncing: for files that may be lost (threads.json, broker.json)."""
    temp = path.with_name(temp_name())
    try:
        disk.write(temp, data)
        disk.rename(temp, path)
    except OSError:
        _forget(disk, temp)
        raise


def _forget(disk: Disk, temp: Path) -> None:
    try:
        disk.unlink(temp)
    except OSError:
        pass  # It may never have come to be; a leftover starts with TEMP_PREFIX and is swept at start.


def publish(disk: Disk, temp: Path, target: Path) -> None:
    """Give a complete, synced `temp` its final name without ever replacing a file; raises FileExistsError if the name is taken.

    link + unlink, or, where the file system knows no hard links, renameat2 with RENAME_NOREPLACE.
    """
    try:
        disk.link(temp, target)
    except OSError as problem:
        if problem.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            raise
        _rename_no_replace(temp, target)
    else:
        disk.unlink(temp)
    disk.sync_folder(target.parent)


def _rename_no_replace(source: Path, target: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    at_cwd, no_replace = -100, 1
    if not hasattr(libc, "renameat2"):
        raise OSError(errno.ENOTSUP, "this file system knows neither hard links nor a rename that does not replace", str(target))
    if libc.renameat2(at_cwd, os.fsencode(source), at_cwd, os.fsencode(target), no_replace) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(target))


def remove_tree(disk: Disk, folder: Path) -> None:
    """Remove `folder` and all in it, never following links; nothing happens if it is not there."""
    found = disk.stat(folder)
    if found is None:
        return
    if not stat.S_ISDIR(found.st_mode):
        disk.unlink(folder)
        return
    for name in disk.names(folder):
        remove_tree(disk, folder / name)
    disk.remove_folder(folder)


def free_bytes(path: Path) -> int:
    """Bytes that an ordinary user may still write on the file system of `path`."""
    return shutil.disk_usage(path).free


def sha512_of(path: Path) -> str:
    """SHA-512 of a file in lower-case hex."""
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha512").hexdigest()


def blocks_of(path: Path, size: int = CHUNK) -> Iterator[bytes]:
    """The content of a file in blocks of at most `size` bytes."""
    with path.open("rb", buffering=0) as file:
        while block := file.read(size):
            yield block


def safe_name(label: str, *, most_bytes: int = 255) -> str:
    """A file name made of what a user called a file: no path parts, no control characters, never empty, at most `most_bytes` in UTF-8.

    The ending is kept when the name must be cut.
    """
    name = label.replace("\\", "/").rpartition("/")[2]
    name = "".join(c if c.isprintable() or ord(c) in range(0xDC80, 0xDD00) else "_" for c in name).strip()
    if name.strip(".") == "":
        name = "file"
    return fit_name(name, most_bytes)


def fit_name(name: str, most_bytes: int = 255) -> str:
    """`name` cut to at most `most_bytes` bytes, its ending kept, no character split."""
    if len(os.fsencode(name)) <= most_bytes:
        return name
    stem, dot, ending = name.rpartition(".")
    if not dot or len(os.fsencode(ending)) > 16:
        stem, dot, ending = name, "", ""
    while stem and len(os.fsencode(stem + dot + ending)) > most_bytes:
        stem = stem[:-1]
    return stem + dot + ending
