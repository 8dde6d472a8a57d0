"""What an earlier process has left in incoming/: uploads that may go on, and halves of one-shot ones, worth nothing. Blocking."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from dmc.broker.admission import Admissions
from dmc.broker.ledger import Ledger
from dmc.broker.storage import Place, Storage
from dmc.files import Disk
from dmc.server.upload import ARRIVING, STATE_FILE, UploadRecord


def take_up(storage: Storage, ledger: Ledger, admissions: Admissions, disk: Disk) -> list[tuple[UploadRecord, Path]]:
    """Records and folders of uploads that may go on; what is worth nothing is removed."""
    for place in storage.places((Place.INCOMING,)):
        if storage.size_of(place.item_id, ARRIVING) is not None:
            admissions.abandon(place.item_id)
    found = []
    for record, folder in list(open_records(storage, ledger, disk)):
        if record.resumable:
            found.append((record, folder))
        else:  # As an earlier dmc wrote down what came in one request.
            admissions.abandon(record.item_id)
    return found


def open_records(storage: Storage, ledger: Ledger, disk: Disk) -> Iterator[tuple[UploadRecord, Path]]:
    """Records and folders of uploads that are no items, also those that a server is at right now. Changes nothing."""
    for place in storage.places((Place.INCOMING,)):
        folder = storage.folder(place.item_id)
        if folder is None or ledger.get(place.item_id) is not None:
            continue  # An item whose folder the broker has not moved yet.
        record = _read(folder, disk)
        if record is not None:
            yield record, folder


def arriving_bytes(storage: Storage) -> int:
    """What has come so far of files that come in one request."""
    return sum(storage.size_of(place.item_id, ARRIVING) or 0 for place in storage.places((Place.INCOMING,)))


def _read(folder: Path, disk: Disk) -> UploadRecord | None:
    try:
        record = UploadRecord.model_validate_json(disk.read(folder / STATE_FILE))
    except (OSError, ValidationError):
        return None  # Not an upload of the server, or none that was ever promised; the broker deals with the folder.
    return record if disk.stat(folder / record.file_name) is not None else None
