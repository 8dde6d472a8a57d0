"""A drop was looked into: what does that mean for the outbox? Nothing, a new record, a newer content, or a file that moved.

Identity is content and conversion: a file that moved is converted once, a file that changed is converted again, and a
copy elsewhere gets a result of its own. What this client itself delivered is never taken.
"""

import os
from collections.abc import Callable

from dmc.client.catalog import Catalog, Known
from dmc.client.examine import Drop, Unreadable
from dmc.client.records import DOWNLOAD, NOT_MISSING, OutboxRecord, OutboxStatus, decode_path, encode_path, stat_fields
from dmc.client.roots import Root, Roots
from dmc.client.settle import Signature
from dmc.clock import Clock, rfc3339
from dmc.conversions import guess_media_type
from dmc.items import ItemIds
from dmc.jobs import ErrorNote
from dmc.log import Log

_LOG = Log("client")


class Admit:
    """The one place where records of observed folders are made. `fresh` is called when there is a new one."""

    def __init__(self, catalog: Catalog, roots: Roots, clock: Clock, ids: ItemIds, *, fresh: Callable[[], None]) -> None:
        self._catalog = catalog
        self._roots = roots
        self._clock = clock
        self._ids = ids
        self._fresh = fresh

    def take(self, path: str, root: Root | None, signature: Signature, finding: Drop | Unreadable, record_id: str | None) -> bool:
        """Write down what was found; False if it is not wanted. `record_id`: it was looked at anew for this record."""
        if isinstance(finding, Unreadable):
            return self._unreadable(path, root, signature, finding)
        if record_id is not None and self._renewed(record_id, finding):
            return True
        if root is None:
            return False
        conversion = root.observed.conversion_types[finding.media_type]
        if self._is_own_result(path, finding.sha512, conversion):
            return False
        here = self._catalog.at_path(path)
        same = next((known for known in reversed(here) if known.sha512 == bytes.fromhex(finding.sha512)), None)
        if same is not None and not self._is_wanted_again(same, finding):
            self._touch(same, finding)
        elif here and self._replace(here[-1], finding, conversion):
            pass
        elif (moved := self._moved_from(path, finding, conversion)) is not None:
            self._move(moved, path, root, finding)
        else:
            self._create(path, root, finding, conversion)
        return True

    def gone(self, record_id: str) -> None:
        """The file of a record is gone before anything of it was sent."""
        record = self._catalog.get(record_id)
        if record is None or not record.is_sendable:
            return
        if record.destination == DOWNLOAD:
            note = ErrorNote(code="NotFound", message="the file was gone before it could be sent.")
            self._catalog.update(record_id, lambda kept: kept.changed(status=OutboxStatus.PARKED, reason=note.message, errors=(note,)))
        else:
            self._catalog.remove(record)
        _LOG.info("gone", record=record_id, name=record.label)

    # --- Cases -----------------------------------------------------------------------------------------------------

    def _is_own_result(self, path: str, sha512: str, conversion: str) -> bool:
        owner = self._catalog.owner_of_result(path)
        record = self._catalog.get(owner) if owner else None
        if record is not None and record.result is not None and record.result.sha512_checksum == sha512:
            return True
        return self._catalog.is_own_result(sha512, conversion) or self._catalog.is_own_sidecar(path, sha512)

    def _touch(self, known: Known, drop: Drop) -> None:
        """The same content again: a changed time or mode, or a file that can be read again after it was parked."""

        def change(record: OutboxRecord) -> OutboxRecord:
            fields: dict[str, object] = {**stat_fields(drop.signature), "mode": drop.mode, **NOT_MISSING}
            if record.status is OutboxStatus.PARKED and record.item_id is None:
                return record.changed(**fields, status=OutboxStatus.WAITING, reason=None, errors=(), attempts=0)
            return record.changed(**fields)

        self._catalog.update(known.id, change)
        self._catalog.queues.hurry(known.id)

    def _replace(self, newest: Known, drop: Drop, conversion: str) -> bool:
        """Newer content of a file of which nothing was sent yet takes the place of the older one."""

        def change(record: OutboxRecord) -> OutboxRecord | None:
            unsent = record.is_sendable or (record.status is OutboxStatus.PARKED and record.item_id is None)
            return self._with_content(record, drop, conversion) if unsent else None

        replaced = self._catalog.update(newest.id, change) is not None
        if replaced:
            self._catalog.queues.hurry(newest.id)
        return replaced

    def _renewed(self, record_id: str, drop: Drop) -> bool:
        def change(record: OutboxRecord) -> OutboxRecord | None:
            return self._with_content(record, drop, record.conversion_type) if record.is_sendable else None

        renewed = self._catalog.update(record_id, change) is not None
        if renewed:
            self._catalog.queues.hurry(record_id)
        return renewed

    @staticmethod
    def _with_content(record: OutboxRecord, drop: Drop, conversion: str) -> OutboxRecord:
        return record.changed(
            **stat_fields(drop.signature),
            mode=drop.mode,
            sha512=drop.sha512,
            media_type=drop.media_type,
            conversion_type=conversion,
            status=OutboxStatus.WAITING,
            server_name=None,
            server_id=None,
            upload_url=None,
            reason=None,
            errors=(),
            attempts=0 if record.sha512 != drop.sha512 else record.attempts,
        )

    def _moved_from(self, path: str, drop: Drop, conversion: str) -> Known | None:
        """A record of the same content whose file is no longer where it was, though its root is there."""
        for known in self._catalog.with_content(drop.sha512, conversion):
            old = decode_path(known.file_path)
            if str(old) == path or os.path.lexists(old) or self._is_wanted_again(known, drop):
                continue
            record = self._catalog.get(known.id)
            root = self._roots.by_key(record.root) if record else None
            if root is not None and root.is_there():
                return known
        return None

    def _is_wanted_again(self, known: Known, drop: Drop) -> bool:
        """Whether another file with the content of `known` was dropped, and what came home for that one lies there no more.

        A file that only moved, or was only touched, is still the same inode.
        """
        if known.status is not OutboxStatus.ACKNOWLEDGED or known.result_path is None:
            return False
        if known.signature.inode == drop.signature.inode or os.path.lexists(decode_path(known.result_path)):
            return False
        record = self._catalog.get(known.id)
        return record is None or not self._roots.home_is_offline(record.root)

    def _move(self, known: Known, path: str, root: Root, drop: Drop) -> None:
        place = {"file_path": encode_path(path), "root": root.key}
        fields: dict[str, object] = {**stat_fields(drop.signature), "mode": drop.mode, **place, **NOT_MISSING}
        self._catalog.update(known.id, lambda record: record.changed(**fields))
        _LOG.info("moved", record=known.id, name=os.path.basename(path))

    def _create(self, path: str, root: Root, drop: Drop, conversion: str) -> None:
        record = OutboxRecord(
            id=self._ids.next(),
            version=1,
            status=OutboxStatus.WAITING,
            created_at=rfc3339(self._clock.now()),
            file_path=encode_path(path),
            root=root.key,
            **stat_fields(drop.signature),
            mode=drop.mode,
            sha512=drop.sha512,
            media_type=drop.media_type,
            conversion_type=conversion,
        )
        self._catalog.create(record)
        self._fresh()
        _LOG.info("found", record=record.id, name=record.label, bytes=record.size, to=conversion)

    def _unreadable(self, path: str, root: Root | None, signature: Signature, finding: Unreadable) -> bool:
        """Park it with the reason; it is looked at again when it changes."""
        if root is None:
            return False
        note = ErrorNote(code="Unreadable", message=f"the file {finding.reason}.", hint="Give this user the right to read it.")
        fields: dict[str, object] = {**stat_fields(signature), "status": OutboxStatus.PARKED, "reason": note.message, "errors": (note,)}
        here = self._catalog.at_path(path)
        known = here[-1] if here else None

        def change(record: OutboxRecord) -> OutboxRecord | None:
            unsent = record.is_sendable or (record.status is OutboxStatus.PARKED and record.item_id is None)
            return record.changed(**fields) if unsent else None

        if known is None or self._catalog.update(known.id, change) is None:
            self._park_new(path, root, fields)
        _LOG.warning("parked", name=os.path.basename(path), reason=finding.reason)
        return True

    def _park_new(self, path: str, root: Root, fields: dict[str, object]) -> None:
        medium = guess_media_type(os.path.basename(path))
        self._catalog.create(
            OutboxRecord.model_validate(
                {
                    "id": self._ids.next(),
                    "version": 1,
                    "created_at": rfc3339(self._clock.now()),
                    "file_path": encode_path(path),
                    "root": root.key,
                    "media_type": medium,
                    "conversion_type": root.observed.conversion_types[medium] if medium else "",
                }
                | fields
            )
        )
