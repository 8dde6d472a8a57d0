"""Looks whether ledger and folders say the same, down to every byte if asked. It changes nothing.

May run beside a working broker: what is just being moved is looked at twice before it is told.
"""

from collections.abc import Iterator
from pathlib import Path

from dmc.broker.ledger import Finding, Ledger, LedgerReport
from dmc.broker.reconcile import PLACE_OF
from dmc.broker.recovery import every
from dmc.broker.storage import Place, Storage
from dmc.files import sha512_of
from dmc.items import Item, Status, Wish


def verify(ledger: Ledger, storage: Storage, *, digests: bool) -> LedgerReport:
    """Everything that does not fit. `digests`: also read every original and result and compare its SHA-512."""
    report = ledger.verify()
    findings = list(report.findings)
    for item in every(ledger):
        found = list(_of_item(item, storage, digests))
        now = ledger.get(item.item_id) if found else item
        if now is not None and now.version != item.version:
            found = list(_of_item(now, storage, digests))  # It was being worked on.
        if now is not None:
            findings += found
    findings += _without_record(ledger, storage)
    return LedgerReport(report.records, report.seq, tuple(findings))


def _of_item(item: Item, storage: Storage, digests: bool) -> Iterator[Finding]:
    if item.wish is Wish.DELETE or item.gone == "files":
        return
    folder = storage.folder(item.item_id)
    if folder is None:
        if item.status is not Status.FINISHED_WITH_ERRORS:
            yield Finding("missing", f"the item is {item.status}, and has no folder.", item.item_id)
        return
    place = storage.place_of(item.item_id)
    waits = item.status is Status.TO_DO and place is Place.INCOMING
    if place is not PLACE_OF[item.status] and not waits:
        yield Finding("misplaced", f"the item is {item.status}, and its folder stands in {place}.", item.item_id)
    if item.status is not Status.FINISHED_WITH_ERRORS and item.gone is None:
        yield from _of_file(item, storage, folder, item.current_file_name, item.file_size, item.sha512_checksum if digests else None)
    for told in () if item.result is None else item.result.files:
        name = f"out/{told.file_name}"
        yield from _of_file(item, storage, folder, name, told.file_size, told.sha512_checksum if digests else None)


def _of_file(item: Item, storage: Storage, folder: Path, name: str, size: int, sha512: str | None) -> Iterator[Finding]:
    found = storage.size_of(item.item_id, name)
    if found is None:
        yield Finding("missing", f"{name} is not there.", item.item_id)
    elif found != size:
        yield Finding("changed", f"{name} has {found} bytes, the ledger says {size}.", item.item_id)
    elif sha512 is not None and sha512_of(folder / name) != sha512:
        yield Finding("changed", f"{name} has another SHA-512 than the ledger says.", item.item_id)


def _without_record(ledger: Ledger, storage: Storage) -> Iterator[Finding]:
    for found in storage.places():
        if ledger.get(found.item_id) is None and found.place is not Place.INCOMING and storage.place_of(found.item_id) is found.place:
            yield Finding("no-record", f"a folder in {found.place} has no record.", found.item_id)
