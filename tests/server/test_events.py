"""The live feed: snapshot, changes, progress, replay, resync, end."""

import asyncio
import json
import unittest.mock
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from dmc.broker.ledger import Delete
from dmc.protocol import EVENTS
from dmc.server import app
from dmc.server import feed as feeds
from dmc.server.auth import Caller
from dmc.server.events import Events
from dmc.server.feed import Event, Feed, Subscriber
from tests.patience import PATIENCE_S
from tests.server.conftest import House
from tests.server.raw import connection, request


class Stream:
    """Reads events off an answer."""

    def __init__(self, reply: aiohttp.ClientResponse) -> None:
        self._reply = reply
        self.last_id = ""

    async def next(self) -> tuple[str, Any]:
        fields: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE_S):
            while True:
                line = (await self._reply.content.readline()).decode()
                if not line:
                    return "end", None
                name, _, value = line.rstrip("\n").partition(": ")
                if not name and "event" in fields:
                    self.last_id = fields.get("id", self.last_id)
                    return fields["event"], json.loads(fields["data"])
                fields[name] = value

    async def until(self, kind: str) -> Any:
        while True:
            seen, data = await self.next()
            if seen == kind:
                return data
            assert seen != "end"


@asynccontextmanager
async def listening(http: aiohttp.ClientSession, last_id: str = "") -> AsyncIterator[Stream]:
    async with http.get(EVENTS, headers={"Last-Event-ID": last_id} if last_id else {}) as reply:
        assert (reply.status, reply.content_type) == (200, "text/event-stream")
        yield Stream(reply)


async def until_nobody_listens(house: House) -> None:
    """A server hears that a listener left when it has something to say; then the feed ends its look and rests."""
    assert house.server is not None
    async with asyncio.timeout(PATIENCE_S):
        while house.server._feed._caught_up.is_set():
            await asyncio.sleep(0.01)


def ping_often(house: House) -> None:
    assert house.server is not None
    (room,) = (room for room in house.server._rooms if isinstance(room, Events))
    room._ping_s = 0.05


async def test_a_snapshot_comes_first_then_what_happens(running: House, http: aiohttp.ClientSession) -> None:
    first = await running.upload(http, b"1")
    async with listening(http) as stream:
        kind, data = await stream.next()
        assert (kind, [item["item_id"] for item in data["items"]], data["more"]) == ("snapshot", [first], False)
        second = await running.upload(http, b"2")
        while (told := (await stream.until("item"))["item_id"]) != second:
            assert told == first, "what the snapshot has already may be told once more"
        running.begin(first)
        view = await stream.until("item")
        assert (view["item_id"], view["status"]) == (first, "in_progress")
        running.work(first, 0.5)
        progress = await stream.until("progress")
        assert (progress["item_id"], progress["fraction"]) == (first, 0.5)


async def test_a_snapshot_has_what_runs_and_the_front_of_the_queue_and_counts_the_rest(running: House, http: aiohttp.ClientSession) -> None:
    done, working, *waiting = [await running.upload(http, bytes([n])) for n in range(5)]
    running.finish(done, b"r")
    running.begin(working)
    with unittest.mock.patch.object(feeds, "SNAPSHOT_LIVE", 2):
        async with listening(http) as stream:
            data = await stream.until("snapshot")
    assert [item["item_id"] for item in data["items"]] == [working, waiting[0]]
    assert data["counts"] == {"to_do": 3, "in_progress": 1, "finished_successful": 1, "finished_with_errors": 0}
    assert data["more"]


async def test_D15_a_deleted_item_is_told_as_gone(running: House, http: aiohttp.ClientSession) -> None:
    item_id = await running.upload(http, b"1")
    done = running.finish(item_id, b"r")
    async with listening(http) as stream:
        await stream.until("snapshot")
        running.ledger.change([Delete(item_id, done.version)])
        assert await stream.until("gone") == {"item_id": item_id}


async def test_who_comes_back_hears_what_was_missed(running: House, http: aiohttp.ClientSession) -> None:
    async with listening(http) as stream:
        await stream.until("snapshot")
        await running.upload(http, b"1")
        await stream.until("item")
        seen = stream.last_id
    missed = [await running.upload(http, bytes([n])) for n in range(3)]
    async with listening(http) as stream:
        await stream.until("snapshot")  # The feed has got so far.
    async with listening(http, seen) as stream:
        heard = [await stream.next() for _ in range(3)]
    assert [(kind, data["item_id"]) for kind, data in heard] == [("item", item_id) for item_id in missed]


async def test_who_comes_back_alone_hears_what_was_missed(running: House, http: aiohttp.ClientSession) -> None:
    ping_often(running)
    gone = await running.upload(http, b"0")
    async with listening(http) as stream:
        await stream.until("snapshot")
        first = await running.upload(http, b"1")
        while (await stream.until("item"))["item_id"] != first:
            pass
        seen = stream.last_id
    await until_nobody_listens(running)
    with unittest.mock.patch.object(running.ledger, "changes_since", side_effect=AssertionError("nobody listens")):
        second = await running.upload(http, b"2")
        running.begin(second)
        done = running.finish(gone, b"r")
        running.ledger.change([Delete(gone, done.version)])
    for _ in range(2):  # The one who hears it first takes nothing from the next.
        async with listening(http, seen) as stream:
            heard = [await stream.next() for _ in range(5)]
            assert [kind for kind, _ in heard] == ["item"] * 4 + ["gone"]
            assert [data["item_id"] for _, data in heard] == [second, second, gone, gone, gone]
            assert [data["status"] for _, data in heard[:4]] == ["to_do", "in_progress", "in_progress", "finished_successful"]
            third = await running.upload(http, b"3")
            while (await stream.until("item"))["item_id"] != third:
                pass
        await until_nobody_listens(running)


async def test_who_missed_more_than_is_kept_begins_anew(running: House, http: aiohttp.ClientSession) -> None:
    ping_often(running)
    async with listening(http) as stream:
        await stream.until("snapshot")
        await running.upload(http, b"1")
        await stream.until("item")
        seen = stream.last_id
    await until_nobody_listens(running)
    with unittest.mock.patch.object(feeds, "RING", 2):
        missed = [await running.upload(http, bytes([n])) for n in range(2, 5)]
        async with listening(http, seen) as stream:
            kind, data = await stream.next()
    assert (kind, {item["item_id"] for item in data["items"]} >= set(missed)) == ("snapshot", True)


async def test_an_unknown_number_gets_a_snapshot(running: House, http: aiohttp.ClientSession) -> None:
    for last_id in ("feedface-5", "nonsense", "-"):
        async with listening(http, last_id) as stream:
            assert (await stream.next())[0] == "snapshot"


async def test_nobody_hears_of_the_items_of_others(running: House, http: aiohttp.ClientSession) -> None:
    other = running.client(running.tokens.create("phone"))
    admin = running.client(running.tokens.create("root", ["read", "admin"]))
    async with listening(other) as stream, listening(admin) as all_of_it:
        kind, data = await stream.next()
        assert (kind, data["items"], set(data["counts"].values())) == ("snapshot", [], {0})
        await all_of_it.until("snapshot")
        mine = await running.upload(http, b"1")
        theirs = await running.upload(other, b"2")
        assert (await stream.until("item"))["item_id"] == theirs
        assert {(await all_of_it.until("item"))["item_id"] for _ in range(2)} == {mine, theirs}


async def test_a_stream_ends_when_its_token_is_revoked(running: House, http: aiohttp.ClientSession) -> None:
    ping_often(running)
    phone = running.client(running.tokens.create("phone"))
    async with listening(phone) as stream:
        await stream.until("ping")
        await stream.until("ping")
        running.tokens.revoke("phone")
        async with asyncio.timeout(PATIENCE_S):
            while (await stream.next())[0] != "end":
                pass


async def test_a_listener_that_leaves_is_no_fault(running: House, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture) -> None:
    async with connection(running) as raw:
        await raw.send(request(running, "GET", EVENTS))
        await raw.answer()
    for number in range(3):
        await running.upload(http, bytes([number]))
    await running.stop()
    assert "Traceback" not in caplog.text
    assert "Error" not in caplog.text


async def test_streams_end_first_when_the_server_stops(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "STOP_S", 10 * PATIENCE_S)
    await house.start()
    async with listening(house.client()) as stream:
        await stream.until("snapshot")
        assert house.server is not None
        async with asyncio.timeout(PATIENCE_S):
            await house.server.stop()
        assert (await stream.next())[0] == "resync"
        assert (await stream.next())[0] == "end"


async def test_who_was_away_while_the_ledger_could_not_tell_begins_anew(running: House, http: aiohttp.ClientSession) -> None:
    async with listening(http) as stream:
        await stream.until("snapshot")
        await running.upload(http, b"1")
        await stream.until("item")
        seen = stream.last_id
    with unittest.mock.patch.object(running.ledger, "changes_since", return_value=None):
        async with listening(http, seen) as stream:
            await running.upload(http, b"2")
            assert await stream.until("resync") == {}
    async with listening(http, seen) as stream:
        assert (await stream.next())[0] == "snapshot"


def test_who_is_too_far_behind_is_not_buffered() -> None:
    subscriber = Subscriber(Caller("laptop", "laptop", frozenset()))
    for number in range(feeds.MOST_BEHIND + 5):
        subscriber.offer(Event(number, "item", "laptop", {}))
    assert subscriber.lost
    assert subscriber.waiting.get_nowait() is None
    assert subscriber.waiting.empty()


async def test_a_feed_that_breaks_is_a_fault_of_the_server(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: Feed) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Feed, "_follow", broken)
    running = await house.start()
    with pytest.raises(ZeroDivisionError):
        assert running.server is not None
        await running.server.fault()
