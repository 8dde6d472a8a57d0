"""What stays how long: each rule as a table, then the trash, early originals and a short disk with a broker at work."""

import errno
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dmc.broker.retention import Rules, due
from dmc.broker.room import expected_bytes, in_words, reserved
from dmc.broker.verify import verify
from dmc.broker.wishes import acknowledge, delete, restore, trash, wish
from dmc.clock import rfc3339
from dmc.errors import WrongStatus
from dmc.items import Item, Status, Wish
from dmc.jobs import ResultFacts
from tests.broker.fakes import RESULT, House, an_item

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = 86400.0
RULES = Rules(acknowledged_days=7, originals_days=2, unacknowledged_days=30, trash_days=5)
FACTS = ResultFacts(file_name="result.mkv", file_size=1, sha512_checksum="cd" * 64)


def ago(days: float) -> str:
    return rfc3339(NOW - timedelta(days=days))


def finished(**fields: object) -> Item:
    return an_item(**{"status": Status.FINISHED_SUCCESSFUL, "finished_at": ago(100), "result": FACTS} | fields)


@pytest.mark.parametrize(
    ("item", "rules", "is_short", "verb"),
    [
        (an_item(), RULES, True, None),
        (finished(acknowledged_at=ago(1)), RULES, True, None),
        (finished(acknowledged_at=ago(3)), RULES, False, "drop-original"),
        (finished(acknowledged_at=ago(3), gone="original"), RULES, False, None),
        (finished(acknowledged_at=ago(3), result=None), RULES, False, None),
        (finished(acknowledged_at=ago(3)), Rules(), False, None),
        (finished(acknowledged_at=ago(8)), RULES, False, "delete"),
        (finished(acknowledged_at=ago(8), wish=Wish.DELETE), RULES, False, None),
        (finished(finished_at=ago(29)), RULES, True, None),
        (finished(finished_at=ago(31)), RULES, False, "delete"),
        (finished(finished_at=ago(31)), Rules(), False, None),
        (finished(acknowledged_at=ago(8), trashed_at=ago(4)), RULES, False, None),
        (finished(acknowledged_at=ago(8), trashed_at=ago(4)), RULES, True, "delete"),
        (finished(trashed_at=ago(6)), RULES, False, "delete"),
        (an_item(status=Status.FINISHED_WITH_ERRORS, acknowledged_at=ago(3)), RULES, False, None),
    ],
)
def test_each_rule(item: Item, rules: Rules, is_short: bool, verb: str | None) -> None:
    assert due(item, NOW, rules, is_short=is_short) == verb


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path, retention=Rules(acknowledged_days=30, originals_days=2, trash_days=5))
    house.broker.start_up()
    return house


def done(house: House) -> Item:
    item = house.add()
    house.settle()
    house.workers.convert(item.item_id)
    house.settle()
    return house.ledger.get(item.item_id)


def days(house: House, count: float) -> None:
    """Let time pass, an hour at a time, as the broker lives through it."""
    for _ in range(int(count * 24)):
        house.clock.advance(3600)
        house.settle()


def test_D15_what_lies_in_the_trash_comes_back_until_its_days_are_over(house: House) -> None:
    item = done(house)
    trash(house.ledger, house.clock, item.item_id)
    days(house, 4.9)
    back = restore(house.ledger, item.item_id)
    assert back == item.model_copy(update={"version": back.version})
    assert house.disk.read(house.storage.folder(item.item_id) / "out/result.mkv") == RESULT
    with pytest.raises(WrongStatus, match="not in the trash"):
        restore(house.ledger, item.item_id)
    days(house, 10)
    assert house.ledger.get(item.item_id) is not None, "its days began anew"
    trash(house.ledger, house.clock, item.item_id)
    days(house, 5.2)
    assert house.ledger.get(item.item_id) is None
    assert house.storage.folder(item.item_id) is None


def test_D15_what_is_under_way_cannot_go_to_the_trash(house: House) -> None:
    item = house.add()
    with pytest.raises(WrongStatus, match="Cancel it first"):
        trash(house.ledger, house.clock, item.item_id)


def test_D15_the_trash_goes_early_when_the_disk_is_short_and_nothing_else_does(house: House) -> None:
    kept, trashed = done(house), done(house)
    trash(house.ledger, house.clock, trashed.item_id)
    house.settle()
    house.storage.free = 999
    for _ in range(3):
        house.clock.advance(30)
        house.settle()
    assert house.ledger.get(trashed.item_id) is None
    assert house.ledger.get(kept.item_id) == kept


def test_D15_what_is_deleted_for_good_does_not_come_back(house: House) -> None:
    item = done(house)
    trash(house.ledger, house.clock, item.item_id)
    wish(house.ledger, item.item_id, Wish.DELETE)
    with pytest.raises(WrongStatus, match="for good"):
        restore(house.ledger, item.item_id)
    house.settle()
    assert house.ledger.get(item.item_id) is None


@pytest.mark.parametrize("by", ["hand", "trash", "days"])
def test_C18_what_somebody_deleted_is_remembered_and_what_went_by_its_days_is_not(house: House, by: str) -> None:
    item = done(house)
    if by == "hand":
        delete(house.ledger, house.clock, item.item_id)
    elif by == "trash":
        trash(house.ledger, house.clock, item.item_id)
    else:
        acknowledge(house.ledger, house.clock, item.item_id, item.result.sha512_checksum)
    house.clock.advance(31 * DAY)
    house.settle()
    assert house.ledger.get(item.item_id) is None
    assert house.storage.owner_of_deleted(item.item_id) == (None if by == "days" else "laptop")


def test_C18_on_a_full_disk_a_deletion_goes_on_without_being_remembered(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    item = done(house)
    write = house.disk.write

    def full(path: Path, data: bytes) -> None:
        if path.parent == Path("/data"):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, data)

    monkeypatch.setattr(house.disk, "write", full)
    delete(house.ledger, house.clock, item.item_id)
    house.settle()
    assert (house.ledger.get(item.item_id), house.storage.places()) == (None, [])
    assert house.storage.owner_of_deleted(item.item_id) is None


def test_an_original_may_go_before_its_result(house: House) -> None:
    item = done(house)
    acknowledge(house.ledger, house.clock, item.item_id, item.result.sha512_checksum)
    days(house, 2.2)
    later = house.ledger.get(item.item_id)
    folder = house.storage.folder(item.item_id)
    assert later.gone == "original"
    assert house.disk.stat(folder / item.current_file_name) is None
    assert house.disk.read(folder / "out/result.mkv") == RESULT
    assert verify(house.ledger, house.storage, digests=False).findings == ()
    twin = house.add(sha512=item.sha512_checksum)
    house.settle()
    assert list(house.workers.jobs) == [twin.item_id], "who comes later with the same bytes is converted from them"
    days(house, 29)
    assert house.ledger.get(item.item_id) is None


def test_a_walk_through_many_items_goes_page_by_page(tmp_path: Path) -> None:
    house = House(tmp_path, retention=Rules(trash_days=1))
    house.broker.start_up()
    items = [house.add() for _ in range(450)]
    for item in items:
        wish(house.ledger, item.item_id, Wish.CANCEL)
    house.workers.slots = 0
    for _ in range(4):
        house.settle()
    for item in items:
        trash(house.ledger, house.clock, item.item_id)
    house.clock.advance(1.1 * DAY)
    house.settle()
    assert sum(house.ledger.counts().values()) == 0


def test_sizes_in_words_and_expectations() -> None:
    assert [in_words(size) for size in (999, 1500, 14 * 10**9, 2 * 10**15)] == ["999 B", "1.5 kB", "14 GB", "2000 TB"]
    assert (expected_bytes("h265", 100), expected_bytes("flac", 100)) == (100, 800)
    assert reserved([(100, 0.25), (100, 2.0), (100, 0.0)]) == 175
