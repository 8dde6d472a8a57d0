"""A backup is of one moment while everybody works on, is checked to the last byte, and becomes a data folder that clients go on with."""

import hashlib
import io
import json
import os
import shutil
import sqlite3
import stat
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from dmc.assemble.backup import Wanted, make_backup, restore_backup, verify_backup
from dmc.assemble.server import Parts, open_ledger, open_parts
from dmc.broker import ledger_json
from dmc.broker.archive import SCHEMA, Manifest, MemberFacts, unpack
from dmc.broker.broker import Broker, BrokerSettings
from dmc.broker.ledger import Put
from dmc.broker.restore import STEPS, read_items
from dmc.broker.verify import verify
from dmc.broker.wishes import acknowledge
from dmc.conversions import MediaType
from dmc.errors import Conflict, Refused, VerificationFailed, WrongStatus
from dmc.items import Item, Status
from dmc.server_settings import ServerSettings
from tests.broker.fakes import Workers, an_item

PLAIN = Wanted({})
FIXTURES = Path(__file__).parent.parent / "fixtures"
ALL = Wanted({}, with_media=True, with_secrets=True)


@pytest.fixture(params=["json", "sqlite"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> ServerSettings:
    return ServerSettings(data_folder=tmp_path / "data", ledger=request.param)


def admit(parts: Parts, content: bytes) -> Item:
    item_id, folder = parts.admissions.begin()
    (folder / "original.mov").write_bytes(content)
    facts = {"sha512": hashlib.sha512(content).hexdigest(), "file_size": len(content), "media_type": MediaType.VIDEO}
    told = {"client_id": "laptop", "label": "a.mov", "conversion_type": "h265", "options": {}, "idempotency_key": None}
    return parts.admissions.admit(item_id, file_name="original.mov", **facts, **told)


@contextmanager
def at_work(settings: ServerSettings) -> Iterator[tuple[Parts, Broker, Workers]]:
    """A broker at work on the data folder, with workers that end when a test says so."""
    with open_parts(settings, recover=True) as parts:
        workers = Workers(parts.disk)
        broker = Broker(parts.ledger, parts.storage, workers, parts.clock, parts.control, parts.threads, BrokerSettings(disk_floor=0))
        broker.start_up()
        yield parts, broker, workers
        broker.stop()


def fill(parts: Parts, broker: Broker, workers: Workers) -> list[Item]:
    """One finished and acknowledged, one finished and not yet fetched, one in progress, one to do; in this order."""
    items = [admit(parts, f"original {number}".encode()) for number in range(4)]
    broker.step()
    for item in items[:2]:
        finish(broker, workers, item.item_id)
    result = parts.ledger.get(items[0].item_id).result
    acknowledge(parts.ledger, parts.clock, items[0].item_id, result.sha512_checksum)
    workers.slots = 1
    broker.step()
    return [parts.ledger.get(item.item_id) for item in items]


def finish(broker: Broker, workers: Workers, item_id: str) -> None:
    result = b"result of " + item_id.encode()
    workers.convert(item_id, result)
    told = workers.said[-1]
    facts = told.result.model_copy(update={"sha512_checksum": hashlib.sha512(result).hexdigest()})
    workers.said[-1] = told.model_copy(update={"result": facts})
    workers.slots = 0
    broker.step()
    workers.slots = 2


def test_a_backup_with_media_becomes_a_data_folder_that_goes_on(settings: ServerSettings, tmp_path: Path) -> None:
    with at_work(settings) as (parts, broker, workers):
        done, unfetched, running, waiting = fill(parts, broker, workers)
        assert [item.status for item in (done, unfetched)] == [Status.FINISHED_SUCCESSFUL] * 2
        assert (running.status, waiting.status) == (Status.IN_PROGRESS, Status.TO_DO)
        manifest = make_backup(settings, tmp_path / "b.tar.gz", ALL)
        told_seq = parts.ledger.seq
    assert (manifest.items, len(manifest.media)) == (4, 4)
    assert stat.S_IMODE((tmp_path / "b.tar.gz").stat().st_mode) == 0o600
    found, _, findings = verify_backup(settings, tmp_path / "b.tar.gz")
    assert (found, findings) == (manifest, [])

    again = settings.model_copy(update={"data_folder": tmp_path / "new"})
    restore_backup(again, tmp_path / "b.tar.gz", dry_run=True)
    assert not (tmp_path / "new").exists()
    _, restored = restore_backup(again, tmp_path / "b.tar.gz", dry_run=False)
    assert restored.left_out == ()
    with at_work(again) as (parts, broker, workers):
        assert verify(parts.ledger, parts.storage, digests=True).findings == ()
        assert parts.ledger.get(unfetched.item_id).result == unfetched.result
        broker.step()
        assert sorted(workers.jobs) == sorted([running.item_id, waiting.item_id]), "what ran is converted anew"
        for item_id in list(workers.jobs):
            finish(broker, workers, item_id)
        assert parts.ledger.counts()[Status.FINISHED_SUCCESSFUL] == 4
        assert parts.ledger.get(done.item_id).version > 1_000_000, "no answer of before is taken for one of now"
    with open_parts(settings, recover=False) as parts:
        assert manifest.ledger_seq <= told_seq, "clients that saw more hear of an older number, and look at everything again"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".dmc-")] == []


def test_without_media_what_is_awaited_is_left_out_and_the_rest_is_remembered(settings: ServerSettings, tmp_path: Path) -> None:
    with at_work(settings) as (parts, broker, workers):
        done, *awaited = fill(parts, broker, workers)
        seq = parts.ledger.seq
        make_backup(settings, tmp_path / "b.tar.gz", PLAIN)
    assert verify_backup(settings, tmp_path / "b.tar.gz")[2] == []
    again = settings.model_copy(update={"data_folder": tmp_path / "new"})
    _, restored = restore_backup(again, tmp_path / "b.tar.gz", dry_run=False)
    assert sorted(restored.left_out) == sorted(item.item_id for item in awaited)
    with at_work(again) as (parts, broker, _):
        [kept] = parts.ledger.select()
        assert (kept.item_id, kept.gone, kept.result) == (done.item_id, "files", done.result)
        assert verify(parts.ledger, parts.storage, digests=True).findings == ()
        broker.step()
        assert not broker.step()
    with open_parts(again, recover=False) as parts:
        assert parts.ledger.seq <= seq


def test_the_records_are_those_of_one_moment(settings: ServerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two records that are read, somebody changes both the one that was read and the one that will be."""
    with at_work(settings) as (parts, _, _):
        first, second = admit(parts, b"one"), admit(parts, b"two")
        with parts.ledger.moment() as (seq, items):
            read = [next(items)]
            for item in (first, second):
                parts.ledger.change([Put(item.changed(priority=9), item.version)])
            read += items
        assert (read, seq) == ([first, second], parts.ledger.seq - 2)


def test_an_item_that_vanishes_meanwhile_is_not_among_the_media(settings: ServerSettings, tmp_path: Path) -> None:
    with at_work(settings) as (parts, broker, workers):
        done, unfetched, _, _ = fill(parts, broker, workers)
        shutil.rmtree(parts.storage.folder(unfetched.item_id) / "out")
        shutil.rmtree(parts.storage.folder(done.item_id))
        manifest = make_backup(settings, tmp_path / "b.tar.gz", ALL)
    assert not {done.item_id, unfetched.item_id} & set(manifest.media)
    assert len(manifest.media) == 2
    assert verify_backup(settings, tmp_path / "b.tar.gz")[2] == []


def test_secrets_are_in_it_only_when_asked_for(settings: ServerSettings, tmp_path: Path) -> None:
    (tmp_path / "server.toml").write_text("# mine\n")
    with at_work(settings) as (parts, _, _):
        parts.tokens.create("laptop")
        (settings.data_folder / "instance.json").write_text('{"schema": 1, "instance": "abc"}')
        plain = make_backup(settings, tmp_path / "plain.tar.gz", Wanted({"server": tmp_path / "server.toml"}))
        with_secrets = make_backup(settings, tmp_path / "secrets.tar.gz", ALL)
    assert "data/tokens.json" not in plain.members
    assert "data/tokens.json" in with_secrets.members
    again = settings.model_copy(update={"data_folder": tmp_path / "new"})
    restore_backup(again, tmp_path / "plain.tar.gz", dry_run=False)
    assert json.loads((tmp_path / "new/instance.json").read_text())["instance"] == "abc", "clients know the server by it"
    assert (tmp_path / "new/restored-settings/server.toml").read_text() == "# mine\n"
    assert not (tmp_path / "new/tokens.json").exists()


def test_nothing_is_ever_replaced(settings: ServerSettings, tmp_path: Path) -> None:
    with at_work(settings) as (parts, _, _):
        admit(parts, b"one")
        make_backup(settings, tmp_path / "b.tar.gz", PLAIN)
        before = (tmp_path / "b.tar.gz").read_bytes()
        with pytest.raises(Conflict, match="is there already"):
            make_backup(settings, tmp_path / "b.tar.gz", PLAIN)
    assert (tmp_path / "b.tar.gz").read_bytes() == before
    with pytest.raises(WrongStatus, match="not empty"):
        restore_backup(settings, tmp_path / "b.tar.gz", dry_run=False)


def test_a_damaged_or_shortened_backup_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    settings = ServerSettings(data_folder=tmp_path / "data")
    with at_work(settings) as (parts, broker, workers):
        fill(parts, broker, workers)
        make_backup(settings, tmp_path / "b.tar.gz", ALL)
    whole = (tmp_path / "b.tar.gz").read_bytes()
    (tmp_path / "bad").mkdir()
    for number in range(0, len(whole), 397):
        flipped = whole[:number] + bytes([whole[number] ^ 0x55]) + whole[number + 1 :]
        for content in (whole[:number], *([flipped] if number > 10 else ())):
            (tmp_path / "bad.tar.gz").write_bytes(content)
            shutil.rmtree(tmp_path / "bad")
            (tmp_path / "bad").mkdir()
            with pytest.raises((Refused, VerificationFailed)):
                unpack(tmp_path / "bad.tar.gz", tmp_path / "bad")
    with pytest.raises((Refused, VerificationFailed)):
        restore_backup(settings.model_copy(update={"data_folder": tmp_path / "new"}), tmp_path / "bad.tar.gz", dry_run=False)
    assert sorted(os.listdir(tmp_path)) == ["b.tar.gz", "bad", "bad.tar.gz", "data"]


def crafted(path: Path, members: dict[str, bytes | tarfile.TarInfo], **manifest: object) -> None:
    """A backup as somebody else may make it, its manifest in order."""
    facts = {
        name: MemberFacts(file_size=len(content), sha256=hashlib.sha256(content).hexdigest())
        for name, content in members.items()
        if isinstance(content, bytes)
    }
    values = {
        "schema": SCHEMA, "dmc_version": "1", "made_at": "2026-01-01T00:00:00Z", "ledger": "json", "ledger_seq": 5, "items": 0,
        "with_secrets": False, "with_media": False, "members": facts,
    }  # fmt: skip
    text = Manifest.model_validate(values | manifest).model_dump_json(by_alias=True).encode()
    with tarfile.open(path, "w:gz") as tar:
        for name, content in (members | {"manifest.json": text}).items():
            if isinstance(content, bytes):
                head = tarfile.TarInfo(name)
                head.size = len(content)
                tar.addfile(head, io.BytesIO(content))
            else:
                tar.addfile(content)


ID = "0197e000-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/passwd",
        f"media/{ID}/../../../evil",
        f"media/{ID}/out/../../x",
        "data/other.json",
        f"media/{ID}//x",
        "media/x/y",
        "data/tls/..",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    crafted(tmp_path / "b.tar.gz", {"ledger/items.jsonl": b"", name: b"evil"})
    (tmp_path / "into").mkdir()
    with pytest.raises(Refused, match="no place in a backup"):
        unpack(tmp_path / "b.tar.gz", tmp_path / "into")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_member_that_is_no_plain_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    link = tarfile.TarInfo(f"media/{ID}/out")
    link.type, link.linkname = kind, "/tmp"
    crafted(tmp_path / "b.tar.gz", {"ledger/items.jsonl": b"", "link": link})
    (tmp_path / "into").mkdir()
    with pytest.raises(Refused, match="no place in a backup"):
        unpack(tmp_path / "b.tar.gz", tmp_path / "into")


def test_a_backup_of_a_newer_dmc_is_refused_with_a_sentence(tmp_path: Path) -> None:
    crafted(tmp_path / "b.tar.gz", {"ledger/items.jsonl": b""}, schema=SCHEMA + 1)
    with pytest.raises(Refused, match=r"made by a newer dmc.*Update dmc"):
        restore_backup(ServerSettings(data_folder=tmp_path / "new"), tmp_path / "b.tar.gz", dry_run=False)


def test_every_older_schema_of_records_has_its_step() -> None:
    """Records, which are what a backup holds, have had one schema so far, in both kinds of ledger; the tables of the SQLite ledger two."""
    assert ledger_json.SCHEMA == SCHEMA
    assert set(STEPS) == set(range(1, SCHEMA))


@pytest.mark.parametrize("fixture", ["index-json-1", "index-sqlite-1.sql", "index-sqlite-2.sql"])
@pytest.mark.parametrize("into", ["json", "sqlite"])
def test_every_ledger_that_an_older_dmc_wrote_goes_through_backup_and_restore(tmp_path: Path, fixture: str, into: str) -> None:
    old = ServerSettings(data_folder=tmp_path / "old", ledger="sqlite" if "sqlite" in fixture else "json")
    if fixture.endswith(".sql"):
        old.data_folder.mkdir()
        with closing(sqlite3.connect(old.data_folder / "index.sqlite")) as made:
            made.executescript((FIXTURES / fixture).read_text())
    else:
        shutil.copytree(FIXTURES / fixture, old.data_folder)
    make_backup(old, tmp_path / "b.tar.gz", Wanted({}))
    new = ServerSettings(data_folder=tmp_path / "new", ledger=into)
    _, restored = restore_backup(new, tmp_path / "b.tar.gz", dry_run=False)
    with closing(open_ledger(new, recover=False)) as ledger:
        [item] = ledger.select()
        assert ledger.verify().findings == ()
    assert (item.status, item.errors[0].code, item.gone) == (Status.FINISHED_WITH_ERRORS, "NotMedia", "files")
    assert len(restored.left_out) == 2, "what was to do has no files here: its clients send it again"


def test_an_older_backup_comes_step_by_step_to_the_schema_of_today(tmp_path: Path) -> None:
    """So far there is one schema of records; how steps are taken is proven with two that might have been before."""
    record = json.loads(an_item(ID).model_dump_json(exclude_none=True))
    oldest = {("kind" if key == "conversion_type" else key): value for key, value in record.items() if key != "client_id"}
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger/items.jsonl").write_text(json.dumps(oldest) + "\n")
    crafted(tmp_path / "b.tar.gz", {})
    manifest = unpack(tmp_path / "b.tar.gz", tmp_path)
    steps = {
        1: lambda old: {("conversion_type" if key == "kind" else key): value for key, value in old.items()},
        2: lambda old: old | {"client_id": "laptop"},
    }
    assert list(read_items(tmp_path, manifest, steps, 3)) == [an_item(ID)]
    with pytest.raises(VerificationFailed, match="record 1"):
        list(read_items(tmp_path, manifest, {}, 1))


def test_a_backup_may_be_restored_into_the_other_kind_of_ledger(settings: ServerSettings, tmp_path: Path) -> None:
    with at_work(settings) as (parts, broker, workers):
        items = fill(parts, broker, workers)
        make_backup(settings, tmp_path / "b.tar.gz", ALL)
    other = ServerSettings(data_folder=tmp_path / "new", ledger="json" if settings.ledger == "sqlite" else "sqlite")
    restore_backup(other, tmp_path / "b.tar.gz", dry_run=False)
    ledger = open_ledger(other, recover=True)
    assert [item.item_id for item in ledger.select()] == [item.item_id for item in items]
    ledger.close()
