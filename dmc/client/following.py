"""What a record becomes by what the server says of its item: pure. None means nothing changed."""

from datetime import datetime

from dmc.client.records import OF_SERVER, OutboxRecord, OutboxStatus
from dmc.clock import rfc3339
from dmc.items import Outcome, Status
from dmc.jobs import ErrorNote, MadeFile, ResultFacts
from dmc.protocol import ItemView

CHECKED_AFTER_S = 60.0
"""A look at an item that changed nothing is written down at most this often."""


def accepted(record: OutboxRecord, view: ItemView, *, server: str, instance: str | None, now: datetime, adopted: bool) -> OutboxRecord:
    """The server has the item of `record`: sent just now, or (`adopted`) found there by its content."""
    fields = _told(view) | {"server_name": server, "server_id": instance, "item_id": view.item_id, "adopted": adopted or record.adopted}
    return record.changed(**fields, upload_url=None, result_path=None, last_checked_at=rfc3339(now), attempts=0)


def followed(record: OutboxRecord, view: ItemView, now: datetime) -> OutboxRecord | None:
    """The record after a look at its item."""
    if record.item_id != view.item_id or record.status in (OutboxStatus.FETCHED, OutboxStatus.ACKNOWLEDGED, OutboxStatus.PARKED):
        return None
    fields = _told(view)
    if all(getattr(record, name) == value for name, value in fields.items()) and not _is_stale(record, now):
        return None
    return record.changed(**fields, last_checked_at=rfc3339(now))


def reopened(record: OutboxRecord, view: ItemView, now: datetime) -> OutboxRecord | None:
    """A failure was acknowledged, and then somebody asked the server to try once more: the result is to come home after all."""
    if record.item_id != view.item_id or record.status is not OutboxStatus.ACKNOWLEDGED or record.outcome != "failed":
        return None
    if view.status is Status.FINISHED_WITH_ERRORS:
        return None
    return record.changed(**_told(view), last_checked_at=rfc3339(now), attempts=0)


def disowned(record: OutboxRecord, item_id: str) -> OutboxRecord | None:
    """The server that had the item does not know it any more: it is offered anew, since nothing of it came home."""
    if record.item_id != item_id or not record.status.is_at_server:
        return None
    if record.status is OutboxStatus.FETCHED:
        return record.changed(status=OutboxStatus.ACKNOWLEDGED, reason="the server no longer knows the item; its result is here")
    return record.sent_again("the server no longer knew the item")


def deleted(record: OutboxRecord, now: datetime) -> OutboxRecord | None:
    """Somebody deleted the item at the server: nothing of it comes home by itself, and its file is not offered again."""
    if not record.status.is_at_server:
        return None
    if record.status is OutboxStatus.FETCHED:
        return record.changed(status=OutboxStatus.ACKNOWLEDGED, reason="it was deleted at the server; its result is here")
    note = ErrorNote(code="deleted", message="it was deleted at the server.", hint="To have it converted all the same: dmc retry ID")
    ended = {"status": OutboxStatus.ACKNOWLEDGED, "outcome": "failed", "errors": (note,), "reason": None}
    return record.changed(**ended, result=None, result_path=None, last_checked_at=rfc3339(now))


def asked_anew(record: OutboxRecord) -> OutboxRecord | None:
    """The server does not give out the item any more: the next look tells whether it was deleted there or forgotten."""
    if record.status is OutboxStatus.FETCHED or record.item_id is None:
        return disowned(record, record.item_id or "")
    return made_anew(record)


def made_anew(record: OutboxRecord) -> OutboxRecord | None:
    """The server has, or will have, another end of the item than this client saw: somebody asked for a retry, or a backup came back.

    What is home already stays as it is, and counts; anything else is told by the next look.
    """
    if record.status is OutboxStatus.FETCHED:
        return record.changed(status=OutboxStatus.ACKNOWLEDGED, reason="the server made it once more; the first result is here")
    if not record.status.is_at_server:
        return None
    return record.changed(status=OutboxStatus.TO_DO, result_path=None, result=None)


def facts_of(view: ItemView) -> ResultFacts | None:
    """The result as the server announces it."""
    shown = view.result
    if shown is None:
        return None
    beside = (
        MadeFile(file_name=told.url.rpartition("/")[2], file_size=told.file_size, sha512_checksum=told.sha512_checksum)
        for told in shown.sidecars
    )
    return ResultFacts(file_name=shown.file_name, file_size=shown.file_size, sha512_checksum=shown.sha512_checksum, sidecars=tuple(beside))


def _told(view: ItemView) -> dict[str, object]:
    status = OF_SERVER[view.status]
    failed = status is OutboxStatus.FINISHED_WITH_ERRORS
    return {
        "status": status,
        "result": facts_of(view),
        "outcome": "failed" if failed else view.outcome,
        "reason": view.reason,
        "flaw": view.reason if view.outcome is Outcome.CONVERTED else None,
        "errors": tuple(view.errors),
    }


def _is_stale(record: OutboxRecord, now: datetime) -> bool:
    if record.last_checked_at is None:
        return True
    return abs((now - datetime.fromisoformat(record.last_checked_at)).total_seconds()) >= CHECKED_AFTER_S
