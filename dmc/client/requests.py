"""What commands ask of the outbox beside a running client: add a file, find and list records, fetch a result, start over.

Each is one durable change that the running client sees within a second; none waits for a server but `download`.
"""

import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from dmc.client import deliver, naming
from dmc.client.examine import Drop, NotOurs, Unreadable, examine
from dmc.client.following import facts_of
from dmc.client.outbox import Outbox
from dmc.client.records import DOWNLOAD, OutboxRecord, OutboxStatus, encode_path, stat_fields
from dmc.client.settle import signature_of
from dmc.client.transport import Transport, never
from dmc.clock import Clock, rfc3339
from dmc.conversions import MediaType, check_fits, find_conversion, may_be_own
from dmc.errors import Busy, Conflict, NotFound, NotMedia, UnknownItem, UsageFault, WrongStatus
from dmc.files import Disk
from dmc.items import ItemIds, told_apart

_TRIES = 5


def add_file(
    outbox: Outbox,
    path: Path,
    *,
    conversion_type: str,
    clock: Clock,
    ids: ItemIds,
    options: dict[str, Any] | None = None,
    server_name: str | None = None,
) -> OutboxRecord:
    """Put a file into the outbox; its result waits for `download`. The same file with the same wish again gives the record that is there.

    Reads the whole file. Raises NotFound, NotMedia, UnknownConversion, UnfitConversion, Busy while somebody writes it.
    """
    here = Path(os.path.abspath(path))
    drop = _examined(here)
    if not may_be_own(conversion_type):  # Else the server knows, and says so when it does not.
        check_fits(find_conversion(conversion_type), drop.media_type)
    for record in listing(outbox):
        same = record.destination == DOWNLOAD and record.status is not OutboxStatus.PARKED and record.outcome != "failed"
        wish = (record.file_path, record.sha512, record.conversion_type, record.options)
        if same and wish == (encode_path(here), drop.sha512, conversion_type, options or {}):
            return record
    record = OutboxRecord(
        id=ids.next(),
        version=1,
        status=OutboxStatus.WAITING,
        created_at=rfc3339(clock.now()),
        file_path=encode_path(here),
        destination=DOWNLOAD,
        **stat_fields(drop.signature),
        mode=drop.mode,
        sha512=drop.sha512,
        media_type=drop.media_type,
        conversion_type=conversion_type,
        options=options or {},
        server_name=server_name,
    )
    outbox.put([record])
    return record


def _examined(path: Path) -> Drop:
    try:
        signature = signature_of(os.stat(path))
        real = os.path.realpath(path)
    except OSError as problem:
        raise NotFound(f"{path}: {problem.strerror}.") from None
    if signature is None:
        raise NotMedia(f"{path} is no regular file.")
    found = examine(real, signature, frozenset(MediaType), never)
    if isinstance(found, Drop):
        return found
    if isinstance(found, Unreadable):
        raise NotFound(f"{path} {found.reason}.")
    if isinstance(found, NotOurs):
        raise NotMedia(f"{path} is no video, sound or picture that dmc knows by its name or first bytes.")
    raise Busy(f"{path} is being written.", "Add it again when it is complete.")


def listing(outbox: Outbox, statuses: Collection[OutboxStatus] = ()) -> Iterator[OutboxRecord]:
    """Records in order of creation, all or those of some statuses."""
    for record_id in outbox.ids():
        record = outbox.get(record_id)
        if record is not None and (not statuses or record.status in statuses):
            yield record


def find(outbox: Outbox, prefix: str) -> OutboxRecord:
    """The one record whose own id or item id starts with `prefix`. Raises UnknownItem; UsageFault when there are several."""
    found = {record.id: record for record in listing(outbox) if any(one.startswith(prefix) for one in (record.id, record.item_id or ""))}
    if not found:
        raise UnknownItem(f"no item of this client has an id that starts with {prefix!r}.", "See them all with: dmc status")
    items = {record.item_id for record in found.values()}
    if len(found) > 1 and (len(items) > 1 or None in items):  # Files of equal bytes may share one item of the server.
        several = [(record.item_id or record.id, str(record.status), record.label) for record in found.values()]
        raise UsageFault(f"{len(several)} items have ids that start with {prefix!r}.", told_apart(several))
    return next(iter(found.values()))


def change(outbox: Outbox, record_id: str, make: Callable[[OutboxRecord], OutboxRecord | None]) -> OutboxRecord:
    """Store what `make` makes of the record as it is now, asked again if a running client was faster; None leaves it as it is."""
    for _ in range(_TRIES):
        record = outbox.get(record_id)
        if record is None:
            raise UnknownItem(f"there is no record {record_id}.")
        after = make(record)
        if after is None:
            return record
        try:
            outbox.put([after])
        except Conflict:
            outbox.refresh()
        else:
            return after
    raise Conflict(f"the record {record_id} is being changed by the running client.", "Try again.")


def send_again(outbox: Outbox, record: OutboxRecord) -> OutboxRecord:
    """Let a parked record start over."""
    if record.status is not OutboxStatus.PARKED:
        raise WrongStatus(f"{record.label} is not set aside.")
    return change(outbox, record.id, lambda kept: kept.sent_again())


def moved(outbox: Outbox, record: OutboxRecord, server_name: str | None) -> OutboxRecord:
    """Let another server do it (None: whichever fits): the file is sent again, and what the first one made of it is left there."""
    if record.status.is_done or record.status is OutboxStatus.FETCHED:
        raise WrongStatus(f"{record.label} is done.")
    return change(outbox, record.id, lambda kept: kept.sent_again(server_name=server_name))


def retried(outbox: Outbox, record: OutboxRecord) -> OutboxRecord:
    """The server was asked to try the item again: follow it from the start."""
    fields = {"status": OutboxStatus.TO_DO, "outcome": None, "errors": (), "reason": None, "result": None}
    return change(outbox, record.id, lambda kept: kept.changed(**fields))


def download(outbox: Outbox, record: OutboxRecord, transport: Transport, target: Path, *, disk: Disk, clock: Clock, client: str) -> Path:
    """Fetch the result of a record to `target` (a folder, or the name of a new file), acknowledge it, and write that down.

    Resumes what an earlier call left. Raises WrongStatus while there is no result, UsageFault if `target` is a file that is there.
    """
    item_id = record.item_id or ""
    view = transport.progress([item_id]).get(item_id) if item_id else None
    result = facts_of(view) if view is not None else None
    if result is None:
        raise WrongStatus(f"there is no result of {record.label}.", "See how far it is with: dmc status")
    done = record.changed(result=result, result_path=None)
    folder = target if target.is_dir() else target.parent
    temp = deliver.temp_path(done, Path(os.path.abspath(folder)))
    try:
        transport.fetch(item_id, result, temp)
        deliver.dress(temp, done, disk)
        place = _put(done, temp, target, disk, clock, client)
        deliver.bring_sidecars(done, place, lambda facts, part: transport.fetch(item_id, facts, part, never, True), disk)
    except OSError as problem:
        raise deliver.local(problem, f"writing into {folder}") from None
    transport.acknowledge(item_id, result.sha512_checksum)
    path = encode_path(place)
    change(
        outbox, record.id, lambda kept: kept.changed(status=OutboxStatus.ACKNOWLEDGED, result=result, result_path=path, outcome="converted")
    )
    return place


def _put(record: OutboxRecord, temp: Path, target: Path, disk: Disk, clock: Clock, client: str) -> Path:
    """Publish `temp` under the name that was asked for, or under the first free one in the folder that was."""
    if not target.is_dir():
        place = Path(os.path.abspath(target))
        if not deliver.put_in_place(record, temp, place, disk):
            raise UsageFault(f"{target} is there already.", "Name another place with -o.")
        return place
    while True:
        names = naming.names(record.path, deliver.ending_of(record), clock.now(), client, newer=False)
        place = deliver.choose(temp.parent, names, lambda _: False)
        if deliver.put_in_place(record, temp, place, disk):
            return place
