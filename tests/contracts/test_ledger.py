"""The law of the ledger (dmc/broker/ledger.py), each line a test, on every variant."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dmc.broker.ledger import Delete, Ledger, Put
from dmc.broker.ledger_json import LedgerJson
from dmc.broker.ledger_memory import LedgerMemory
from dmc.broker.ledger_sqlite import LedgerSqlite
from dmc.errors import Conflict, WrongStatus
from dmc.files import RealDisk
from dmc.items import ItemIds, Status, Wish
from dmc.journal import NEVER, Folding
from tests.broker.fakes import an_item
from tests.patience import PATIENCE_S

IDS = ItemIds()


def json_folding_never(folder: Path) -> Ledger:
    return LedgerJson.open(folder, RealDisk(), folding=NEVER)


def json_folding_always(folder: Path) -> Ledger:
    return LedgerJson.open(folder, RealDisk(), folding=Folding(eager_s=float("inf")))


def in_memory(folder: Path) -> Ledger:
    return LedgerMemory()


def sqlite(folder: Path) -> Ledger:
    return LedgerSqlite.open(folder)


DURABLE = [json_folding_never, json_folding_always, sqlite]


@pytest.fixture(params=[*DURABLE, in_memory], ids=lambda variant: variant.__name__)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    opened = request.param(tmp_path)
    yield opened
    opened.close()


@pytest.fixture(params=DURABLE, ids=lambda variant: variant.__name__)
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Ledger]:
    """Opens the same ledger once more, as another process would."""
    return lambda: request.param(tmp_path)


def put(ledger: Ledger, **fields):
    item = an_item(IDS.next(), **fields)
    ledger.change([Put(item, 0)])
    return item


def test_a_change_is_there_when_the_call_returns(ledger):
    item = put(ledger)
    assert ledger.get(item.item_id) == item
    begun = item.changed(status=Status.IN_PROGRESS)
    ledger.change([Put(begun, 1)])
    assert ledger.get(item.item_id) == begun


def test_a_change_is_there_for_whoever_opens_the_ledger_next(reopen):
    first = reopen()
    item = put(first)
    assert reopen().get(item.item_id) == item
    assert first.get(item.item_id) == item


def test_a_stale_version_is_refused_and_with_it_the_whole_change(ledger):
    item, other = put(ledger), an_item(IDS.next())
    ledger.change([Put(item.changed(priority=1), 1)])
    seq = ledger.seq
    with pytest.raises(Conflict):
        ledger.change([Put(other, 0), Put(item.changed(priority=2), 1)])
    assert (ledger.get(other.item_id), ledger.get(item.item_id).priority, ledger.seq) == (None, 1, seq)


def test_a_record_cannot_be_made_twice_nor_changed_before_it_is_made(ledger):
    item = put(ledger)
    with pytest.raises(Conflict):
        ledger.change([Put(item, 0)])
    with pytest.raises(Conflict):
        ledger.change([Put(an_item(IDS.next(), version=4), 3)])


def test_only_allowed_transitions_are_taken(ledger):
    item = put(ledger)
    with pytest.raises(WrongStatus):
        ledger.change([Put(item.model_copy(update={"version": 2, "status": Status.FINISHED_SUCCESSFUL}), 1)])
    with pytest.raises(WrongStatus):
        ledger.change([Delete(item.item_id, 1)])
    with pytest.raises(WrongStatus):
        ledger.change([Put(an_item(IDS.next(), status=Status.IN_PROGRESS), 0)])
    assert ledger.get(item.item_id) == item


def test_a_version_that_skips_one_is_a_mistake_of_the_caller(ledger):
    item = put(ledger)
    with pytest.raises(ValueError, match="version"):
        ledger.change([Put(item.model_copy(update={"version": 3}), 1)])


def test_a_guard_can_refuse_a_change(ledger):
    def refuse():
        raise Conflict("not now")

    item = an_item(IDS.next())
    with pytest.raises(Conflict, match="not now"):
        ledger.change([Put(item, 0)], refuse)
    assert ledger.get(item.item_id) is None


def test_pages_follow_each_other_without_gaps_or_twins(ledger):
    items = [put(ledger, client_id=f"client-{number % 3}") for number in range(25)]
    ledger.change([Put(item.changed(status=Status.IN_PROGRESS), 1) for item in items[::2]])
    for status, client_id in ((None, None), (Status.TO_DO, None), (None, "client-1"), (Status.IN_PROGRESS, "client-2")):
        fitting = [i.item_id for n, i in enumerate(items) if client_id in (None, i.client_id) and status in (None, *_status(n))]
        seen, after = [], ""
        while page := ledger.select(status, client_id, after, limit=4):
            assert len(page) <= 4
            seen += [item.item_id for item in page]
            after = seen[-1]
        assert seen == fitting


def _status(number: int) -> tuple[Status]:
    return (Status.TO_DO if number % 2 else Status.IN_PROGRESS,)


def test_a_client_is_not_found_by_text_in_another_field(ledger):
    put(ledger, client_id="desk", options={"client_id": "laptop"})
    assert ledger.select(client_id="laptop") == []


def test_counts_name_every_status(ledger):
    item = put(ledger)
    put(ledger)
    ledger.change([Put(item.changed(status=Status.IN_PROGRESS), 1)])
    assert ledger.counts() == {
        Status.TO_DO: 1,
        Status.IN_PROGRESS: 1,
        Status.FINISHED_SUCCESSFUL: 0,
        Status.FINISHED_WITH_ERRORS: 0,
    }


def test_items_are_found_by_the_start_of_their_id(ledger):
    item = put(ledger)
    put(ledger)
    assert ledger.find(item.item_id[:30]) == [item.item_id] or len(ledger.find(item.item_id[:30])) == 2
    assert ledger.find(item.item_id) == [item.item_id]
    assert ledger.find("ffff") == []


def test_the_newest_id_is_known(ledger):
    assert ledger.newest_id() is None
    put(ledger)
    last = put(ledger)
    assert ledger.newest_id() == last.item_id


def test_items_are_found_by_idempotency_key_per_client(ledger):
    item = put(ledger, idempotency_key="k1")
    put(ledger, idempotency_key="k1", client_id="desk")
    assert ledger.with_key("laptop", "k1") == item
    assert ledger.with_key("laptop", "k2") is None
    later = put(ledger, idempotency_key="k2")
    assert ledger.with_key("laptop", "k2") == later


def test_items_are_found_by_their_content_the_newest_first(ledger):
    digest = "0123456789abcdef" * 8
    first = put(ledger, sha512_checksum=digest)
    put(ledger, sha512_checksum=digest[:64] + "0" * 64)
    assert list(ledger.with_content(digest, Status.TO_DO)) == [first]
    second = put(ledger, sha512_checksum=digest, client_id="desk", options={"sha512_checksum": "0" * 128})
    assert list(ledger.with_content(digest, Status.TO_DO)) == [second, first]
    ended = first.changed(status=Status.FINISHED_WITH_ERRORS)
    ledger.change([Put(ended, 1)])
    assert list(ledger.with_content(digest, Status.TO_DO)) == [second]
    assert list(ledger.with_content(digest, Status.FINISHED_WITH_ERRORS)) == [ended]
    ledger.change([Delete(first.item_id, 2)])
    assert list(ledger.with_content(digest, Status.FINISHED_WITH_ERRORS)) == []
    assert list(ledger.with_content("f" * 128, Status.TO_DO)) == []


def test_many_items_of_one_content_are_told_page_by_page(ledger):
    digest = "0123456789abcdef" * 8
    items = [an_item(IDS.next(), sha512_checksum=digest) for _ in range(130)]
    ledger.change([Put(item, 0) for item in items])
    assert list(ledger.with_content(digest, Status.TO_DO)) == items[::-1]
    told = ledger.with_content(digest, Status.TO_DO)
    assert next(told) == items[-1]
    ledger.change([Put(items[-2].changed(status=Status.IN_PROGRESS), 1)])
    assert items[-3] in list(told)


def test_wishes_and_old_acknowledgements_are_found(ledger):
    plain, cancelled, finished = put(ledger), put(ledger), put(ledger)
    ledger.change([Put(cancelled.wishing(Wish.CANCEL), 1)])
    ended = finished.changed(status=Status.FINISHED_WITH_ERRORS, acknowledged_at="2026-01-02T00:00:00.000000Z")
    ledger.change([Put(ended, 1)])
    assert [item.item_id for item in ledger.wished()] == [cancelled.item_id]
    assert ledger.acknowledged("2026-01-02T00:00:00.000000Z") == []
    assert ledger.acknowledged("2026-01-03T00:00:00.000000Z") == [ended]
    assert plain.item_id not in {item.item_id for item in ledger.wished()}


def test_changes_are_told_in_order(ledger):
    start = ledger.seq
    first, second = put(ledger), put(ledger)
    ledger.change([Put(first.changed(status=Status.FINISHED_WITH_ERRORS), 1), Put(second.changed(priority=3), 1)])
    ledger.change([Delete(first.item_id, 2)])
    changes = ledger.changes_since(start)
    assert [change.item_id for change in changes] == [first.item_id, second.item_id, first.item_id, second.item_id, first.item_id]
    assert [change.seq - start for change in changes] == [1, 2, 3, 3, 4]
    assert changes[-1].item is None
    assert ledger.changes_since(ledger.seq) == []
    assert ledger.changes_since(ledger.seq + 1) is None


def test_changes_of_another_process_are_told_too(reopen):
    first, second = reopen(), reopen()
    seen = second.seq
    items = [put(first) for _ in range(3)]
    first.change([Put(items[0].changed(status=Status.FINISHED_WITH_ERRORS), 1)])
    first.change([Delete(items[0].item_id, 2)])
    assert second.seq == seen + 5
    newest = {change.item_id: change.item for change in second.changes_since(seen)}
    assert newest.pop(items[0].item_id, None) is None
    assert newest == {item.item_id: item for item in items[1:]}


def test_watch_returns_at_a_change_and_at_its_timeout(ledger):
    seq = ledger.seq
    assert ledger.watch(seq, 0.0) == seq
    seen = []
    watcher = threading.Thread(target=lambda: seen.append(ledger.watch(seq, PATIENCE_S)))
    watcher.start()
    put(ledger)
    watcher.join(PATIENCE_S)
    assert seen == [seq + 1]


def test_watch_sees_another_process(reopen):
    first, second = reopen(), reopen()
    seq = first.seq
    seen = []
    watcher = threading.Thread(target=lambda: seen.append(first.watch(seq, PATIENCE_S)))
    watcher.start()
    put(second)
    watcher.join(PATIENCE_S)
    assert seen == [seq + 1]


def test_many_threads_count_without_losing_one(ledger):
    item = put(ledger)

    def add_ten():
        done = 0
        while done < 10:
            now = ledger.get(item.item_id)
            try:
                ledger.change([Put(now.changed(priority=now.priority + 1), now.version)])
                done += 1
            except Conflict:
                continue

    threads = [threading.Thread(target=add_ten) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (ledger.get(item.item_id).priority, ledger.get(item.item_id).version) == (40, 41)


def test_a_checkpoint_changes_nothing_that_can_be_asked(reopen):
    ledger = reopen()
    items = [put(ledger) for _ in range(5)]
    seq = ledger.seq
    ledger.checkpoint()
    assert (ledger.seq, [ledger.get(item.item_id) for item in items]) == (seq, items)
    assert reopen().select() == items


def test_a_sound_ledger_has_no_findings(ledger):
    put(ledger)
    report = ledger.verify()
    assert (report.records, report.findings) == (1, ())


def test_a_moment_stays_what_it_was_whatever_is_changed_meanwhile(ledger):
    first, second = put(ledger), put(ledger)
    with ledger.moment() as (seq, items):
        assert seq == ledger.seq
        told = [next(items)]
        ledger.change([Put(first.changed(priority=1), first.version), Put(second.changed(priority=1), second.version)])
        third = put(ledger)
        assert [*told, *items] == [first, second]
    with ledger.moment() as (seq, items):
        assert (seq, [item.item_id for item in items]) == (ledger.seq, [first.item_id, second.item_id, third.item_id])


def test_what_a_durable_ledger_waits_for_its_lock_is_counted(reopen: Callable[[], Ledger]) -> None:
    ledger = reopen()
    before = ledger.waits.count
    put(ledger)
    assert ledger.waits.count > before
    other = reopen()
    began, entered, leave = other.waits.seconds, threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        assert leave.wait(PATIENCE_S)

    holder = threading.Thread(target=lambda: ledger.change([Put(an_item(IDS.next()), 0)], guard=hold))
    holder.start()
    assert entered.wait(PATIENCE_S)
    counted = other.waits.counted

    @contextlib.contextmanager
    def counted_while_it_is_held() -> Iterator[None]:
        with counted():
            threading.Timer(0.1, leave.set).start()
            yield

    other.waits.counted = counted_while_it_is_held
    put(other)
    holder.join()
    assert other.waits.seconds - began > 0.05, "nearly all of the 0.1 s that the lock was held"
    other.close()
    ledger.close()
