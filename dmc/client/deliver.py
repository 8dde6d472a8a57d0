"""Where a result lands: the name it gets, the folders above it, its time and mode, and the moment it appears. Never replaces a file.

Names in order: `<results>/<same subfolder>/<stem>.<ext>`, then `<stem>.<old ext>.<ext>`, then a conflict name with time and client.
A result is fetched under a temporary name in its final folder and published by a link that fails if the name is taken.
"""

import os
import re
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from dmc.client.model import ObservedPath
from dmc.client.naming import fit
from dmc.client.ownership import NOBODY_IN_PARTICULAR, Ownership
from dmc.client.records import OutboxRecord, short_id
from dmc.client.transport import LocalFault, note_beside
from dmc.files import TEMP_PREFIX, Disk, publish, sha512_of, translate
from dmc.jobs import MadeFile

_ODD = re.compile(r"[^A-Za-z0-9._-]")


def target_folder(record: OutboxRecord, root: ObservedPath) -> Path:
    """The folder that the result of `record` belongs in: the source's subfolder, below the root's results."""
    try:
        return root.results / record.path.parent.relative_to(root.path)
    except ValueError:
        return root.results


def temp_name_of(record_id: str) -> str:
    """The name a record's result is fetched under: the same for every try, so that a fetch resumes; short, so that it always fits."""
    return f"{TEMP_PREFIX}{short_id(record_id)}"


def temp_path(record: OutboxRecord, folder: Path) -> Path:
    """Where the result is fetched to."""
    return folder / temp_name_of(record.id)


def ending_of(record: OutboxRecord) -> str:
    """The ending of the result's name, with its dot; empty if it has none. The server's word, so only letters that harm nobody."""
    name = record.result.file_name if record.result else ""
    return _ODD.sub("_", os.path.splitext(name)[1])


def choose(folder: Path, candidates: Iterator[str], taken: Callable[[Path], bool]) -> Path:
    """The first candidate that no file has, and that is not `taken` by another result on its way."""
    return next(path for name in candidates if not os.path.lexists(path := folder / name) and not taken(path))


def make_folders(folder: Path, disk: Disk, owned: Ownership = NOBODY_IN_PARTICULAR) -> None:
    """Create `folder` and what is missing above it, each durable in its parent. Raises LocalFault where a link may not be followed."""
    if owned.below is not None and owned.guards(folder):
        make_folders(owned.below, disk, owned)
        owned.make_folders(folder, disk)
        return
    missing = []
    here = folder
    while not os.path.isdir(here):
        missing.append(here)
        here = here.parent
    for path in reversed(missing):
        try:
            os.mkdir(path)
        except FileExistsError:
            continue
        owned.settle_folder(path)
        disk.sync_folder(path.parent)


def dress(temp: Path, record: OutboxRecord, disk: Disk, owned: Ownership = NOBODY_IN_PARTICULAR) -> None:
    """Give a fetched result its owner, the source's time, and a mode that opens it to nobody who could not read the source."""
    owned.settle_file(temp, record.mode)
    os.utime(temp, ns=(record.mtime_ns, record.mtime_ns), follow_symlinks=False)
    disk.sync_file(temp)


def put_in_place(record: OutboxRecord, temp: Path, target: Path, disk: Disk) -> bool:
    """Publish `temp` as `target`, which the record already names. False if somebody else has that name.

    Called again after a crash it finds its own work done.
    """
    if is_result(record, target):
        _remove(temp, disk)
        disk.sync_folder(target.parent)
    else:
        try:
            publish(disk, temp, target)
        except FileExistsError:
            return False
    _remove(note_beside(temp), disk)
    return True


def beside(place: Path, name: str) -> Iterator[Path]:
    """Places for the sidecar `name` (`result.3.mks`) of the result at `place`: `holiday.3.mks`, then `holiday (2).3.mks`; endless."""
    tail = "." + _ODD.sub("_", name.partition(".")[2] or name)
    stem = os.path.splitext(place.name)[0]
    yield place.with_name(fit(stem, tail))
    for number in count(2):
        yield place.with_name(fit(stem, f" ({number}){tail}"))


def bring_sidecars(
    record: OutboxRecord,
    place: Path,
    fetch: Callable[[MadeFile, Path], None],
    disk: Disk,
    owned: Ownership = NOBODY_IN_PARTICULAR,
) -> None:
    """Bring what belongs beside the result, which is at `place` already. Called again after a crash it brings what is missing.

    The result goes first since it wins the name; the record says that it is home only when all of them are.
    """
    for number, facts in enumerate(record.result.sidecars if record.result else (), 1):
        temp = place.with_name(f"{temp_name_of(record.id)}.{number}")
        for path in beside(place, facts.file_name):
            if is_file_of(facts, path):
                break
            if not os.path.lexists(path):
                fetch(facts, temp)
                dress(temp, record, disk, owned)
                try:
                    publish(disk, temp, path)
                except FileExistsError:
                    continue  # Somebody took the name in this very moment.
                break
        _remove(temp, disk)
        _remove(note_beside(temp), disk)


def _remove(path: Path, disk: Disk) -> None:
    if disk.stat(path) is not None:
        disk.unlink(path)


def is_result(record: OutboxRecord, path: Path) -> bool:
    """Whether the file at `path` is the result of `record`, byte for byte."""
    return record.result is not None and is_file_of(record.result, path)


def is_file_of(facts: MadeFile, path: Path) -> bool:
    """Whether the file at `path` is what `facts` say, byte for byte."""
    if not path.is_file() or path.is_symlink():
        return False
    return path.stat().st_size == facts.file_size and sha512_of(path) == facts.sha512_checksum


def local(problem: OSError, doing: str) -> LocalFault:
    """The error for a fault of this machine's disk, with what the disk said."""
    told = translate(problem, doing)
    return LocalFault(told.message, told.hint, code=told.code)
