"""The next record of an item, as pure functions: after a report, a claim, a wish, a crash. And outcome.json, there and back.

`outcome.json` stands beside the ticket before the line of a terminal status does; a lost index is rebuilt from both.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from dmc.conversions import MediaType
from dmc.items import Item, Outcome, Status, Wish
from dmc.jobs import ErrorNote, Report, ResultFacts

MOST_CRASHES = 3
"""The crash with this number ends an attempt: a file that brings the machine down must not loop."""

MOST_NOTES = 8
"""Notes of what went before that a record keeps."""

CUT_SHORT = ErrorNote(code="cut_short", message="the broker ended while this was being converted.", hint="It is converted anew.")
MISSING = ErrorNote(code="original_missing", message="the original is no longer on the server.", hint="Add the file again.")
CHANGED = ErrorNote(code="original_changed", message="the original on the server is not what was uploaded.", hint="Add the file again.")


class OutcomeFile(BaseModel):
    """What `outcome.json` holds: how one attempt ended."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    attempt: int
    status: Status
    outcome: Outcome | None = None
    reason: str | None = None
    errors: tuple[ErrorNote, ...] = ()
    result: ResultFacts | None = None
    media_type: MediaType | None = None
    started_at: str | None = None
    finished_at: str | None = None
    crashes: int = 0


def outcome_of(item: Item) -> dict[str, Any]:
    """`outcome.json` for a finished record."""
    fields = {name: getattr(item, name) for name in OutcomeFile.model_fields}
    return OutcomeFile.model_validate(fields).model_dump(mode="json", exclude_none=True)


def read_outcome(found: dict[str, Any] | None) -> OutcomeFile | None:
    """`outcome.json` as it was found; None if it is not there or makes no sense."""
    try:
        return None if found is None else OutcomeFile.model_validate(found)
    except ValidationError:
        return None


def claimed(item: Item, now: str) -> Item:
    """Begun."""
    return item.changed(status=Status.IN_PROGRESS, started_at=now)


def reported(item: Item, report: Report, now: str) -> Item:
    """What `item`, in progress, becomes by the report of its job."""
    if item.wish is Wish.CANCEL:
        return cancelled(item, now, report.media_type)
    if report.kind in ("converted", "kept-original", "skipped"):
        return item.changed(
            status=Status.FINISHED_SUCCESSFUL,
            outcome=Outcome(report.kind),
            reason=report.reason,
            result=report.result if report.kind == "converted" else None,
            media_type=report.media_type or item.media_type,
            errors=(),
            finished_at=now,
            wish=None,
        )
    if report.kind == "failed":
        return failed(item, report.errors, now, report.media_type)
    if report.kind == "crashed":
        return crashed(item, report.errors, now)
    return put_back(item, report.errors)


def failed(item: Item, errors: tuple[ErrorNote, ...], now: str, media_type: MediaType | None = None) -> Item:
    """Ended with errors."""
    return item.changed(
        status=Status.FINISHED_WITH_ERRORS,
        errors=errors,
        media_type=media_type or item.media_type,
        finished_at=now,
        wish=None,
        held_since=None,
    )


def cancelled(item: Item, now: str, media_type: MediaType | None = None) -> Item:
    """Ended because somebody asked for it."""
    note = ErrorNote(code="cancelled", message="cancelled on request.", hint="The original is kept; retry starts it again.")
    return failed(item, (note,), now, media_type)


def crashed(item: Item, errors: tuple[ErrorNote, ...], now: str) -> Item:
    """Cut short by a dying worker or machine: tried again, unless that has happened too often."""
    crashes = item.crashes + 1
    if crashes < MOST_CRASHES:
        return put_back(item, errors).model_copy(update={"crashes": crashes})
    ending = ErrorNote(
        code="crashed_repeatedly",
        message=f"converting this file was cut short {crashes} times.",
        hint="The original is kept; retry starts it again.",
    )
    return failed(item, (*_notes(item, errors), ending), now).model_copy(update={"crashes": crashes})


def put_back(item: Item, errors: tuple[ErrorNote, ...] = ()) -> Item:
    """To do again in the same attempt; `errors` become notes of what went before."""
    return item.changed(status=Status.TO_DO, errors=_notes(item, errors), started_at=None)


def retried(item: Item) -> Item:
    """To do again because somebody asked for it: another attempt."""
    return item.changed(
        status=Status.TO_DO,
        attempt=item.attempt + 1,
        crashes=0,
        wish=None,
        outcome=None,
        reason=None,
        result=None,
        started_at=None,
        finished_at=None,
        acknowledged_at=None,
    )


def adopted(item: Item, outcome: OutcomeFile) -> Item:
    """The finished record whose line was lost, from what outcome.json says; `item` is in progress."""
    fields = {name: getattr(outcome, name) for name in OutcomeFile.model_fields}
    return item.changed(**fields, wish=None)


def _notes(item: Item, errors: tuple[ErrorNote, ...]) -> tuple[ErrorNote, ...]:
    return (*item.errors, *errors)[-MOST_NOTES:]
