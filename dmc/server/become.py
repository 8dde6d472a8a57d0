"""From the complete bytes of an upload to an item: hash, checks, admission. Blocking, and long where much is to be hashed."""

import contextlib
import os

from dmc.broker.admission import Admissions
from dmc.broker.ledger import Ledger
from dmc.conversions import MediaType, guess_media_type
from dmc.errors import WholeFileMismatch
from dmc.items import Item
from dmc.log import Log
from dmc.server.policy import ServerLimits, check_medium
from dmc.server.upload import STATE_FILE, Upload

log = Log("server")


def make_item(upload: Upload, ledger: Ledger, admissions: Admissions, limits: ServerLimits) -> Item:
    """The item; durable when this returns. Raises WholeFileMismatch, Unsupported, Unavailable errors, DiskFault."""
    record, file = upload.record, upload.file
    if (known := ledger.get(record.item_id)) is not None:
        return known  # An earlier try got as far as its ledger line, and no further.
    sha512, head = file.finish()
    medium = guess_media_type(record.label, head)
    if record.sha512 not in (None, sha512):
        raise WholeFileMismatch("the bytes that arrived are not the file that was announced.", "Send the file again from the start.")
    if medium is not None:
        check_medium(medium, limits)
    if not record.resumable:
        file.rename(record.file_name)
        item = _admit(upload, sha512, medium, admissions)
    else:
        # The broker may move the folder as soon as the ledger line stands; the descriptor goes along with it.
        folder = os.open(file.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            item = _admit(upload, sha512, medium, admissions)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(STATE_FILE, dir_fd=folder)
        finally:
            os.close(folder)
    log.info("upload became an item", item=item.item_id, client=item.client_id, bytes=item.file_size)
    return item


def _admit(upload: Upload, sha512: str, medium: MediaType | None, admissions: Admissions) -> Item:
    record = upload.record
    return admissions.admit(
        record.item_id,
        client_id=record.client_id,
        label=record.label,
        conversion_type=record.conversion_type,
        options=record.options,
        sha512=sha512,
        file_size=upload.file.offset,
        media_type=medium,
        idempotency_key=record.idempotency_key,
        file_name=record.file_name,
    )
