"""What becomes of an original once its result is home: it stays (default), or is moved into the trash of its observed folder.

Moved only if asked, and only after the server echoed its digest, the result was verified, put in place and acknowledged, and both files
are still what they were. Nothing is ever deleted or replaced: emptying the trash is a person's business.
"""

import os
from pathlib import Path

from dmc.client import deliver, naming
from dmc.client.model import ObservedPath
from dmc.client.records import OutboxRecord, decode_path, short_id
from dmc.client.settle import signature_of
from dmc.files import Disk
from dmc.log import Log

_LOG = Log("client")


def put_away(record: OutboxRecord, root: ObservedPath, disk: Disk) -> Path | None:
    """Move the original of an acknowledged item to the trash if that is wished; returns where it is then. Blocking.

    Asked again after a crash it finds its own work done. What cannot be moved stays, with a word in the log.
    """
    if root.originals != "trash" or record.root is None or record.result_path is None:
        return None
    try:
        if not _is_as_it_was(record, disk) or not deliver.is_result(record, decode_path(record.result_path)):
            return None
        target = _place(record, root)
        deliver.make_folders(target.parent, disk)
        disk.rename(record.path, target)
        disk.sync_folder(target.parent)
        disk.sync_folder(record.path.parent)
    except OSError as problem:
        _LOG.warning("original not moved", record=record.id, reason=problem.strerror)
        return None
    _LOG.info("original moved", record=record.id, to=target.name)
    return target


def _is_as_it_was(record: OutboxRecord, disk: Disk) -> bool:
    found = disk.stat(record.path)
    now = None if found is None else signature_of(found)
    return now is not None and now.same_content(record.signature)


def _place(record: OutboxRecord, root: ObservedPath) -> Path:
    """The same place below the trash; with the record's id where that is taken."""
    try:
        place = root.trash / record.path.relative_to(root.path)
    except ValueError:
        place = root.trash / record.path.name
    if not os.path.lexists(place):
        return place
    stem, ending = os.path.splitext(place.name)
    tail = f".{short_id(record.id)}{ending}"
    while len(os.fsencode(stem + tail)) > naming.NAME_BYTES:
        stem = stem[:-1]
    return place.with_name(stem + tail)
