"""Counting by adding and taking away gives what a walk would give."""

import random
from datetime import UTC, datetime

from dmc.conversions import MediaType
from dmc.items import Item, ItemIds, Outcome, Status
from dmc.jobs import ErrorNote, ResultFacts
from dmc.server.statistics import DAYS, HOURS, cause_of, grouped, view
from dmc.server.tally import Tally, hour_of

NOW = datetime(2026, 11, 21, 13, 30, tzinfo=UTC)
IDS = ItemIds()


def item(**changed: object) -> Item:
    fields: dict[str, object] = {
        "item_id": IDS.next(), "version": 1, "status": Status.TO_DO, "created_at": "2026-11-20T10:00:00.000000Z", "client_id": "laptop",
        "conversion_type": "h265", "original_file_name": "a.mp4", "current_file_name": "original.mp4", "file_size": 1000,
        "sha512_checksum": "0" * 128,
    }  # fmt: skip
    return Item.model_validate(fields | changed)


def converted(size: int, result: int, at: str = "2026-11-21T13:05:00.000000Z", **changed: object) -> Item:
    facts = ResultFacts(file_name="result.mkv", file_size=result, sha512_checksum="1" * 128)
    return item(
        status=Status.FINISHED_SUCCESSFUL, outcome=Outcome.CONVERTED, result=facts, file_size=size, finished_at=at,
        media_type=MediaType.VIDEO, **changed,
    )  # fmt: skip


def failed(code: str, name: str = "a.mp4", **changed: object) -> Item:
    note = ErrorNote(code=code, message=f"{name} is bad.", hint="Mend it.")
    fields = {"errors": (note,), "original_file_name": name, "finished_at": "2026-11-20T01:00:00.000000Z"}
    return item(status=Status.FINISHED_WITH_ERRORS, **(fields | changed))


def told(*items: Item) -> Tally:
    tally = Tally()
    for each in items:
        tally.note(each.item_id, each)
    return tally


def test_sizes_count_only_for_what_was_converted() -> None:
    kept = item(status=Status.FINISHED_SUCCESSFUL, outcome=Outcome.KEPT_ORIGINAL, finished_at="2026-11-21T13:00:00.000000Z")
    shown = view(told(converted(1000, 400), converted(500, 600), kept, failed("not_media"), item()).counts(), {}, NOW)
    assert (shown.converted, shown.kept_original, shown.failed) == (2, 1, 1)
    assert (shown.bytes_in, shown.bytes_out, shown.saved_bytes) == (1500, 1000, 500)
    assert shown.statuses[Status.TO_DO] == 1
    assert shown.media_types == {"video": 2}
    assert shown.months == {"2026-11": 5}


def test_hours_and_days_end_with_the_current_one() -> None:
    shown = view(told(converted(10, 1), converted(20, 2, "2026-11-21T12:59:59.000000Z"), failed("x")).counts(), {}, NOW)
    assert len(shown.hours) == HOURS and len(shown.days) == DAYS
    assert (shown.hours[-1].start, shown.hours[-1].converted, shown.hours[-1].bytes_in) == ("2026-11-21T13:00:00Z", 1, 10)
    assert (shown.hours[-2].converted, shown.hours[-2].bytes_out) == (1, 2)
    assert (shown.days[-1].start, shown.days[-1].converted) == ("2026-11-21T00:00:00Z", 2)
    assert (shown.days[-2].start, shown.days[-2].failed) == ("2026-11-20T00:00:00Z", 1)
    assert sum(day.converted for day in shown.days) == sum(hour.converted for hour in shown.hours) == 2


def test_each_client_counts_for_itself() -> None:
    tally = told(converted(10, 1), converted(20, 2, client_id="phone"))
    assert tally.clients() == {"laptop": 1, "phone": 1}
    assert tally.counts("phone").total.bytes_in == 20
    assert tally.counts().total.bytes_in == 30


def test_whatever_happened_the_counts_are_those_of_a_walk() -> None:
    dice = random.Random(7)
    tally, there = Tally(), {}
    ids = [IDS.next() for _ in range(40)]
    for _ in range(2000):
        item_id = dice.choice(ids)
        makers = (
            lambda: item(),
            lambda: converted(dice.randrange(1, 9999), dice.randrange(1, 9999), f"2026-11-{dice.randrange(1, 22):02}T05:00:00.000000Z"),
            lambda: failed(dice.choice("ab")),
            lambda: None,
        )
        made = dice.choice(makers)()
        now = None if made is None else made.model_copy(update={"item_id": item_id, "client_id": dice.choice(["laptop", "phone"])})
        tally.note(item_id, now)
        there[item_id] = now
    walked = told(*(each for each in there.values() if each is not None))
    for client in (None, "laptop", "phone"):
        assert view(tally.counts(client), tally.clients(), NOW) == view(walked.counts(client), walked.clients(), NOW)


def test_failures_group_by_cause_the_largest_first_with_the_newest_words() -> None:
    failures = [failed("torn", "a.jpg"), failed("silent", "b.mp4"), failed("torn", "c 12.jpg"), failed("torn", "d.jpg", wish="retry")]
    groups = grouped(failures)
    assert [(group.code, group.count) for group in groups] == [("torn", 2), ("silent", 1)]
    assert (groups[0].message, groups[0].hint, groups[0].file_names) == ("c 12.jpg is bad.", "Mend it.", ["c 12.jpg", "a.jpg"])
    assert groups[0].cause == cause_of(failures[0]) != cause_of(failures[1])


def test_the_same_code_with_other_words_is_another_cause_and_with_other_numbers_is_not() -> None:
    small, large, foreign = (
        failed("Unsupported", errors=(ErrorNote(code="Unsupported", message=words),))
        for words in ("a.mp4: 1x1 is too small.", "a.mp4: 2x3 is too small.", "a.mp4 is encrypted.")
    )
    assert cause_of(small) == cause_of(large) != cause_of(foreign)


def test_a_failure_without_a_note_has_a_cause_too() -> None:
    silent = item(status=Status.FINISHED_WITH_ERRORS)
    assert cause_of(silent) == "Unknown"
    assert grouped([silent])[0].message


def test_an_hour_is_counted_in_utc_whatever_the_offset() -> None:
    assert hour_of(datetime.fromisoformat("2026-11-21T14:30:00+01:00")) == hour_of(NOW)
