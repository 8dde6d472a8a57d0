"""The places of what waits, kept up by the ledger's changes."""

import random

import pytest

from dmc.broker.ledger import Delete, Put
from dmc.broker.ledger_memory import LedgerMemory
from dmc.items import Item, Status
from dmc.server import places
from dmc.server.places import Places
from tests.broker.fakes import an_item


def reckoned(ledger: LedgerMemory) -> dict[str, int]:
    """The places, worked out from all that waits."""
    waiting = sorted(ledger.select(Status.TO_DO, limit=1000), key=lambda item: (-item.priority, item.item_id))
    return {item.item_id: place for place, item in enumerate(waiting, 1)}


def change_anything(ledger: LedgerMemory, draw: random.Random) -> None:
    known = ledger.select(limit=1000)
    if len(known) < 5 or draw.random() < 0.4:
        ledger.change([Put(an_item(priority=draw.choice([0, 0, 5])), expected_version=0)])
        return
    item = draw.choice(known)
    if item.status is Status.TO_DO:
        ledger.change([Put(_next(item, draw), expected_version=item.version)])
    elif item.status is Status.IN_PROGRESS:
        ending = draw.choice([Status.TO_DO, Status.FINISHED_SUCCESSFUL])
        ledger.change([Put(item.changed(status=ending), expected_version=item.version)])
    else:
        ledger.change([Delete(item.item_id, expected_version=item.version)])


def _next(item: Item, draw: random.Random) -> Item:
    return draw.choice([item.changed(status=Status.IN_PROGRESS), item.changed(priority=draw.randrange(10))])


@pytest.mark.parametrize("most_changes", [0, 3, 1000])
def test_places_are_those_of_the_ledger_whatever_changes(most_changes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MOST_CHANGES", most_changes)
    monkeypatch.setattr(places, "PAGE", 4)
    ledger, draw = LedgerMemory(), random.Random(most_changes)
    kept_up = Places(ledger)
    for _ in range(150):
        for _ in range(draw.randrange(6)):
            change_anything(ledger, draw)
        ids = [item.item_id for item in ledger.select(limit=1000)]
        assert kept_up.of(ids) == reckoned(ledger)


def test_what_is_not_known_has_no_place() -> None:
    assert Places(LedgerMemory()).of(["nothing"]) == {}
