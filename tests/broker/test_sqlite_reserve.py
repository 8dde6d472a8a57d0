"""The ballast of the SQLite ledger: on a full disk what exists can still be changed, and a start goes through."""

import pytest

from dmc.broker.ledger import Put
from dmc.broker.ledger_sqlite import RESERVE_FILE, LedgerSqlite
from dmc.broker.reserve import Reserve
from dmc.errors import DiskFull
from dmc.items import ItemIds
from tests.broker.fakes import an_item


class Ballast(Reserve):
    """Without it the database may grow again."""

    def __init__(self, ledger: LedgerSqlite, reserve: Reserve) -> None:
        super().__init__(reserve._path, reserve._size)
        self._ledger = ledger
        (pages,) = ledger._writer.execute("PRAGMA page_count").fetchone()
        ledger._writer.execute(f"PRAGMA max_page_count = {pages}")

    def drop(self) -> bool:
        self._ledger._writer.execute("PRAGMA max_page_count = 100000")
        return super().drop()


def test_on_a_full_disk_what_exists_may_use_the_reserve(tmp_path):
    ledger, ids = LedgerSqlite.open(tmp_path), ItemIds()
    items = [an_item(ids.next()) for _ in range(3)]
    ledger.change([Put(item, 0) for item in items])
    reserve = tmp_path / RESERVE_FILE
    assert reserve.stat().st_size == 1024 * 1024
    ledger._reserve = Ballast(ledger, ledger._reserve)
    new = [an_item(ids.next(), original_file_name="x" * 50_000)]
    with pytest.raises(DiskFull):
        ledger.change([Put(item, 0) for item in new])
    assert reserve.exists()
    wanted = [item.changed(reason="y" * 50_000) for item in items]
    ledger.change([Put(item, 1) for item in wanted])
    assert ledger.select() == wanted
    assert not reserve.exists()
    ledger.change([Put(wanted[0].changed(priority=1), 2)])
    assert reserve.stat().st_size == 1024 * 1024, "it stands ready again before the next change"
    reserve.unlink()
    ledger.checkpoint()
    assert reserve.stat().st_size == 1024 * 1024
    ledger.close()


def test_on_a_full_disk_the_log_gives_its_room_back(tmp_path):
    ledger, ids = LedgerSqlite.open(tmp_path), ItemIds()
    item, log = an_item(ids.next()), tmp_path / "index.sqlite-wal"
    ledger.change([Put(item, 0)])
    changes, refusals = [], [DiskFull("full.", "Free some space.")]
    apply = ledger._apply

    def refused_once(op):
        changes.append(log.stat().st_size)
        if refusals:
            raise refusals.pop()
        apply(op)

    ledger._apply = refused_once
    ledger.change([Put(an_item(ids.next()), 0)])
    assert changes[0] > 0
    assert changes[1] == 0
    assert len(ledger.select()) == 2
    ledger.close()
