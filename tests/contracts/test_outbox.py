"""The law of dmc/client/outbox.py, line by line, on every variant."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dmc.client.outbox import Outbox
from dmc.client.outbox_journal import JournalOutbox
from dmc.client.outbox_memory import MemoryOutbox
from dmc.client.records import OutboxRecord, OutboxStatus
from dmc.errors import Conflict
from dmc.files import RealDisk
from dmc.items import ItemIds

Open = Callable[[], Outbox]
IDS = ItemIds()


def a_record(status: OutboxStatus = OutboxStatus.WAITING) -> OutboxRecord:
    return OutboxRecord(
        id=IDS.next(),
        version=1,
        status=status,
        created_at="2026-01-01T00:00:00.000000Z",
        file_path="/home/%FF%0A.mp4",
        size=3,
        mtime_ns=1,
        ctime_ns=2,
        inode=3,
        dev=4,
        sha512="0" * 128,
    )


@pytest.fixture(params=["memory", "journal"])
def another(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same outbox again, as another process would."""
    shared: dict[str, OutboxRecord] = {}
    if request.param == "memory":
        yield lambda: MemoryOutbox(shared)
    else:
        yield lambda: JournalOutbox.open(tmp_path / "outbox.json", RealDisk())


def test_law_1_what_was_put_is_there_for_everybody_and_after_a_restart(another: Open) -> None:
    record = a_record()
    another().put([record])
    assert another().get(record.id) == record


def test_law_1_records_go_together_or_not_at_all(another: Open) -> None:
    outbox, known, new = another(), a_record(), a_record()
    outbox.put([known])
    with pytest.raises(Conflict):
        outbox.put([new, known])
    assert outbox.get(new.id) is None
    outbox.put([new, known.changed(size=5)])
    assert outbox.get(known.id) == known.changed(size=5)


def test_law_1_removed_is_removed(another: Open) -> None:
    outbox, record = another(), a_record()
    outbox.put([record])
    outbox.remove(record)
    assert (outbox.get(record.id), another().ids()) == (None, [])


def test_law_2_a_version_that_is_not_the_next_is_a_conflict(another: Open) -> None:
    first, record = another(), a_record()
    first.put([record])
    second = another()
    second.put([record.changed(size=5)])
    first.refresh()
    for stale in (record, record.changed(size=6), record.changed(size=6).changed(size=7).changed(size=8)):
        with pytest.raises(Conflict):
            first.put([stale])
    with pytest.raises(Conflict):
        first.remove(record)
    assert first.get(record.id) == record.changed(size=5)


def test_law_3_ids_are_in_order_of_creation_by_status_and_by_prefix(another: Open) -> None:
    outbox = another()
    records = [a_record(), a_record(OutboxStatus.PARKED), a_record()]
    for record in reversed(records):
        outbox.put([record])
    assert outbox.ids() == [record.id for record in records]
    assert outbox.ids(OutboxStatus.PARKED) == [records[1].id]
    assert outbox.find(records[0].id) == [records[0].id]
    assert outbox.find(records[0].id[:8], limit=2) == [record.id for record in records[:2]]
    counts = outbox.counts()
    assert (counts[OutboxStatus.WAITING], counts[OutboxStatus.PARKED], counts[OutboxStatus.FETCHED]) == (2, 1, 0)


def test_law_4_changes_of_another_process_are_told_by_refresh(another: Open) -> None:
    mine, theirs, record = another(), another(), a_record()
    theirs.put([record])
    changed = mine.refresh()
    assert changed is None or changed == [record.id]
    assert mine.get(record.id) == record
    theirs.remove(record)
    changed = mine.refresh()
    assert changed is None or changed == [record.id]
    assert mine.get(record.id) is None
    assert mine.refresh() == []
    mine.close()
    theirs.close()
