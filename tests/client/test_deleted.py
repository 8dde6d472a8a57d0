"""Items that somebody deletes at the server while the client waits for them: not offered again, and home when they are restored."""

from typing import Any

import pytest

from dmc.client import asking
from dmc.client.transport_memory import MemoryTransport
from dmc.protocol import ItemView
from tests.client.world import RESULT, World


def deleted_at_the_server(world: World, status: str) -> str:
    """The only item, deleted by somebody before the client hears that its record is not `status` any more."""
    world.drop("clip.mp4")
    world.run(until=lambda: world.statuses() == ["to_do"], converting=False)
    (item_id,) = world.server.items
    if status == "cancelled":
        MemoryTransport(world.server).cancel(item_id)
    elif status == "converted":
        world.server.finish(item_id, RESULT)
    world.server.delete(item_id)
    return item_id


@pytest.mark.parametrize("status", ["cancelled", "converted"])
def test_C18_what_somebody_deletes_at_the_server_before_the_client_looks_again_is_not_offered_again(world: World, status: str) -> None:
    deleted_at_the_server(world, status)
    received = world.server.received
    world.run(120, until=world.all_done)
    world.restart()
    world.live_longer()
    (record,) = world.records()
    assert (record.status, record.outcome, [note.code for note in record.errors]) == ("acknowledged", "failed", ["deleted"])
    assert (world.server.items, world.server.received, world.results()) == ({}, received, {})
    assert (world.folder / "clip.mp4").exists()


def test_C18_what_is_taken_out_of_the_servers_trash_comes_home(world: World) -> None:
    item_id = deleted_at_the_server(world, "converted")
    world.run(120, until=world.all_done)
    world.server.restore(item_id)
    world.run(300, until=lambda: bool(world.results()) and world.all_done())
    assert (world.results(), world.records()[0].outcome) == ({"clip.mkv": RESULT}, "converted")


@pytest.mark.parametrize(("many", "looks"), [(1000, range(9, 12)), (1, range(3, 5))])
def test_C18_many_that_were_deleted_are_asked_about_more_rarely(
    world: World, monkeypatch: pytest.MonkeyPatch, many: int, looks: range
) -> None:
    asked: list[list[str]] = []

    class Counting(MemoryTransport):
        def progress(self, item_ids: list[str]) -> dict[str, ItemView | None]:
            asked.append(item_ids)
            return super().progress(item_ids)

    monkeypatch.setattr(asking, "MANY_FAILED", many)
    for number in range(3):
        world.drop(f"clip{number}.mp4", b"%d" % number)
    world.run(until=lambda: world.statuses() == ["to_do"] * 3, converting=False)
    for item_id in list(world.server.items):
        MemoryTransport(world.server).cancel(item_id)
        world.server.delete(item_id)
    world.run(120, until=world.all_done)
    world.wrap_transport = lambda _: Counting(world.server)
    world.restart()
    world.run(600)
    assert len(asked) in looks


def test_C18_a_result_that_is_deleted_while_it_is_fetched_is_not_converted_again(world: World) -> None:
    class DeletedNow(MemoryTransport):
        def fetch(self, item_id: str, *more: Any, **named: Any) -> None:
            world.server.delete(item_id)
            super().fetch(item_id, *more, **named)

    world.wrap_transport = lambda _: DeletedNow(world.server)
    world.restart()
    world.drop("clip.mp4")
    world.run(120, until=world.all_done)
    assert (world.records()[0].errors[0].code, world.server.items, world.results()) == ("deleted", {}, {})
