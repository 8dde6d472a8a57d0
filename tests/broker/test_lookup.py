"""Finding items by their content: what it costs, counted, when one file was sent many times."""

import json

import pytest

from dmc.broker import ledger_json, ledger_sqlite
from dmc.broker.ledger import Delete, Put
from dmc.broker.ledger_json import LedgerJson
from dmc.broker.ledger_lookup import Lookup
from dmc.broker.ledger_sqlite import LedgerSqlite
from dmc.files import RealDisk
from dmc.items import ItemIds, Status
from dmc.journal import NEVER
from tests.broker.fakes import SHA512, House, an_item

VARIANTS = {
    "json": lambda folder: LedgerJson.open(folder, RealDisk(), folding=NEVER),
    "sqlite": LedgerSqlite.open,
}


def records_read(monkeypatch, ledger, copies: int, folder) -> int:
    """How many records are read while one file, sent so many times, goes through the broker."""
    house = House(folder, slots=1, ledger=ledger)
    house.broker.start_up()
    for _ in range(copies):
        house.add(sha512=SHA512)
    read = []
    for module, name in ((ledger_json, "item_of"), (ledger_sqlite, "item_of")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda raw, real=real: read.append(1) or real(raw))
    for _ in range(10 * copies):
        house.broker.step()
        for item_id in list(house.workers.jobs):
            house.workers.convert(item_id)
    house.broker.stop()
    monkeypatch.undo()
    assert ledger.counts()[Status.FINISHED_SUCCESSFUL] == copies
    assert len(house.workers.submitted) == 1
    return len(read)


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_file_sent_many_times_costs_each_time_the_same(variant, tmp_path, monkeypatch):
    costs = []
    for copies in (8, 32):
        folder = tmp_path / str(copies)
        folder.mkdir()
        ledger = VARIANTS[variant](folder)
        costs.append(records_read(monkeypatch, ledger, copies, folder))
        ledger.close()
    assert costs[1] < 5 * costs[0], "four times as many must not cost sixteen times as much"


def test_sqlite_looks_only_at_what_is_taken(tmp_path):
    ledger = LedgerSqlite.open(tmp_path)
    ids = ItemIds()
    steps = []
    for _ in range(2):
        ledger.change([Put(an_item(ids.next()), 0) for _ in range(1000)])
        counted = []
        ledger._reader.set_progress_handler(lambda counted=counted: counted.append(1) and None, 1)
        next(ledger.with_content(SHA512, Status.TO_DO))
        assert list(ledger.with_content(SHA512, Status.FINISHED_SUCCESSFUL)) == []
        ledger._reader.set_progress_handler(None, 1)
        steps.append(len(counted))
    ledger.close()
    assert max(steps) < 300


def test_ids_of_what_has_gone_are_forgotten_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr("dmc.broker.ledger_lookup._STALE_AT_LEAST", 20)
    ledger, ids = LedgerJson.open(tmp_path, RealDisk(), folding=NEVER), ItemIds()
    lookup: Lookup[str] = Lookup(ledger._document, lambda entry: [json.loads(entry.raw)["client_id"]])
    for _ in range(100):
        item = an_item(ids.next())
        ended = item.changed(status=Status.FINISHED_WITH_ERRORS)
        ledger.change([Put(item, 0)])
        ledger.change([Put(ended, 1)])
        assert item.item_id in list(lookup.ids("laptop"))
        ledger.change([Delete(item.item_id, 2)])
    assert len(list(lookup.ids("laptop"))) < 30


def test_a_database_of_the_first_schema_is_taken_on(tmp_path):
    ledger, item = LedgerSqlite.open(tmp_path), an_item()
    ledger.change([Put(item, 0)])
    ledger._writer.executescript("DROP INDEX by_content; CREATE INDEX by_digest ON items (digest, id); PRAGMA user_version = 1;")
    ledger.close()
    again = LedgerSqlite.open(tmp_path)
    assert list(again.with_content(SHA512, Status.TO_DO)) == [item]
    names = [row[0] for row in again._reader.execute("SELECT name FROM sqlite_master WHERE name LIKE 'by_%'")]
    assert "by_content" in names
    assert "by_digest" not in names
    again.close()
