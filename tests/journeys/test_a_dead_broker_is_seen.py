"""A broker thread that fails ends the process, for its supervisor to start it anew; one that hangs turns /readyz red."""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.household import Household, household, wait_for
from tests.patience import PATIENCE_S

SABOTAGED = """
import sys, threading
from pathlib import Path
from dmc.broker.broker import Broker
from dmc.cli.main import main

trigger, how = Path(sys.argv.pop(1)), sys.argv.pop(1)
real = Broker.step

def step(self):
    if trigger.exists():
        if how == "hangs":
            threading.Event().wait()
        raise RuntimeError("the broker was sabotaged")
    return real(self)

Broker.step = step
main()
"""
"""`dmc …`, whose broker fails from the moment on when a file appears."""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Household]:
    with household(tmp_path) as made:
        yield made


def _readiness(house: Household) -> tuple[int, str]:
    """Status of /readyz, and what it says of the broker."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{house.port}/readyz", timeout=10) as said:
            return said.status, json.load(said)["checks"]["broker"]
    except urllib.error.HTTPError as said:
        return said.code, json.load(said)["checks"]["broker"]
    except OSError as problem:
        return 0, str(problem)


def test_a_broker_that_fails_ends_the_process_with_an_error(house: Household, tmp_path: Path) -> None:
    trigger = tmp_path / "now"
    server = house.start_as([sys.executable, "-c", SABOTAGED, str(trigger), "raises"], "server", "run")
    wait_for("a broker that is ready", lambda: _readiness(house) == (200, "ok"))
    trigger.touch()
    assert server.wait(PATIENCE_S) == 70
    assert "the broker was sabotaged" in house.words()
    trigger.unlink()
    house.start_server()
    wait_for("the next one to be ready", lambda: _readiness(house) == (200, "ok"))


@pytest.mark.slow
def test_a_broker_that_hangs_turns_readiness_red_within_half_a_minute(house: Household, tmp_path: Path) -> None:
    trigger = tmp_path / "now"
    server = house.start_as([sys.executable, "-c", SABOTAGED, str(trigger), "hangs"], "server", "run")
    wait_for("a broker that is ready", lambda: _readiness(house) == (200, "ok"))
    trigger.touch()
    status, said = wait_for("red", lambda: found if (found := _readiness(house))[0] == 503 else None, deadline_s=60)
    assert (status, said.startswith("no sign of life for 3")) == (503, True), said
    server.kill()
