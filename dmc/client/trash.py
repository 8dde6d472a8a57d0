"""The trash of the observed folders: what dmc put there by its own outbox, when that is deleted for good, and how it comes back.

Only a file that a record names, and that is still that very file, is ever deleted; never through a link, and only while its observed
folder is there. What anybody else put into the trash stays.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from dmc.client import deliver
from dmc.client.catalog import Catalog
from dmc.client.crew import Crew
from dmc.client.no_links import folder_below
from dmc.client.originals import crosses_link
from dmc.client.outbox import Outbox
from dmc.client.records import OutboxRecord, Trashed, decode_path, stat_fields
from dmc.client.requests import change, listing
from dmc.client.roots import Roots
from dmc.client.settle import Signature, signature_of
from dmc.clock import Clock, rfc3339
from dmc.errors import NotFound, WrongStatus
from dmc.files import Disk, publish
from dmc.items import ItemIds
from dmc.log import Log

_LOG = Log("client")

EVERY_S = 24 * 3600.0
APART_S = 12 * 3600.0
"""Between the look that finds an original's days over and the one that deletes it."""


def goes_at(trashed: Trashed, days: int) -> datetime | None:
    """When it is deleted for good; None: never."""
    return datetime.fromisoformat(trashed.at) + timedelta(days=days) if days else None


def looked_at(trashed: Trashed, days: int, now: datetime) -> Trashed:
    """What is known after one more look: since when its days are over. A clock that jumped, and is right again, begins anew."""
    end, since = goes_at(trashed, days), trashed.due_since
    if end is None or end > now:
        since = None
    elif since is None or datetime.fromisoformat(since) > now:
        since = rfc3339(now)
    return trashed.model_copy(update={"due_since": since})


def is_due(trashed: Trashed, now: datetime) -> bool:
    """Whether its days were over at an earlier look already, so that no clock that is wrong for a moment deletes anything."""
    return trashed.due_since is not None and (now - datetime.fromisoformat(trashed.due_since)).total_seconds() >= APART_S


# --- Deleting --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Held:
    record_id: str
    trashed: Trashed
    root: Path
    is_due: bool


class TrashSweep:
    """Deletes, once a day, what lay in a trash for longer than its folder's `trash_days`. Belongs to the sync thread, as Retire does."""

    def __init__(self, catalog: Catalog, roots: Roots, crew: Crew, clock: Clock) -> None:
        self._catalog = catalog
        self._roots = roots
        self._crew = crew
        self._clock = clock
        self._next_at = clock.monotonic()

    def step(self, now: float) -> None:
        """`now` is monotonic."""
        if now < self._next_at or not self._crew.free("sweep"):
            return
        self._next_at = now + EVERY_S
        self._catalog.update_all(self._catalog.in_trash(), self._looked_at)
        held = [found for record_id in self._catalog.in_trash() if (found := self._held(record_id)) is not None]
        if held:
            self._crew.submit("sweep", partial(_empty, held), self._forget, _not_swept)

    def _looked_at(self, record: OutboxRecord) -> OutboxRecord | None:
        root = self._roots.by_key(record.trash.root) if record.trash is not None else None
        if record.trash is None or root is None:
            return None
        after = looked_at(record.trash, root.observed.trash_days, self._clock.now())
        return record.changed(trash=after) if after != record.trash else None

    def _held(self, record_id: str) -> _Held | None:
        record = self._catalog.get(record_id)
        trashed = record.trash if record is not None else None
        root = self._roots.by_key(trashed.root) if trashed is not None else None
        if trashed is None or root is None or not root.is_there():
            return None
        return _Held(record_id, trashed, root.observed.path, is_due(trashed, self._clock.now()))

    def _forget(self, gone: Mapping[str, Trashed]) -> None:
        """These lie in the trash no more. A folder that went away meanwhile proves nothing."""

        def forgotten(record: OutboxRecord) -> OutboxRecord | None:
            root = self._roots.by_key(record.trash.root) if record.trash is not None else None
            same = record.trash == gone[record.id] and root is not None and root.is_there()
            return record.changed(trash=None) if same else None

        self._catalog.update_all(gone, forgotten)


def _empty(held: Sequence[_Held]) -> dict[str, Trashed]:
    """Delete what is due; returns what lies in the trash no more, whoever took it. Runs in a worker thread."""
    gone, deleted = {}, 0
    for each in held:
        try:
            with folder_below(each.root, decode_path(each.trashed.path).parent) as folder:
                name = decode_path(each.trashed.path).name
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if not each.is_due or not each.trashed.is_file(found):
                    continue
                os.unlink(name, dir_fd=folder)
                deleted += 1
        except FileNotFoundError:
            pass
        except OSError as problem:
            _LOG.warning("not deleted from the trash", record=each.record_id, reason=problem.strerror)
            continue
        gone[each.record_id] = each.trashed
    if deleted:
        _LOG.info("deleted from the trash", files=deleted)
    return gone


def _not_swept(problem: Exception) -> None:
    _LOG.warning("trash not swept", reason=repr(problem))


# --- Listing and putting back ----------------------------------------------------------------------------------------


def in_trash(outbox: Outbox) -> list[tuple[OutboxRecord, Trashed]]:
    """The records whose originals lie in a trash, the oldest first."""
    return [(record, record.trash) for record in listing(outbox) if record.trash is not None]


def check_restore(trashed: Trashed, disk: Disk) -> None:
    """Raise what `restore` would: NotFound if it lies there no more, WrongStatus if something stands where it was, or a link in the way."""
    source, target, root = (decode_path(path) for path in (trashed.path, trashed.origin, trashed.root))
    found, here = disk.stat(source), disk.stat(target)
    if crosses_link(root, source.parent) or crosses_link(root, target.parent):
        raise WrongStatus(f"a link stands between {root} and {target.name} or its trash.", "dmc follows none; move the file by hand.")
    if found is None or not trashed.has_content_of(found):
        raise NotFound(f"what dmc put at {source} lies there no more.", "See what does with: dmc client trash list")
    if here is not None and not os.path.samestat(here, found):
        raise _taken(target)


def restore(outbox: Outbox, record_id: str, trashed: Trashed, *, disk: Disk, ids: ItemIds) -> Path:
    """Put an original back to where it was and have the outbox know it there, so that it is no new drop; returns where.

    Asked again after a crash it finishes its own work. Raises as `check_restore` does, and OSError.
    """
    check_restore(trashed, disk)
    source, target = decode_path(trashed.path), decode_path(trashed.origin)
    deliver.make_folders(target.parent, disk)
    try:
        publish(disk, source, target)
    except FileExistsError:
        if not _is_same_file(source, target, disk):
            raise _taken(target) from None
        disk.unlink(source)
        disk.sync_folder(target.parent)
    disk.sync_folder(source.parent)
    found = disk.stat(target)
    signature = None if found is None else signature_of(found)
    if signature is not None:
        _know(outbox, record_id, trashed, signature, ids)
    return target


def _know(outbox: Outbox, record_id: str, trashed: Trashed, signature: Signature, ids: ItemIds) -> None:
    """Moving changed the file's ctime, on some shares its inode. If its record follows a copy elsewhere, it gets one of its own."""
    record = outbox.get(record_id)
    fields = stat_fields(signature)
    if record is not None and record.file_path != trashed.origin:
        values = {name: getattr(record, name) for name in type(record).model_fields}
        mine = {"id": ids.next(), "version": 1, "file_path": trashed.origin, "root": trashed.root, "trash": None}
        outbox.put([OutboxRecord.model_validate(values | fields | mine)])
        fields = {}
    change(outbox, record_id, lambda kept: kept.changed(**fields, trash=None))


def _is_same_file(source: Path, target: Path, disk: Disk) -> bool:
    one, other = disk.stat(source), disk.stat(target)
    return one is not None and other is not None and os.path.samestat(one, other)


def _taken(target: Path) -> WrongStatus:
    return WrongStatus(f"{target} is there already; its original stays in the trash.", "Move that file away, then try again.")
