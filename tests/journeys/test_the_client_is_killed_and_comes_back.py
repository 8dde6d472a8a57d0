"""The client dies between any two steps; after it came back there is one item and one result."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journeys.household import Household, household, tone, wait_for
from tests.journeys.proxy import Proxy
from tests.patience import PATIENCE_S

MOMENTS: dict[str, Callable[[Household], bool]] = {
    "as soon as the outbox is there": lambda h: (h.home / "client" / "outbox.json").exists(),
    "while it is queued or converted": lambda h: bool(h.items()),
    "when it is converted": lambda h: "finished_successful" in h.statuses(),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_client_killed_at_any_moment_gets_its_result_once(tmp_path: Path, moment: str) -> None:
    with household(tmp_path) as house:
        house.start_server()
        client = house.start_client()
        house.drop("song.wav", tone(60))
        wait_for(moment, lambda: MOMENTS[moment](house))
        client.kill()
        client.wait()
        house.start_client()
        wait_for("the acknowledgement", lambda: any(i.get("acknowledged_at") for i in house.items()))
        assert [r.name for r in house.results()] == ["song.opus"]
        assert len(house.items()) == 1


def test_a_client_killed_in_mid_upload_goes_on_where_it_stopped(tmp_path: Path) -> None:
    content = tone(60)
    with household(tmp_path) as house:
        proxy = Proxy(house.port, hold_after=len(content) // 2)
        house.go_through(proxy.port)
        house.start_server()
        client = house.start_client()
        house.drop("song.wav", content)
        assert proxy.holding.wait(PATIENCE_S)
        client.kill()
        client.wait()
        proxy.hold_after = None
        house.start_client()
        wait_for("the result", lambda: [r.name for r in house.results()] == ["song.opus"])
        assert len(house.items()) == 1
        assert proxy.bytes_up < 1.7 * len(content)
        proxy.close()


def test_a_result_that_was_made_while_the_client_was_off_comes_home_days_later(tmp_path: Path) -> None:
    with household(tmp_path) as house:
        house.start_server()
        client = house.start_client()
        house.drop("song.wav", tone(20))
        wait_for("the item", house.items)
        client.kill()
        client.wait()
        wait_for("the conversion", lambda: house.statuses() == ["finished_successful"])
        house.start_client()
        wait_for("the result", lambda: [r.name for r in house.results()] == ["song.opus"])


def test_a_file_that_is_cancelled_while_it_is_sent_never_becomes_an_item(tmp_path: Path) -> None:
    content = tone(120)
    with household(tmp_path) as house:
        proxy = Proxy(house.port, hold_after=len(content) // 2)
        house.go_through(proxy.port)
        house.start_server()
        house.start_client()
        house.drop("song.wav", content)
        assert proxy.holding.wait(PATIENCE_S)
        proxy.hold_after = None
        [record] = json.loads(house.dmc("status", "--json"))["records"]
        house.dmc("cancel", record["id"])
        wait_for("the upload to be gone", lambda: not any((house.data / "incoming").iterdir()))
        house.drop("next.wav", tone(1))
        wait_for("the next file", lambda: [r.name for r in house.results()] == ["next.opus"])
        assert len(house.items()) == 1
        [parked] = [r for r in json.loads(house.dmc("status", "--json"))["records"] if r["id"] == record["id"]]
        assert (parked["status"], parked["reason"]) == ("parked", "cancelled on request")
        proxy.close()
