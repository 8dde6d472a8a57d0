"""The table of recovery: each row of reconcile.py."""

import pytest

from dmc.broker.outcomes import OutcomeFile
from dmc.broker.reconcile import Facts, correction
from dmc.broker.storage import Place
from dmc.items import Status, Wish
from tests.broker.fakes import CONTENT, an_item

SIZE = len(CONTENT)


def ended(attempt: int) -> OutcomeFile:
    return OutcomeFile(attempt=attempt, status=Status.FINISHED_SUCCESSFUL)


def at(place: Place | None, size: int | None = SIZE, outcome: OutcomeFile | None = None, idle_s: float = 0.0) -> Facts:
    return Facts(place, size, outcome, idle_s)


@pytest.mark.parametrize(
    ("record", "facts", "verb"),
    [
        (None, at(None), "leave"),
        (None, at(Place.INCOMING, idle_s=99), "leave"),
        (None, at(Place.INCOMING, idle_s=100), "drop"),
        (None, at(Place.TO_DO), "quarantine"),
        (None, at(Place.IN_PROGRESS), "quarantine"),
        (None, at(Place.FINISHED), "quarantine"),
        ({"status": Status.FINISHED_SUCCESSFUL, "wish": Wish.DELETE}, at(Place.FINISHED), "remove"),
        ({"status": Status.FINISHED_SUCCESSFUL, "wish": Wish.DELETE}, at(None), "remove"),
        ({"status": Status.FINISHED_SUCCESSFUL}, at(None), "leave"),
        ({"status": Status.FINISHED_SUCCESSFUL}, at(Place.FINISHED), "leave"),
        ({"status": Status.FINISHED_SUCCESSFUL}, at(Place.IN_PROGRESS), "move"),
        ({"status": Status.FINISHED_WITH_ERRORS}, at(Place.TO_DO), "move"),
        ({"status": Status.TO_DO}, at(Place.FINISHED, outcome=ended(1)), "adopt"),
        ({"status": Status.IN_PROGRESS}, at(Place.FINISHED, outcome=ended(1)), "adopt"),
        ({"status": Status.TO_DO, "attempt": 2}, at(Place.FINISHED, outcome=ended(1)), "move"),
        ({"status": Status.TO_DO}, at(None), "missing"),
        ({"status": Status.IN_PROGRESS}, at(Place.IN_PROGRESS, size=None), "missing"),
        ({"status": Status.TO_DO}, at(Place.TO_DO, size=SIZE - 1), "changed"),
        ({"status": Status.IN_PROGRESS}, at(Place.IN_PROGRESS), "put-back"),
        ({"status": Status.IN_PROGRESS}, at(Place.TO_DO), "put-back"),
        ({"status": Status.IN_PROGRESS, "crashes": 2}, at(Place.IN_PROGRESS), "crashed"),
        ({"status": Status.TO_DO}, at(Place.INCOMING), "move"),
        ({"status": Status.TO_DO}, at(Place.IN_PROGRESS), "move"),
        ({"status": Status.TO_DO}, at(Place.TO_DO), "move"),
    ],
)
def test_each_row(record, facts, verb):
    item = None if record is None else an_item(**record)
    assert correction(item, facts, expiry_s=100) == verb
