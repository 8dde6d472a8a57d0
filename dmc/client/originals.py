"""What becomes of an original once its result is home: it stays (default), or is moved into the trash of its observed folder.

Moved only if asked, and only after the server echoed its digest, the result was verified, put in place and acknowledged, and both files
are still what they were. One that was damaged stays: a better program may get more out of it. Nothing is replaced, and no link is
followed below the observed folder. What happens to it then: trash.py.
"""

import errno
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from dmc.client import deliver, naming
from dmc.client.model import ObservedPath
from dmc.client.records import OutboxRecord, Trashed, decode_path, encode_path, short_id
from dmc.client.settle import signature_of
from dmc.clock import rfc3339
from dmc.files import Disk, publish
from dmc.log import Log

_LOG = Log("client")


def put_away(record: OutboxRecord, root: ObservedPath, disk: Disk, now: datetime) -> Trashed | None:
    """Move the original of an acknowledged item to the trash if that is wished; returns where it is then. Blocking.

    Asked again after a crash it finds its own work, finishes it and tells it. What cannot be moved stays, with a word in the log.
    """
    if root.originals != "trash" or record.root is None or record.result_path is None:
        return None
    try:
        place = _begun(record, root, disk)
        if place is None:
            if record.flaw is not None:
                _LOG.info("original stays", record=record.id, reason=record.flaw)
                return None
            if not _is_as_it_was(record, disk) or not deliver.is_result(record, decode_path(record.result_path)):
                return None
            place = _move(record, root, disk)
    except OSError as problem:
        _LOG.warning("original not moved", record=record.id, reason=problem.strerror)
        return None
    _LOG.info("original moved", record=record.id, to=place.name)
    return Trashed(
        path=encode_path(place),
        origin=record.file_path,
        root=encode_path(root.path),
        at=rfc3339(now),
        size=record.size,
        mtime_ns=record.mtime_ns,
        inode=record.inode,
    )


def crosses_link(root: Path, folder: Path) -> bool:
    """Whether a link stands between `root` and `folder` (included), which is below it or the same; so it does if it is not below."""
    if not folder.is_relative_to(root):
        return True
    return any(os.path.islink(here) for here in (folder, *folder.parents) if here != root and here.is_relative_to(root))


def _is_as_it_was(record: OutboxRecord, disk: Disk) -> bool:
    found = disk.stat(record.path)
    now = None if found is None else signature_of(found)
    return now is not None and now.same_content(record.signature)


def _begun(record: OutboxRecord, root: ObservedPath, disk: Disk) -> Path | None:
    """Where an earlier call put this very file. The time of its last change of state is not compared: the move sets it."""
    for place in _places(record, root):
        there = disk.stat(place)
        facts = None if there is None else signature_of(there)
        if there is None or facts is None or crosses_link(root.path, place.parent):
            continue
        if (facts.inode, facts.size, facts.mtime_ns) != (record.inode, record.size, record.mtime_ns):
            continue
        here = disk.stat(record.path)
        if here is not None and os.path.samestat(here, there):  # It has both names: the first call came as far as the link.
            if not deliver.is_result(record, decode_path(record.result_path or "")):
                return None
            disk.unlink(record.path)
        disk.sync_folder(place.parent)
        if disk.stat(record.path.parent) is not None:
            disk.sync_folder(record.path.parent)
        return place
    return None


def _move(record: OutboxRecord, root: ObservedPath, disk: Disk) -> Path:
    """Give the original its first free place in the trash; raises FileExistsError if none is."""
    for place in _places(record, root):
        if os.path.lexists(place):
            continue
        if crosses_link(root.path, place.parent):
            raise OSError(errno.ELOOP, "a link stands in the way to the trash", str(place))
        deliver.make_folders(place.parent, disk)
        try:
            publish(disk, record.path, place)
        except FileExistsError:
            continue  # Somebody took the name in this very moment.
        disk.sync_folder(record.path.parent)
        return place
    raise FileExistsError(errno.EEXIST, "its names in the trash are taken", record.label)


def _places(record: OutboxRecord, root: ObservedPath) -> Iterator[Path]:
    """The same place below the trash; then, where that is taken, with the record's id."""
    try:
        place = root.trash / record.path.relative_to(root.path)
    except ValueError:
        place = root.trash / record.path.name
    yield place
    stem, ending = os.path.splitext(place.name)
    tail = f".{short_id(record.id)}{ending}"
    while len(os.fsencode(stem + tail)) > naming.NAME_BYTES:
        stem = stem[:-1]
    yield place.with_name(stem + tail)
