"""Uploads that are not items yet: made, found again after a restart, held by one request at a time, completed or dropped.

The bytes stand in the item's folder under incoming/, with `upload.json` beside them, written durably before the client
hears of the upload. Completion hands the file to the broker's admissions; from then on the ledger speaks for it.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from dmc.broker.admission import Admissions
from dmc.broker.ledger import Ledger
from dmc.broker.storage import Storage
from dmc.clock import Clock, rfc3339
from dmc.errors import BadRequest, Conflict, DiskFault, DmcError, Locked, Refused
from dmc.files import Disk, translate, write_durably
from dmc.items import Item, original_name
from dmc.log import Log
from dmc.server.become import make_item
from dmc.server.incoming import IncomingFile
from dmc.server.left_behind import take_up
from dmc.server.offload import Offload
from dmc.server.policy import Announcement, ServerLimits, check_open_count, check_size, check_space
from dmc.server.quota import Quota
from dmc.server.receiving import Ending, Interrupt
from dmc.server.upload import ARRIVING, STATE_FILE, Upload, UploadRecord

Shown = TypeVar("Shown")

REMEMBERED_EXPIRED = 1000

log = Log("server")


class OpenUploads:
    """All open uploads of the server. Lives on the event loop; every disk access goes through `offload`."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        storage: Storage,
        admissions: Admissions,
        clock: Clock,
        disk: Disk,
        offload: Offload,
        limits: ServerLimits,
        quota: Quota,
    ) -> None:
        self._ledger = ledger
        self._storage = storage
        self._admissions = admissions
        self._clock = clock
        self._disk = disk
        self._offload = offload
        self._limits = limits
        self._quota = quota
        self._uploads: dict[str, Upload] = {}
        self._expired: deque[str] = deque(maxlen=REMEMBERED_EXPIRED)
        self._creating = asyncio.Lock()
        self._stopping = False
        self.bytes_received = 0

    def __len__(self) -> int:
        return len(self._uploads)

    @property
    def reserved(self) -> int:
        """Bytes of disk that open uploads may still fill."""
        return sum(upload.missing for upload in self._uploads.values())

    def find(self, item_id: str) -> Upload | None:
        return self._uploads.get(item_id)

    def has_expired(self, item_id: str) -> bool:
        """Whether this id was an upload that nobody finished in time (known until the next restart)."""
        return item_id in self._expired

    def of_client(self, client_id: str) -> list[Upload]:
        return [upload for upload in self._uploads.values() if upload.record.client_id == client_id]

    def expires_at(self, upload: Upload) -> datetime:
        left = upload.touched + self._limits.expiry_s - self._clock.monotonic()
        return self._clock.now() + timedelta(seconds=left)

    async def create(self, announced: Announcement, *, resumable: bool = True) -> Upload | Item:
        """A new upload, or what the same idempotency key made before. Raises what speaks against the file, before any byte of it came."""
        async with self._creating:
            known = await self._known(announced) if announced.idempotency_key is not None else None
            if isinstance(known, Upload) and not (resumable and known.record.resumable):
                raise Conflict("a file with this idempotency key is just being sent.", "Wait until that is through.")
            if known is not None:
                return known
            check_size(announced.length, self._limits)
            check_open_count(len(self.of_client(announced.client_id)), self._limits)
            await self._quota.check(announced.client_id, announced.length or 0, self._uploads.values())
            upload = await self._offload.disk(self._make, announced, resumable, self.reserved)
            self._uploads[upload.record.item_id] = upload
            return upload

    async def _known(self, announced: Announcement) -> Upload | Item | None:
        key = announced.idempotency_key or ""
        for upload in self.of_client(announced.client_id):
            if upload.record.idempotency_key == key:
                _check_same(announced, upload.record.length, upload.record.sha512)
                return upload
        item = await self._offload.quick(self._admissions.already, announced.client_id, key)
        if item is not None:
            _check_same(announced, item.file_size, item.sha512_checksum)
        return item

    def _make(self, announced: Announcement, resumable: bool, reserved: int) -> Upload:
        check_space(announced.length or 0, free=self._storage.free_bytes(), reserved=reserved, limits=self._limits)
        item_id, folder = self._admissions.begin()
        record = UploadRecord(
            **announced.model_dump(),
            item_id=item_id,
            created_at=rfc3339(self._clock.now()),
            file_name=original_name(announced.label),
            resumable=resumable,
        )
        try:
            if resumable:
                self._disk.write(folder / record.file_name, b"")
                self._write_state(folder, record)
                self._disk.sync_folder(folder.parent)
                return self._opened(record, folder / record.file_name, self._clock.monotonic())
            # Nobody is promised anything before it is an item: half of one may be lost.
            self._disk.write(folder / ARRIVING, b"")
            upload = self._opened(record, folder / ARRIVING, self._clock.monotonic())
            upload.file.open()
            return upload
        except OSError as problem:
            self._admissions.abandon(item_id)
            raise translate(problem, "beginning an upload") from problem
        except DmcError:
            self._admissions.abandon(item_id)
            raise

    def _write_state(self, folder: Path, record: UploadRecord) -> None:
        write_durably(self._disk, folder / STATE_FILE, record.model_dump_json().encode())

    def _opened(self, record: UploadRecord, path: Path, touched: float) -> Upload:
        return Upload(record, IncomingFile(path, self._disk, sync_every=self._limits.sync_every), touched)

    async def set_length(self, upload: Upload, length: int) -> None:
        """Say how long an upload of deferred length is; the caller holds it. A length that is known cannot be changed."""
        record = upload.record
        if record.length == length:
            return
        if record.length is not None or length < upload.file.offset:
            raise BadRequest("the length of this upload cannot become that.", "Ask with HEAD what is known of it.")
        check_size(length, self._limits)
        free = await self._offload.quick(self._storage.free_bytes)
        check_space(length - upload.file.offset, free=free, reserved=self.reserved, limits=self._limits)
        await self._quota.check(record.client_id, length, [other for other in self._uploads.values() if other is not upload])
        upload.record = record.model_copy(update={"length": length})
        await self._offload.disk(self._write_state, upload.file.path.parent, upload.record)

    @contextlib.contextmanager
    def receiving(self, upload: Upload) -> Iterator[Interrupt]:
        """While the caller, who holds the upload, takes a body into it: the interrupt by which others can stop that."""
        upload.interrupt = Interrupt()
        if self._stopping:
            upload.interrupt.fire(Ending.SHUTDOWN)
        elif upload.waiting:
            upload.interrupt.fire(Ending.TAKEN_OVER)
        before = upload.file.offset
        try:
            yield upload.interrupt
        finally:
            self.bytes_received += upload.file.offset - before
            upload.interrupt = None
            if upload.record.resumable:  # Else it becomes an item at once, or is dropped.
                upload.file.close()

    @contextlib.asynccontextmanager
    async def held(self, upload: Upload) -> AsyncIterator[None]:
        """Be the only one at `upload`: a request that is receiving is stopped, its bytes kept. Raises Locked if it does not give way."""
        if upload.interrupt is not None:
            upload.interrupt.fire(Ending.TAKEN_OVER)
        upload.waiting += 1
        try:
            async with asyncio.timeout(self._limits.take_over_s):
                await upload.lock.acquire()
        except TimeoutError:
            raise Locked("another request is busy with this upload.", "Try again.") from None
        finally:
            upload.waiting -= 1
        try:
            upload.touched = self._clock.monotonic()
            yield
        finally:
            upload.touched = self._clock.monotonic()
            upload.lock.release()

    async def complete(self, upload: Upload) -> Item:
        """Make an item of an upload whose bytes are all there; the caller holds it.

        Raises WholeFileMismatch and Unsupported, after which the upload is gone, and Unavailable errors, after which it stands.
        """
        return await self.complete_as(upload, _itself)

    async def complete_as(self, upload: Upload, shown: Callable[[Item], Shown]) -> Shown:
        """Like `complete`; what is to be `shown` of the item is worked out in the same turn of another thread. Blocking, that is."""
        try:
            made = await self._offload.disk(lambda: shown(make_item(upload, self._ledger, self._admissions, self._limits)))
        except (Refused, DiskFault):
            await self.drop(upload)
            raise
        finally:
            upload.file.close()
        self._uploads.pop(upload.record.item_id, None)
        return made

    async def drop(self, upload: Upload) -> None:
        """Forget an upload and its bytes; the caller holds it."""
        self._uploads.pop(upload.record.item_id, None)
        upload.file.close()
        await self._offload.disk(self._admissions.abandon, upload.record.item_id)

    async def restore(self) -> None:
        """Find the uploads that an earlier process has left."""
        for upload in await self._offload.disk(self._left_behind):
            self._uploads[upload.record.item_id] = upload

    async def finish(self) -> None:
        """Complete uploads whose last byte had come, but whose process ended before they became items. May take long: they are hashed."""
        for upload in [upload for upload in self._uploads.values() if upload.is_complete and not upload.record.partial]:
            try:
                async with self.held(upload):
                    if self.find(upload.record.item_id) is upload:
                        await self.complete(upload)
            except DmcError as problem:
                log.warning("a complete upload did not become an item", item=upload.record.item_id, code=problem.code)

    def _left_behind(self) -> list[Upload]:
        now, found = self._clock.now().timestamp(), take_up(self._storage, self._ledger, self._admissions, self._disk)
        idle = [max(0.0, now - (folder / record.file_name).stat().st_mtime) for record, folder in found]
        begun = [self._clock.monotonic() - idle_s for idle_s in idle]
        return [self._opened(record, folder / record.file_name, at) for (record, folder), at in zip(found, begun, strict=True)]

    async def sweep(self) -> None:
        """Forget uploads that nobody has touched for too long; never one that a request holds."""
        now = self._clock.monotonic()
        for upload in list(self._uploads.values()):
            if upload.lock.locked() or now - upload.touched < self._limits.expiry_s:
                continue
            async with self.held(upload):
                self._expired.append(upload.record.item_id)
                await self.drop(upload)
                log.info("upload expired", item=upload.record.item_id, client=upload.record.client_id)

    def stop(self) -> None:
        """Ask every request that is receiving to save what it has and end, and every hash that is running."""
        self._stopping = True
        for upload in self._uploads.values():
            if upload.interrupt is not None:
                upload.interrupt.fire(Ending.SHUTDOWN)
            elif upload.lock.locked():
                upload.file.abort_hash()


def _itself(item: Item) -> Item:
    return item


def _check_same(announced: Announcement, length: int | None, sha512: str | None) -> None:
    """Raise Conflict if the key of a known upload or item comes with another file."""
    other_length = announced.length is not None and length is not None and announced.length != length
    other_content = announced.sha512 is not None and sha512 is not None and announced.sha512 != sha512
    if other_length or other_content:
        raise Conflict("this idempotency key was used for another file.", "Take another key for another file.")
