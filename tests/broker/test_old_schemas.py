"""Files that older versions wrote stay in tests/fixtures, and every one of them opens; those of a newer version are refused in words."""

import json
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from dmc.assemble.backup import Wanted, make_backup
from dmc.broker.archive import unpack
from dmc.broker.ledger import Ledger, Put
from dmc.broker.ledger_json import LedgerJson
from dmc.broker.ledger_sqlite import LedgerSqlite
from dmc.broker.ledger_sqlite_tables import SCHEMA
from dmc.broker.restore import read_items
from dmc.broker.wishes import wish
from dmc.cli.main import run
from dmc.client.outbox_journal import JournalOutbox
from dmc.client.records import SECTIONS, OutboxStatus
from dmc.errors import Refused
from dmc.files import RealDisk
from dmc.items import Item, ItemIds, Status, Wish
from dmc.journal import Document, Edit, encode_record
from dmc.server_settings import ServerSettings
from tests.broker.fakes import an_item

FIXTURES = Path(__file__).parent.parent / "fixtures"


def check(ledger: Ledger) -> None:
    """All that the old ledger held, and it goes on."""
    assert {status: count for status, count in ledger.counts().items() if count} == {Status.TO_DO: 2, Status.FINISHED_WITH_ERRORS: 1}
    assert ledger.seq == 5
    first, second, _ = ledger.select()
    assert (second.version, second.errors[0].code) == (3, "NotMedia")
    assert [item.item_id for item in ledger.with_content("2" * 128, Status.FINISHED_WITH_ERRORS)] == [second.item_id]
    ledger.change([Put(first.changed(priority=1), first.version)])
    assert ledger.verify().findings == ()
    ledger.close()


def test_every_schema_of_the_sqlite_ledger_has_a_fixture() -> None:
    assert {path.stem for path in FIXTURES.glob("index-sqlite-*.sql")} == {f"index-sqlite-{schema}" for schema in range(1, SCHEMA + 1)}


@pytest.mark.parametrize("schema", range(1, SCHEMA + 1))
def test_a_sqlite_ledger_of_an_older_schema_opens_as_one_of_today(tmp_path: Path, schema: int) -> None:
    made = sqlite3.connect(tmp_path / "index.sqlite")
    made.executescript((FIXTURES / f"index-sqlite-{schema}.sql").read_text())
    assert made.execute("PRAGMA user_version").fetchone() == (schema,)
    made.close()
    check(LedgerSqlite.open(tmp_path))
    again = sqlite3.connect(tmp_path / "index.sqlite")
    assert again.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
    indexes = {row[0] for row in again.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    assert "by_content" in indexes and "by_digest" not in indexes
    again.close()


def test_a_sqlite_ledger_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    made = sqlite3.connect(tmp_path / "index.sqlite")
    made.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    made.close()
    with pytest.raises(Refused, match="newer dmc"):
        LedgerSqlite.open(tmp_path)


def test_a_json_ledger_of_schema_1_opens(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "index-json-1", tmp_path / "data")
    check(LedgerJson.open(tmp_path / "data", RealDisk()))


def test_an_outbox_of_schema_1_opens(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "outbox-1", tmp_path / "state")
    outbox = JournalOutbox.open(tmp_path / "state/outbox.json", RealDisk())
    counts = outbox.counts()
    assert (counts[OutboxStatus.WAITING], counts[OutboxStatus.TO_DO], sum(counts.values())) == (1, 1, 2)
    [record_id] = outbox.ids(OutboxStatus.WAITING)
    assert outbox.get(record_id).label == "féte 2.mov"
    outbox.close()


def test_an_older_dmc_reads_an_outbox_in_which_a_newer_field_is_not_set_any_more(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "outbox-1", tmp_path / "state")
    outbox = JournalOutbox.open(tmp_path / "state/outbox.json", RealDisk())
    [record_id] = outbox.ids(OutboxStatus.TO_DO)
    old = outbox.get(record_id)
    assert (old.missing_since, old.missing_again) == (None, None)
    outbox.put([old.changed(status=OutboxStatus.ACKNOWLEDGED, missing_since="2026-02-01T00:00:00.000000Z")])
    assert outbox.get(record_id).missing_since == "2026-02-01T00:00:00.000000Z"
    outbox.put([outbox.get(record_id).changed(missing_since=None)])
    outbox.close()
    assert '"schema":1' in (written := (tmp_path / "state/outbox.json").read_text())
    assert "missing" not in written


def test_an_outbox_record_keeps_a_field_of_a_newer_version_through_every_change(tmp_path: Path) -> None:
    document = Document.open(tmp_path / "outbox.json", sections=SECTIONS, disk=RealDisk())
    shutil.copytree(FIXTURES / "outbox-1", tmp_path / "old")
    old = JournalOutbox.open(tmp_path / "old/outbox.json", RealDisk())
    record = old.get(old.ids(OutboxStatus.WAITING)[0])
    old.close()
    fields = record.model_dump(mode="json", exclude_defaults=True) | {"version": 1, "of_tomorrow": True}
    document.commit([Edit(record.id, 0, OutboxStatus.WAITING, encode_record(fields))])
    document.close()
    for change in ({"status": OutboxStatus.UPLOADING}, {"attempts": 1}):
        outbox = JournalOutbox.open(tmp_path / "outbox.json", RealDisk())
        outbox.put([outbox.get(record.id).changed(**change)])
        outbox.close()
    fields = json.loads((tmp_path / "outbox.json").read_text())[OutboxStatus.UPLOADING.value][record.id]
    assert (fields["of_tomorrow"], fields["attempts"], fields["version"]) == (True, 1, 3)
    with pytest.raises(TypeError, match="atempts"):
        record.changed(atempts=1)


def of_tomorrow(tmp_path: Path, kind: str, **fields) -> Item:
    """A ledger that a newer version of the same schema wrote: two items to do, one with more in it."""
    item = Item.model_validate(an_item(ItemIds().next()).model_dump() | fields)
    with closing(OPEN[kind](tmp_path)) as ledger:
        ledger.change([Put(an_item(ItemIds().next()), 0), Put(item, 0)])
    return item


OPEN = {"json": lambda folder: LedgerJson.open(folder, RealDisk()), "sqlite": LedgerSqlite.open}


@pytest.mark.parametrize("kind", OPEN)
def test_a_ledger_keeps_optional_fields_of_a_newer_version_through_every_change_and_a_backup(tmp_path: Path, kind: str) -> None:
    (tmp_path / "data").mkdir()
    item = of_tomorrow(tmp_path / "data", kind, shelf="upper", sorted_at="2030-01-01T00:00:00Z")
    with closing(OPEN[kind](tmp_path / "data")) as ledger:
        assert ledger.verify().findings == ()
        wish(ledger, item.item_id, Wish.CANCEL)
    with closing(OPEN[kind](tmp_path / "data")) as ledger:
        kept = ledger.get(item.item_id)
        assert (kept.version, kept.wish, kept.model_extra) == (2, Wish.CANCEL, {"shelf": "upper", "sorted_at": "2030-01-01T00:00:00Z"})
        assert len(ledger.select()) == 2
    settings = ServerSettings(data_folder=tmp_path / "data", ledger=kind)
    make_backup(settings, tmp_path / "b.tar.gz", Wanted({}))
    with tempfile.TemporaryDirectory() as folder:
        manifest = unpack(tmp_path / "b.tar.gz", Path(folder))
        assert [one.model_extra for one in read_items(Path(folder), manifest) if one.item_id == item.item_id] == [kept.model_extra]


@pytest.mark.parametrize("kind", OPEN)
def test_a_ledger_that_only_a_newer_version_understands_is_refused_in_words(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DMC_HOME", str(tmp_path))
    (tmp_path / "server").mkdir()
    (tmp_path / "server.toml").write_text(f'ledger = "{kind}"\n')
    monkeypatch.setattr(f"dmc.broker.ledger_{kind}.SCHEMA", SCHEMA + 1)
    of_tomorrow(tmp_path / "server", kind)
    monkeypatch.undo()
    monkeypatch.setenv("DMC_HOME", str(tmp_path))
    before = {path.name: path.read_bytes() for path in (tmp_path / "server").iterdir() if not path.name.endswith(("-shm", "-wal"))}
    for command in (["broker", "list"], ["broker", "verify"], ["server", "run"]):
        assert run(command) == 1
        said = capsys.readouterr().err
        assert f"was written by a newer dmc (schema {SCHEMA + 1}" in said and "Update dmc." in said and "Traceback" not in said
    for name, content in before.items():
        assert (tmp_path / "server" / name).read_bytes() == content, f"{name} is left as it is"


def test_a_record_that_cannot_be_understood_ends_a_command_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DMC_HOME", str(tmp_path))
    (tmp_path / "server").mkdir()
    (tmp_path / "server.toml").write_text('ledger = "sqlite"\n')
    item = of_tomorrow(tmp_path / "server", "sqlite")
    with closing(sqlite3.connect(tmp_path / "server/index.sqlite")) as base, base:
        base.execute("UPDATE items SET record = replace(record, '\"to_do\"', '\"to_polish\"') WHERE id = ?", (item.item_id,))
    assert run(["broker", "list"]) == 70
    said = capsys.readouterr().err
    assert "a record of the ledger cannot be read: status" in said and "newer dmc" in said and "Traceback" not in said
