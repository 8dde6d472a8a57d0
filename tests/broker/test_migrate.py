"""From one ledger to the other and back, and starts that must be refused."""

import pytest

from dmc.broker.ledger import Put
from dmc.broker.ledger_json import LedgerJson
from dmc.broker.ledger_memory import LedgerMemory
from dmc.broker.ledger_sqlite import LedgerSqlite
from dmc.broker.migrate import JSON_FILES, SQLITE_FILES, migrate, put_away
from dmc.broker.storage import Place
from dmc.errors import Refused, TornLedger
from dmc.files import RealDisk
from dmc.items import ItemIds, Status
from tests.broker.fakes import House, an_item

IDS = ItemIds()


def filled(folder) -> LedgerJson:
    ledger = LedgerJson.open(folder, RealDisk())
    for number in range(30):
        item = an_item(IDS.next(), idempotency_key=f"k{number}")
        ledger.change([Put(item, 0)])
        if number % 3:
            ledger.change([Put(item.changed(status=Status.FINISHED_WITH_ERRORS), 1)])
    return ledger


def test_every_record_goes_there_and_back(tmp_path):
    ledger = filled(tmp_path)
    items, counts, seq = ledger.select(), ledger.counts(), ledger.seq
    there = LedgerSqlite.open(tmp_path)
    assert migrate(ledger, lambda all_items, after: there.write_anew(all_items, after_seq=after)) == 30
    put_away(tmp_path, RealDisk(), JSON_FILES)
    assert not (tmp_path / "index.json").exists()
    assert (there.select(), there.counts(), there.with_key("laptop", "k7")) == (items, counts, items[7])
    assert (there.seq, there.changes_since(seq)) == (seq + 1, None)
    assert migrate(there, lambda all_items, after: LedgerJson.write_anew(tmp_path, RealDisk(), all_items, after_seq=after)) == 30
    there.close()
    put_away(tmp_path, RealDisk(), SQLITE_FILES)
    assert not (tmp_path / "index.sqlite").exists()
    back = LedgerJson.open(tmp_path, RealDisk())
    assert (back.select(), back.counts(), back.verify().findings) == (items, counts, ())
    assert back.seq > seq + 1


def test_a_newer_database_is_refused(tmp_path):
    ledger = LedgerSqlite.open(tmp_path)
    ledger._writer.execute("PRAGMA user_version = 99")
    ledger.close()
    with pytest.raises(Refused, match="newer dmc"):
        LedgerSqlite.open(tmp_path)


def test_a_damaged_database_is_told(tmp_path):
    (tmp_path / "index.sqlite").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(TornLedger, match="damaged"):
        LedgerSqlite.open(tmp_path)


def test_an_empty_ledger_beside_full_folders_is_not_believed(tmp_path):
    house = House(tmp_path)
    item = house.add()
    house.storage.advance(item.item_id, Place.FINISHED)
    emptied = House(tmp_path, ledger=LedgerMemory())
    emptied.storage = house.storage
    emptied.broker = emptied.new_broker()
    with pytest.raises(TornLedger, match="the ledger is empty"):
        emptied.broker.start_up()
    assert house.storage.place_of(item.item_id) is Place.FINISHED
