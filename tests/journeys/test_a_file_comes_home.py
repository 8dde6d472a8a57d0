"""The main job, with a real server and a real client."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.convert.clips import clip
from tests.journeys.household import Household, household, tone, wait_for
from tests.patience import PATIENCE_S


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Household]:
    with household(tmp_path) as made:
        yield made


@pytest.fixture
def cold(tmp_path: Path) -> Iterator[Household]:
    """A household whose every command starts Python, as those of people do."""
    with household(tmp_path, warm=False) as made:
        yield made


def test_a_dropped_file_comes_home_verified_once_and_the_original_stays(cold: Household, tmp_path: Path) -> None:
    house = cold
    house.start_server()
    house.start_client()
    drop = house.inbox / "Moon \N{ROCKET}.mp4"
    clip(tmp_path / "made.mp4", codec="mjpeg", pix_fmt="yuvj420p", size=(160, 120), seconds=2)
    (tmp_path / "made.mp4").rename(drop)
    before = hashlib.sha512(drop.read_bytes()).hexdigest()
    wait_for("the result", house.results)  # Asking a program that has to start first takes the processor from the conversion.
    wait_for("the acknowledgement", lambda: any(i.get("acknowledged_at") for i in house.items()))
    assert [r.name for r in house.results()] == ["Moon \N{ROCKET}.mkv"]
    [item] = house.items()
    result = house.results()[0].read_bytes()
    assert item["status"] == "finished_successful" and item["outcome"] == "converted"
    assert item["result"]["sha512_checksum"] == hashlib.sha512(result).hexdigest()
    assert hashlib.sha512(drop.read_bytes()).hexdigest() == before == item["sha512_checksum"]
    receipt = json.loads(house.dmc("receipt", item["item_id"], "--json"))
    assert receipt["schema"] == "dmc.receipt/1"
    assert house.dmc("broker", "verify") == ""


def test_a_drop_waits_for_a_server_that_is_off(house: Household) -> None:
    house.start_client()
    house.drop("talk/first.wav", tone(2))
    wait_for("the outbox entry", lambda: "waiting" in house.dmc("status"))
    house.start_server()
    wait_for("the result", lambda: [r.name for r in house.results()] == ["first.opus"])
    assert house.results()[0].parent == house.inbox / "converted" / "talk"


def test_what_cannot_be_converted_ends_with_a_reason_and_the_queue_moves_on(house: Household) -> None:
    house.start_server()
    house.start_client()
    house.drop("broken.mp4", b"\x00\x00\x00\x18ftypmp42" + b"\x00" * 2000)
    house.drop("good.wav", tone(1))
    wait_for("both ends", lambda: house.statuses() == ["finished_successful", "finished_with_errors"])
    [failed] = [i for i in house.items() if i["status"] == "finished_with_errors"]
    assert failed["errors"][-1]["code"] in {"NotMedia", "DamagedMedia", "Unsupported"}
    assert failed["errors"][-1]["message"] and (house.inbox / "broken.mp4").exists()
    wait_for("the good one", lambda: [r.name for r in house.results()] == ["good.opus"])


def test_results_never_go_round_again_and_a_second_scan_queues_nothing(house: Household) -> None:
    house.start_server()
    client = house.start_client()
    house.drop("a.wav", tone(1))
    wait_for("the result", house.results)
    wait_for("the acknowledgement", lambda: any(i.get("acknowledged_at") for i in house.items()))
    client.terminate()
    assert client.wait(PATIENCE_S) == 0
    house.start_client()
    house.drop("b.wav", tone(1))
    wait_for("the second result", lambda: len(house.results()) == 2)
    wait_for("the second one", lambda: len([i for i in house.items() if i.get("acknowledged_at")]) == 2)
    assert [r.name for r in house.results()] == ["a.opus", "b.opus"]
    assert len(house.items()) == 2
