"""Stopping, cancelling and retrying while a worker is at it, with the broker inside the server and as a process of its own."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.household import Household, household, tone, wait_for
from tests.patience import PATIENCE_S


@pytest.fixture(params=["embedded", "separate"])
def busy(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Household]:
    """A household whose one worker is in the middle of a long conversion."""
    settings = f"number_of_conversion_threads = 1\nbroker = {request.param!r}"
    with household(tmp_path, server_settings=settings) as house:
        house.server = house.start_server()  # type: ignore[attr-defined]
        house.worker = house.start("broker", "run") if request.param == "separate" else house.server  # type: ignore[attr-defined]
        house.start_client()
        house.drop("long.wav", tone(2000, rate=8000))  # Little to write and long to encode: a disk may stand still for seconds.
        wait_for("a worker that writes", lambda: any(f.stat().st_size for f in (house.data / "in_progress").glob("*/out/*")))
        yield house


def test_sigterm_puts_the_item_back_and_removes_what_was_half_made(busy: Household) -> None:
    busy.worker.terminate()  # type: ignore[attr-defined]
    assert busy.worker.wait(PATIENCE_S) == 0  # type: ignore[attr-defined]
    index = json.loads((busy.data / "index.json").read_text())
    assert len(index["to_do"]) == 1 and not index["in_progress"]
    assert not any((busy.data / "in_progress").iterdir())
    assert not any(f for f in (busy.data / "to_do").glob("*/out/*"))
    assert list((busy.data / "to_do").glob("*/original.wav"))


def test_a_cancelled_item_ends_with_its_original_kept_and_can_be_retried(busy: Household) -> None:
    [item] = busy.items()
    busy.dmc("cancel", item["item_id"][:13])
    wait_for("the end", lambda: busy.statuses() == ["finished_with_errors"])
    assert [e["code"] for e in busy.items()[0]["errors"]] == ["cancelled"]
    folder = busy.data / "finished" / item["item_id"]
    assert (folder / "original.wav").exists() and not any((folder / "out").glob("*"))
    busy.dmc("retry", item["item_id"][:13])
    wait_for("the second try", lambda: busy.statuses() == ["in_progress"])
    assert busy.items()[0]["attempt"] == 2


def test_a_killed_server_begins_the_conversion_again(busy: Household) -> None:
    busy.worker.kill()  # type: ignore[attr-defined]
    busy.worker.wait()  # type: ignore[attr-defined]
    if busy.worker is busy.server:  # type: ignore[attr-defined]
        busy.start_server()
    else:
        busy.start("broker", "run")
    wait_for("the second begin", lambda: any(i["status"] == "in_progress" and i.get("crashes") == 1 for i in busy.items()))
