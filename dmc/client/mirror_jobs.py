"""What the mirror does with the disk: which files of a folder belong to whom, what is to be copied, and the copying. Worker threads.

Every step may be done again after a crash. A copy appears under its name whole, never replaces what dmc did not write or what was
changed since, is open to nobody who could not read the file it was made of, and no link is followed on the way to that file.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dmc.client import deliver
from dmc.client.companions import MOST_BYTES, Belongs, Write, belonging, decide, places
from dmc.client.lease import has_writer
from dmc.client.no_links import folder_below
from dmc.client.ownership import Ownership
from dmc.client.records import Companion, OutboxRecord, decode_path, encode_path
from dmc.errors import DmcError
from dmc.files import CHUNK, Disk, publish, sha512_of, temp_name
from dmc.log import Log

_LOG = Log("client")

MOST_BESIDE = 64
"""Copies beside one result."""

_NOT_OURS = "-"
"""Stands for the digest of what is no file that dmc could have written."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of sources, and the observed folder that it lies in (or is)."""

    root: Path
    folder: Path


@dataclass(frozen=True, slots=True)
class Step:
    """`entry` is what the record shall say. Where it is not `placed`, the copy is still to be made."""

    record_id: str
    result_path: str
    entry: Companion


def listed(place: Place, asked: Collection[str], known: Iterable[str], passes: Callable[[Path, str], bool]) -> list[Belongs]:
    """What belongs to whom in a folder, as far as somebody `asked` for it (companions.py)."""
    with folder_below(place.root, place.folder) as folder, os.scandir(folder) as entries:
        names = {entry.name for entry in entries if entry.is_file(follow_symlinks=False) and passes(place.folder, entry.name)}
    return belonging(names, asked, known)


def weighed(place: Place, pairs: Sequence[tuple[Belongs, OutboxRecord]]) -> tuple[list[Step], bool]:
    """What is to be done for files and the records of the sources that they belong to, and whether some want another look later."""
    ours = [entry for _, record in pairs for entry in record.companions]
    planned: dict[Path, str] = {}
    count: dict[str, int] = {}
    steps, again = [], False
    with folder_below(place.root, place.folder) as folder:
        for belongs, record in pairs:
            try:
                step = _weigh(folder, belongs, record, lambda path: planned.get(path) or _digest_at(path), ours)
            except OSError as problem:  # Of this one alone, e.g. a bad sector: the others do not wait for it.
                _LOG.warning("sidecar not copied", record=record.id, name=belongs.name, reason=problem.strerror)
                step, again = None, True
            if step is None:
                continue
            others = sum(entry.name != step.entry.name for entry in record.companions)
            count[record.id] = count.get(record.id, others) + 1
            if count[record.id] > MOST_BESIDE:
                _LOG.warning("too many sidecars", record=record.id, name=belongs.name)
                continue
            planned[decode_path(step.entry.place)] = step.entry.sha512
            steps.append(step)
    return steps, again


def _weigh(
    folder: int, belongs: Belongs, record: OutboxRecord, there: Callable[[Path], str | None], ours: Collection[Companion]
) -> Step | None:
    result, name = decode_path(record.result_path or ""), encode_path(belongs.name)
    if not os.path.isfile(result):
        return None  # Somebody took it away; dmc does not follow it.
    before = next((entry for entry in record.companions if entry.name == name), None)
    with _opened(folder, belongs.name) as (fd, found):
        if found is None:
            return None
        if before is not None and (before.size, before.mtime_ns) == (found.st_size, found.st_mtime_ns):
            digest = before.sha512
        else:
            digest = hashlib.sha512(_content(fd)).hexdigest()
    wish = decide(digest, before, places(belongs, result), there, ours)
    if wish is None:
        return None
    entry = Companion(
        name=name,
        place=encode_path(wish.place),
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
        sha512=digest,
        instead_of=wish.instead_of if isinstance(wish, Write) else "",
        placed=not isinstance(wish, Write),
    )
    return Step(record.id, record.result_path or "", entry)


def copied(place: Place, steps: Sequence[Step], owned: Ownership, disk: Disk, stop: Callable[[], bool]) -> tuple[list[Step], bool]:
    """Make the copies; returns those that are in place now, and whether the others want another try later."""
    done: list[Step] = []
    again = False
    for step in steps:
        if stop():
            return done, True
        try:
            if _copy(place, step.entry, owned, disk):
                done.append(step)
            else:
                again = True
        except (OSError, DmcError) as problem:
            told = deliver.local(problem, "copying a sidecar") if isinstance(problem, OSError) else problem
            _LOG.warning("sidecar not copied", record=step.record_id, code=told.code, message=told.message)
            again = True
    return done, again


def _copy(place: Place, entry: Companion, owned: Ownership, disk: Disk) -> bool:
    """Put one copy in its place; False if the file or what lies at its place is not what it was: then it is looked at anew."""
    target = decode_path(entry.place)
    with folder_below(place.root, place.folder) as folder, _opened(folder, decode_path(entry.name).name) as (fd, found):
        data = _content(fd) if found is not None else b""
    if found is None or hashlib.sha512(data).hexdigest() != entry.sha512:
        return False
    deliver.make_folders(target.parent, disk, owned)
    temp = target.with_name(temp_name())
    try:
        disk.write(temp, data)
        owned.settle_file(temp, found.st_mode & 0o777)
        os.utime(temp, ns=(found.st_mtime_ns, found.st_mtime_ns), follow_symlinks=False)
        disk.sync_file(temp)
        if _put(temp, target, entry.instead_of, disk):
            return True
    except (OSError, DmcError):
        _forget(temp, disk)
        raise
    _forget(temp, disk)
    return False


def _put(temp: Path, target: Path, instead_of: str, disk: Disk) -> bool:
    """False if another file than the one that it goes `instead_of` is at `target`."""
    if not instead_of:
        try:
            publish(disk, temp, target)
        except FileExistsError:
            return False  # Somebody took the name in this very moment.
        return True
    if _digest_at(target) != instead_of:
        return False
    disk.rename(temp, target)
    disk.sync_folder(target.parent)
    return True


def _forget(temp: Path, disk: Disk) -> None:
    if disk.stat(temp) is not None:
        disk.unlink(temp)


@contextmanager
def _opened(folder: int, name: str) -> Iterator[tuple[int, os.stat_result | None]]:
    """A quiet regular file that is small enough, opened for reading; None if it is not such a one."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as problem:
        _LOG.info("sidecar passed over", name=name, reason=problem.strerror)
        yield -1, None
        return
    try:
        found = os.fstat(fd)
        too_large = found.st_size > MOST_BYTES
        if too_large:
            _LOG.warning("sidecar too large", name=name, bytes=found.st_size, most=MOST_BYTES)
        yield fd, None if too_large or not stat.S_ISREG(found.st_mode) or has_writer(fd) else found
    finally:
        os.close(fd)


def _content(fd: int) -> bytes:
    blocks = []
    while block := os.read(fd, CHUNK):
        blocks.append(block)
        if len(blocks) * CHUNK > 2 * MOST_BYTES:
            break  # It grows while it is read: what was read is not what was seen, and is thrown away.
    return b"".join(blocks)


def _digest_at(path: Path) -> str | None:
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_BYTES:
        return _NOT_OURS
    try:
        return sha512_of(path)
    except PermissionError:
        return _NOT_OURS  # What dmc wrote, it can read.
