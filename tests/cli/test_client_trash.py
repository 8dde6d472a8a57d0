"""`dmc client trash` as a person calls it."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from dmc.assemble.client import open_outbox
from dmc.cli.main import run
from dmc.client.records import OutboxRecord, OutboxStatus, Trashed, encode_path
from dmc.config import load_client
from dmc.items import ItemIds
from tests.cli.test_golden import GOLDEN, misfit, shape


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A watched folder with two originals in its trash, `a.mp4` and `b.mp4`."""
    monkeypatch.setenv("DMC_HOME", str(tmp_path))
    folder = tmp_path / "inbox"
    (folder / ".originals").mkdir(parents=True)
    (tmp_path / "client.toml").write_text(f'[[list_of_paths_to_observe]]\npath = "{folder}"\noriginals = "trash"\n')
    ids = ItemIds()
    with closing(open_outbox(load_client(None).settings, recover=True)) as outbox:
        for name in ("a.mp4", "b.mp4"):
            outbox.put([_acknowledged(ids.next(), folder, name)])
    return folder


def _acknowledged(record_id: str, folder: Path, name: str) -> OutboxRecord:
    place = folder / ".originals" / name
    place.write_bytes(name.encode())
    found, origin, root = place.stat(), encode_path(folder / name), encode_path(folder)
    facts = {"size": found.st_size, "mtime_ns": found.st_mtime_ns, "inode": found.st_ino}
    trash = Trashed(path=encode_path(place), origin=origin, root=root, at="2026-01-02T03:04:05.000Z", **facts)
    fields = {"version": 1, "created_at": "2026-01-01T00:00:00.000Z", "file_path": origin, "root": root, "ctime_ns": 0, "dev": 0}
    return OutboxRecord.model_validate({"id": record_id, "status": OutboxStatus.ACKNOWLEDGED, "trash": trash} | fields | facts)


def listed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    capsys.readouterr()
    assert run(["client", "trash", "list", "--json"]) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)["originals"]
    return found


def test_the_list_says_what_goes_when_and_keeps_its_shape(inbox: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["client", "trash", "list"]) == 0
    assert [line.split("\t") for line in capsys.readouterr().out.splitlines()] == [
        ["2026-01-02T03:04:05.000000Z", "2026-02-01T03:04:05.000000Z", str(inbox / name)] for name in ("a.mp4", "b.mp4")
    ]
    settings = tmp_path / "client.toml"
    settings.write_text(settings.read_text() + "trash_days = 0\n")
    run(["client", "trash", "list", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert [one["deleted_at"] for one in document["originals"]] == [None, None]
    found = {**shape(document), "schema": document["schema"]}
    assert misfit(found, json.loads((GOLDEN / "client_trash_list.json").read_text())) is None, json.dumps(found, indent=1)


def test_an_original_is_put_back_by_either_of_its_places(inbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["client", "trash", "restore", str(inbox / "a.mp4"), "--dry-run"]) == 0
    assert capsys.readouterr().err == f"would restore {inbox / 'a.mp4'}.\n"
    assert not (inbox / "a.mp4").exists() and len(listed(capsys)) == 2
    assert run(["client", "trash", "restore", str(inbox / "a.mp4")]) == 0
    assert (inbox / "a.mp4").read_bytes() == b"a.mp4"
    assert [one["file"] for one in listed(capsys)] == [str(inbox / "b.mp4")]
    assert run(["client", "trash", "restore", str(inbox / ".originals" / "b.mp4"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["dry_run"]) == ("dmc.client_trash_restore/1", False)
    assert [one["file"] for one in document["restored"]] == [str(inbox / "b.mp4")]
    found = {**shape(document), "schema": document["schema"]}
    assert misfit(found, json.loads((GOLDEN / "client_trash_restore.json").read_text())) is None, json.dumps(found, indent=1)
    assert listed(capsys) == [] and list((inbox / ".originals").iterdir()) == []
    assert run(["client", "trash", "restore", str(inbox / "a.mp4")]) == 5


@pytest.mark.parametrize("dry_run", [True, False])
def test_what_stands_there_is_a_conflict_and_the_others_come_back(inbox: Path, capsys: pytest.CaptureFixture[str], dry_run: bool) -> None:
    (inbox / "a.mp4").write_bytes(b"newer")
    assert run(["client", "trash", "restore", "--all", *["--dry-run"] * dry_run]) == 6
    assert "a.mp4 is there already" in capsys.readouterr().err
    assert (inbox / "a.mp4").read_bytes() == b"newer"
    assert (inbox / "b.mp4").exists() is not dry_run
    assert len(listed(capsys)) == (2 if dry_run else 1)


def test_nothing_is_put_into_a_folder_that_is_offline(inbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inbox.rename(inbox.with_name("unmounted"))
    assert [one["offline"] for one in listed(capsys)] == [True, True]
    assert run(["client", "trash", "restore", "--all"]) == 6
    assert "offline" in capsys.readouterr().err and not inbox.exists()


def test_either_originals_or_all_are_named(inbox: Path) -> None:
    assert run(["client", "trash", "restore"]) == 2
    assert run(["client", "trash", "restore", "--all", str(inbox / "a.mp4")]) == 2
