"""A ledger made anew from the folders, and one taken from a file that a person edited."""

import json

import pytest

from dmc.broker.ledger import Ledger, Put
from dmc.broker.ledger_json import LedgerJson
from dmc.broker.ledger_memory import LedgerMemory
from dmc.broker.outcomes import outcome_of
from dmc.broker.rebuild import FIRST_VERSION, held_in, let_go, rebuild
from dmc.broker.storage import Place
from dmc.broker.verify import verify
from dmc.broker.wishes import prioritise, wish
from dmc.errors import Refused, TornLedger
from dmc.files import RealDisk
from dmc.items import ItemIds, Status, Wish
from dmc.jobs import ErrorNote
from dmc.journal import NEVER
from tests.broker.fakes import House, an_item
from tests.contracts.test_ledger import json_folding_always, json_folding_never, sqlite

NOW = "2026-01-05T00:00:00.000000Z"


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path)
    house.broker.start_up()
    yield house
    house.control.release()


def test_tickets_places_and_outcomes_tell_everything_that_matters(house):
    done, failed, waiting = house.add(), house.add(), house.add()
    house.settle()
    house.workers.convert(done.item_id)
    house.workers.end(failed.item_id, "failed", errors=(ErrorNote(code="NotMedia", message="no."),))
    house.workers.slots = 0
    house.settle()
    rebuilt = rebuild(house.storage, NOW)
    assert rebuilt.unknown == ()
    known = {item.item_id: item for item in rebuilt.items}
    for item_id in (done.item_id, failed.item_id):
        told = house.ledger.get(item_id)
        assert known[item_id] == told.model_copy(update={"version": FIRST_VERSION})
    assert (known[waiting.item_id].status, known[waiting.item_id].attempt) == (Status.TO_DO, 1)
    assert [item.held_since for item in rebuilt.items] == [None, None, NOW]
    assert rebuilt.held == 1


def rebuilt_house(house: House, ledger: Ledger) -> House:
    """The same folders with a ledger that was made anew from them, and a broker that has started on it."""
    house.control.release()
    house.ledger = house.admissions._ledger = ledger
    house.workers.jobs.clear()
    house.broker = house.new_broker()
    house.broker.start_up()
    return house


@pytest.mark.parametrize("variant", [sqlite, json_folding_never, json_folding_always], ids=lambda variant: variant.__name__)
def test_what_was_alive_waits_for_an_operator_and_new_items_do_not(house, variant, tmp_path):
    begun, waiting = house.add(), house.add()
    house.settle()
    folder = tmp_path / "ledger"
    folder.mkdir()
    records = rebuild(house.storage, NOW).items
    ledger = variant(folder)
    if variant is sqlite:
        ledger.write_anew(records)
    else:
        LedgerJson.write_anew(folder, RealDisk(), records)
    rebuilt_house(house, ledger).settle()
    assert house.workers.jobs == {}
    fresh = house.add()
    house.settle()
    assert set(house.workers.jobs) == {fresh.item_id}
    wish(ledger, waiting.item_id, Wish.CANCEL)
    house.settle()
    ended = ledger.get(waiting.item_id)
    assert (ended.errors[-1].code, ended.held_since) == ("cancelled", None)
    assert [item.item_id for item in let_go(ledger)] == [begun.item_id]
    house.settle()
    assert set(house.workers.jobs) == {fresh.item_id, begun.item_id}
    assert (held_in(ledger), let_go(ledger)) == ([], [])
    ledger.close()


def test_adopting_asks_anew_when_somebody_was_faster(tmp_path):
    class FasterElsewhere(LedgerMemory):
        hurried = False

        def change(self, ops, guard=None):
            if not self.hurried:
                self.hurried = True
                prioritise(self, ops[0].item_id, 7)
            return super().change(ops, guard)

    ledger, item = LedgerMemory(), an_item(held_since=NOW)
    ledger.change([Put(item, 0)])
    ledger.__class__ = FasterElsewhere
    [adopted] = let_go(ledger)
    assert (adopted.priority, adopted.held_since, adopted.version) == (7, None, 3)


def test_an_upload_without_a_ticket_is_no_item(house):
    house.admissions.begin()
    assert rebuild(house.storage, NOW).items == ()


def test_a_folder_that_says_nothing_about_itself_is_named(house):
    item = house.add()
    house.storage.advance(item.item_id, Place.TO_DO)
    house.disk.write(house.storage.folder(item.item_id) / "ticket.json", b"{}")
    assert [found.item_id for found in rebuild(house.storage, NOW).unknown] == [item.item_id]


def test_a_finished_folder_without_an_outcome_is_converted_again(house):
    item = house.add()
    house.storage.advance(item.item_id, Place.FINISHED)
    assert [(one.status, one.attempt) for one in rebuild(house.storage, NOW).items] == [(Status.TO_DO, 2)]


def test_a_ledger_that_cannot_be_read_is_written_anew_and_the_broker_goes_on(house, tmp_path):
    folder = tmp_path / "ledger"
    folder.mkdir()
    ledger = LedgerJson.open(folder, RealDisk())
    item = an_item(ItemIds().next())
    ledger.change([Put(item, 0)])
    for name in ("index.json", "index.json.prev", "index.journal", "index.journal.prev"):
        (folder / name).write_bytes(b"rubbish")
    with pytest.raises(TornLedger):
        LedgerJson.open(folder, RealDisk())
    LedgerJson.write_anew(folder, RealDisk(), [item.model_copy(update={"version": FIRST_VERSION})])
    again = LedgerJson.open(folder, RealDisk())
    assert (again.get(item.item_id).version, again.verify().findings) == (FIRST_VERSION, ())
    assert len(list(folder.glob("index.json.odd.*"))) == 2


def test_the_sequence_goes_on_above_what_the_old_journal_told(tmp_path):
    ledger = LedgerJson.open(tmp_path, RealDisk(), folding=NEVER)
    for _ in range(5):
        ledger.change([Put(an_item(ItemIds(ledger.newest_id()).next()), 0)])
    (tmp_path / "index.json").write_bytes(b"rubbish")
    assert LedgerJson.write_anew(tmp_path, RealDisk(), []) == 6
    assert LedgerJson.open(tmp_path, RealDisk()).seq == 6


def test_an_index_edited_by_a_person_is_read_with_care(tmp_path):
    item = an_item(ItemIds().next())
    record = item.model_dump(mode="json", exclude_none=True)
    good = {"schema": 1, "to_do": {item.item_id: record}}
    assert LedgerJson.read_odd(json.dumps(good).encode()) == [item]
    for bad in (
        {"schema": 1, "finished_successful": {item.item_id: record}},
        {"schema": 1, "to_do": {item.item_id: {**record, "file_size": "big"}}},
        {"schema": 1, "to_do": {item.item_id: {"version": 1}}},
        {"to_do": {}},
        [],
    ):
        with pytest.raises(Refused):
            LedgerJson.read_odd(json.dumps(bad).encode())


def test_verify_tells_what_does_not_fit(house):
    done, other = house.add(), house.add()
    house.settle()
    house.workers.convert(done.item_id)
    house.settle()
    assert verify(house.ledger, house.storage, digests=False).findings == ()
    house.disk.write(house.storage.folder(done.item_id) / "out" / "result.mkv", b"short")
    house.disk.unlink(house.storage.folder(other.item_id) / "original.mov")
    stranger, _ = house.admissions.begin()
    house.storage.advance(stranger, Place.FINISHED)
    findings = {(finding.kind, finding.item_id) for finding in verify(house.ledger, house.storage, digests=False).findings}
    assert findings == {("changed", done.item_id), ("missing", other.item_id), ("no-record", stranger)}
    assert outcome_of(house.ledger.get(done.item_id))["attempt"] == 1
