"""A lost index, an edited one, another kind of ledger: with the server off, nothing is lost."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.household import Household, household, tone, wait_for
from tests.patience import PATIENCE_S


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Household]:
    """A household with a finished item, a waiting one, and its server off."""
    with household(tmp_path) as made:
        server = made.start_server()
        for number in range(2):
            (tmp_path / f"{number}.wav").write_bytes(tone(1))
        made.dmc("broker", "add", str(tmp_path / "0.wav"))
        wait_for("its end", lambda: made.statuses() == ["finished_successful"])
        assert made.run("broker", "rebuild").returncode == 6, "a repair beside a running server"
        made.dmc("broker", "pause")
        made.dmc("broker", "add", str(tmp_path / "1.wav"))
        server.terminate()
        assert server.wait(PATIENCE_S) == 0
        yield made


def _what_counts(house: Household) -> list[tuple[Any, ...]]:
    return [(i["item_id"], i["status"], i["sha512_checksum"], i.get("result")) for i in house.items()]


def test_a_lost_index_is_made_anew_from_the_folders(house: Household) -> None:
    before = _what_counts(house)
    for file in house.data.glob("index.*"):
        file.unlink()
    said = json.loads(house.dmc("broker", "rebuild", "--dry-run", "--json"))
    assert (said["items"], said["held"], said["unknown"], said["dry_run"]) == (2, 1, [], True)
    assert house.items() == []
    house.dmc("broker", "rebuild")
    assert _what_counts(house) == before
    assert house.dmc("broker", "verify") == ""
    house.dmc("broker", "resume")
    house.start_server()
    (house.home / "2.wav").write_bytes(tone(2))
    house.dmc("broker", "add", str(house.home / "2.wav"))
    wait_for("the end of a new one", lambda: house.statuses() == ["finished_successful"] * 2 + ["to_do"])
    assert "to_do (held)" in house.dmc("broker", "list")
    house.dmc("broker", "adopt", "--dry-run")
    house.dmc("broker", "adopt")
    wait_for("the end of what was held", lambda: house.statuses() == ["finished_successful"] * 3)


def test_an_index_that_was_edited_is_taken_when_asked(house: Household) -> None:
    index = house.data / "index.json"
    house.start_server().terminate()  # Folds the journal, so that the index holds all.
    document = wait_for("a folded index", lambda: _folded(index))
    [waiting] = document["to_do"].values()
    document["to_do"][waiting["item_id"]]["original_file_name"] = "renamed.wav"
    edited = house.home / "edited.json"
    edited.write_text(json.dumps(document))
    assert house.run("broker", "adopt", str(house.home / "none.json")).returncode == 5
    wait_for("the server's end", lambda: house.run("broker", "adopt", str(edited), "--dry-run").returncode == 0)
    house.dmc("broker", "adopt", str(edited))
    assert "renamed.wav" in {i["original_file_name"] for i in house.items()}


def _folded(index: Path) -> "dict[str, Any] | None":
    document = json.loads(index.read_text())
    return document if document["to_do"] and document["finished_successful"] else None


def test_all_records_are_carried_to_the_other_ledger_and_back(house: Household) -> None:
    before = _what_counts(house)
    assert json.loads(house.dmc("broker", "migrate-ledger", "--to", "sqlite", "--dry-run", "--json"))["items"] == 2
    house.dmc("broker", "migrate-ledger", "--to", "sqlite")
    said = house.run("broker", "list")
    assert said.returncode == 2 and "migrate-ledger --to json" in said.stderr
    settings = house.home / "server.toml"
    settings.write_text(settings.read_text() + 'ledger = "sqlite"\n')
    assert _what_counts(house) == before
    house.dmc("broker", "resume")
    server = house.start_server()
    wait_for("the end of the other one", lambda: house.statuses() == ["finished_successful"] * 2)
    server.terminate()
    assert server.wait(PATIENCE_S) == 0
    after = _what_counts(house)
    house.dmc("broker", "migrate-ledger", "--to", "json")
    settings.write_text(settings.read_text().replace('ledger = "sqlite"\n', ""))
    assert _what_counts(house) == after
    assert house.dmc("broker", "verify") == ""


def test_a_second_server_on_the_same_data_is_refused(house: Household) -> None:
    house.start_server()
    said = house.run("server", "run", "--port", "0")
    assert said.returncode == 6 and "Another dmc server" in said.stderr
