"""How items come in: bytes arrive in a folder, and one ledger line makes them an item.

Used by the server's uploads and by `dmc broker add`. What `admit` returned is never lost: original and ticket were durable
before the line, and the line before the answer. It touches no item that exists already.
"""

import hashlib
import os
from pathlib import Path
from typing import Any

from dmc.broker.ledger import Ledger, Put
from dmc.broker.storage import Storage
from dmc.clock import Clock, rfc3339
from dmc.conversions import MediaType
from dmc.errors import Conflict, DiskFull
from dmc.files import blocks_of, safe_name, translate
from dmc.items import Item, ItemIds, Status, Wish, original_name

LOCAL_CLIENT = "local"
"""client_id of what was added on the server's own command line."""


class Admissions:
    """The door; see the top of this file. Blocking, may be called from any thread."""

    def __init__(self, ledger: Ledger, storage: Storage, clock: Clock, ids: ItemIds) -> None:
        self._ledger = ledger
        self._storage = storage
        self._clock = clock
        self._ids = ids

    def begin(self) -> tuple[str, Path]:
        """An id and an empty folder for bytes that begin to arrive."""
        newest = self._ledger.newest_id()
        if newest is not None:
            self._ids.raise_floor(newest)  # Another process may have admitted under a clock that is ahead of ours.
        item_id = self._ids.next()
        return item_id, self._storage.arrive(item_id)

    def admit(
        self,
        item_id: str,
        *,
        client_id: str,
        label: str,
        conversion_type: str,
        options: dict[str, Any],
        sha512: str,
        file_size: int,
        media_type: MediaType | None,
        idempotency_key: str | None,
        file_name: str,
    ) -> Item:
        """Make the complete file `file_name` in incoming/<item_id>/ an item to do; durable when this returns.

        Raises DiskFull (nothing was admitted; the bytes are still there), DiskFault, Locked.
        """
        item = Item(
            item_id=item_id,
            version=1,
            status=Status.TO_DO,
            created_at=rfc3339(self._clock.now()),
            client_id=client_id,
            conversion_type=conversion_type,
            options=options,
            original_file_name=label,
            current_file_name=file_name,
            file_size=file_size,
            sha512_checksum=sha512,
            media_type=media_type,
            idempotency_key=idempotency_key,
        )
        self._storage.admit(item_id, file_name, item.model_dump(mode="json", exclude_none=True))
        try:
            self._ledger.change([Put(item, expected_version=0)])
        except Conflict:
            known = self._ledger.get(item_id)
            if known is None or known.sha512_checksum != sha512:
                raise
            return known  # Asked twice for the same upload, as a server does that was killed before it answered.
        return item

    def already(self, client_id: str, key: str) -> Item | None:
        """The item that this client admitted under this idempotency key, unless it is deleted."""
        item = self._ledger.with_key(client_id, key)
        return None if item is None or item.wish is Wish.DELETE or item.trashed_at is not None else item

    def abandon(self, item_id: str) -> None:
        """Forget what arrived and was never admitted."""
        if self._ledger.get(item_id) is None:
            self._storage.abandon(item_id)


def admit_local(
    admissions: Admissions,
    file: Path,
    *,
    conversion_type: str,
    options: dict[str, Any],
    media_type: MediaType | None,
    floor: int,
    client_id: str = LOCAL_CLIENT,
) -> Item:
    """Copy a file of this machine in and admit it, hashed while copied. Raises DiskFull when less than `floor` bytes would stay free."""
    name = original_name(file.name)
    item_id, folder = admissions.begin()
    try:
        size = file.stat().st_size
        free = os.statvfs(folder)
        if free.f_bavail * free.f_frsize - size < floor:
            raise DiskFull(f"{file.name} does not fit above the floor of {floor} bytes that the settings keep free.", "Free some space.")
        digest = hashlib.sha512()
        copied = 0
        with (folder / name).open("xb") as target:
            for block in blocks_of(file):
                target.write(block)
                digest.update(block)
                copied += len(block)
        return admissions.admit(
            item_id,
            client_id=client_id,
            label=safe_name(os.fsencode(file.name).decode("utf-8", "replace")),  # A record is UTF-8.
            conversion_type=conversion_type,
            options=options,
            sha512=digest.hexdigest(),
            file_size=copied,
            media_type=media_type,
            idempotency_key=None,
            file_name=name,
        )
    except OSError as problem:
        admissions.abandon(item_id)
        raise translate(problem, f"copying {file.name} into the queue") from problem
    except BaseException:
        admissions.abandon(item_id)
        raise
