"""`dmc broker trash` as a person calls it."""

import json
from pathlib import Path

import pytest

from dmc.assemble.server import open_ledger
from dmc.broker.ledger import Put
from dmc.broker.wishes import trash
from dmc.cli.main import run
from dmc.clock import SystemClock
from dmc.items import Status, Wish
from dmc.server_settings import ServerSettings
from tests.broker.fakes import an_item


def test_the_trash_is_listed_restored_and_emptied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ServerSettings(data_folder=tmp_path)
    ledger = open_ledger(settings, recover=True)
    item = an_item()
    ledger.change([Put(item, 0)])
    failed = item.changed(status=Status.FINISHED_WITH_ERRORS)
    ledger.change([Put(failed, 1)])
    here = ["--data-folder", str(tmp_path)]
    assert run(["broker", "trash", "restore", item.item_id[:8], *here]) == 5
    trash(ledger, SystemClock(), item.item_id)
    capsys.readouterr()
    assert run(["broker", "trash", "list", "--json", *here]) == 0
    assert [one["item_id"] for one in json.loads(capsys.readouterr().out)["items"]] == [item.item_id]
    assert run(["broker", "trash", "restore", item.item_id[:8], "--dry-run", *here]) == 0
    assert ledger.get(item.item_id).trashed_at is not None
    assert run(["broker", "trash", "restore", item.item_id[:8], *here]) == 0
    assert ledger.get(item.item_id).trashed_at is None
    trash(ledger, SystemClock(), item.item_id)
    other = an_item("f" + item.item_id[1:], original_file_name="other\x1b[2J.mov")
    ledger.change([Put(other, 0)])
    ledger.change([Put(other.changed(status=Status.FINISHED_WITH_ERRORS), 1)])
    trash(ledger, SystemClock(), other.item_id)
    capsys.readouterr()
    assert run(["broker", "trash", "restore", "", *here]) == 2
    said = capsys.readouterr().err
    assert (
        "2 ids in the trash start with" in said
        and f"(finished_with_errors, {item.original_file_name})" in said
        and "(finished_with_errors, other\ufffd[2J.mov)" in said
    )
    assert run(["broker", "trash", "empty", *here]) == 0
    assert ledger.get(item.item_id).wish is Wish.DELETE
    ledger.close()
