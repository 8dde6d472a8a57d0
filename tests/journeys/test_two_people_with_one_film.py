"""Two people send the same recording to one server, under names of their own: it is converted once, stored once, and is two items."""

import json
import urllib.request
from pathlib import Path
from typing import Any

from tests.journeys.household import Household, household, tone, wait_for


def _ask(house: Household, token: str, path: str, data: bytes | None = None) -> Any:
    headers = {"Authorization": f"Bearer {token}"}
    method = "GET" if data is None else "PUT"
    request = urllib.request.Request(f"http://127.0.0.1:{house.port}/api/v1/items{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def test_U19_the_same_recording_of_two_people_is_converted_once_and_each_gets_it(tmp_path: Path) -> None:
    recording, names = tone(2), {"anna": "lecture.wav", "ben": "REC_0001.wav"}
    with household(tmp_path) as house:
        house.start_server()
        tokens = {person: house.dmc("server", "token", "create", person).strip() for person in names}
        ids = {person: _ask(house, tokens[person], f"/{name}?conversion_type=opus", recording)["item_id"] for person, name in names.items()}
        wait_for("both results", lambda: house.statuses() == ["finished_successful"] * 2)
        views = {person: _ask(house, tokens[person], f"/{ids[person]}") for person in names}
        assert [views[person]["file_name"] for person in names] == list(names.values())
        assert views["anna"]["result"]["sha512_checksum"] == views["ben"]["result"]["sha512_checksum"]
        assert [_ask(house, tokens[person], f"/{ids[person]}/receipt")["source"]["file_name"] for person in names] == list(names.values())
        folders = [house.data / "finished" / item_id for item_id in ids.values()]
        for name in ("original.wav", "out/result.opus"):
            assert len({(folder / name).stat().st_ino for folder in folders}) == 1
        assert sum((folder / "log.txt").exists() for folder in folders) == 1
