"""Items over HTTP: one, several, pages, and wishes."""

import hashlib
import unittest.mock

import aiohttp
import pytest

from dmc.broker.ledger import Delete
from dmc.items import Outcome, Status, Wish
from dmc.protocol import ITEMS, ItemPage, ItemView
from tests.server.conftest import House

SHA = hashlib.sha512


async def get(http: aiohttp.ClientSession, path: str) -> ItemPage:
    async with http.get(path) as reply:
        assert reply.status == 200, await reply.text()
        return ItemPage.model_validate_json(await reply.text())


async def test_a_new_item_waits_at_its_place_in_the_queue(running: House, http: aiohttp.ClientSession) -> None:
    first, second = [await running.upload(http, bytes([n])) for n in range(2)]
    async with http.get(f"{ITEMS}/{second}") as reply:
        view = ItemView.model_validate_json(await reply.text())
    assert (view.status, view.queue_position, view.client_id, view.file_name) == (Status.TO_DO, 2, "laptop", "clip.mp4")
    running.change(second, priority=5)
    assert [item.queue_position for item in (await get(http, ITEMS)).items] == [1, 2]
    assert [item.item_id for item in (await get(http, ITEMS)).items] == [second, first]


async def test_progress_is_told_while_a_worker_has_the_item(running: House, http: aiohttp.ClientSession) -> None:
    item_id = await running.upload(http, b"x")
    running.begin(item_id)
    running.work(item_id, 0.25)
    view = (await get(http, f"{ITEMS}?id={item_id}")).items[0]
    assert view.progress is not None
    assert (view.status, view.progress.fraction) == (Status.IN_PROGRESS, 0.25)


async def test_a_finished_item_names_its_result(running: House, http: aiohttp.ClientSession) -> None:
    item_id = await running.upload(http, b"x", filename="holiday.mp4")
    running.finish(item_id, b"result")
    view = (await get(http, f"{ITEMS}?id={item_id}")).items[0]
    assert view.result is not None
    assert (view.outcome, view.result.file_name, view.result.file_size) == (Outcome.CONVERTED, "holiday.mkv", 6)
    async with http.get(view.result.url) as reply:
        assert await reply.read() == b"result"


async def test_pages_follow_each_other_without_gaps(running: House, http: aiohttp.ClientSession) -> None:
    ids = [await running.upload(http, bytes([n])) for n in range(5)]
    seen: list[str] = []
    cursor = ""
    while True:
        page = await get(http, f"{ITEMS}?limit=2&cursor={cursor}")
        seen += [item.item_id for item in page.items]
        assert page.total == 5
        if page.cursor is None:
            break
        cursor = page.cursor
    assert seen == ids[::-1]


async def test_several_ids_and_one_status_can_be_asked(running: House, http: aiohttp.ClientSession) -> None:
    ids = [await running.upload(http, bytes([n])) for n in range(3)]
    running.finish(ids[1], b"r")
    page = await get(http, f"{ITEMS}?id={ids[0]}&id={ids[2]}&id=00000000-0000-7000-8000-000000000000")
    assert [item.item_id for item in page.items] == [ids[0], ids[2]]
    page = await get(http, f"{ITEMS}?status=finished_successful")
    assert [item.item_id for item in page.items] == [ids[1]]


async def test_a_list_can_be_asked_for_by_everything_that_people_look_for(running: House, http: aiohttp.ClientSession) -> None:
    film = await running.upload(http, b"1", filename="Hochzeit ÄGYPTEN.mp4")
    song = await running.upload(http, b"2", filename="song.flac", conversion_type="opus")
    old = await running.upload(http, b"3", filename="hochzeit.jpg", conversion_type="webp")
    running.change(old, created_at="2019-12-31T23:59:59.999999Z")
    running.finish(song, b"r")
    for query, expected in {
        "q=hochzeit": [old, film],
        "q=%C3%A4gypten": [film],
        "q=nothing": [],
        "media_type=audio": [song],
        "conversion_type=webp": [old],
        "status=to_do": [old, film],
        "status=to_do&status=finished_successful&limit=1": [old],
        "until=2020": [old],
        "until=2020-01": [old],
        "since=2020": [song, film],
        "since=2019-12-31T23:59:59Z&until=2020": [old],
        "since=2019-12&until=2019-12-31": [],
        "q=hochzeit&media_type=video&since=2020-01": [film],
        f"q=hochzeit&cursor={old}": [film],
    }.items():
        assert [item.item_id for item in (await get(http, f"{ITEMS}?{query}")).items] == expected, query
    assert (await get(http, f"{ITEMS}?status=to_do&status=finished_successful&limit=1")).total == 3


async def test_a_list_follows_every_change(running: House, http: aiohttp.ClientSession) -> None:
    first = await running.upload(http, b"1")
    assert (await get(http, f"{ITEMS}?status=to_do")).total == 1
    second = await running.upload(http, b"2")
    done = running.finish(first, b"r")
    assert [item.item_id for item in (await get(http, f"{ITEMS}?status=to_do")).items] == [second]
    running.ledger.change([Delete(first, done.version)])
    assert (await get(http, ITEMS)).total == 1
    with unittest.mock.patch.object(running.ledger, "changes_since", return_value=None):
        third = await running.upload(http, b"3")
        assert [item.item_id for item in (await get(http, ITEMS)).items] == [third, second]


@pytest.mark.parametrize(
    "query", ["status=done", "limit=0", "limit=9999", "limit=x", "media_type=book", "since=yesterday", "until=2026-1", "q=" + 256 * "x"]
)
async def test_a_question_that_does_not_fit_is_refused(http: aiohttp.ClientSession, query: str) -> None:
    async with http.get(f"{ITEMS}?{query}") as reply:
        assert reply.status == 400
        assert (await reply.json())["error"]["request_id"] == reply.headers["X-Request-Id"]


async def test_the_same_version_is_not_sent_twice(running: House, http: aiohttp.ClientSession) -> None:
    item_id = await running.upload(http, b"x")
    running.finish(item_id, b"r")
    async with http.get(f"{ITEMS}/{item_id}") as reply:
        etag = reply.headers["ETag"]
    async with http.get(f"{ITEMS}/{item_id}", headers={"If-None-Match": etag}) as reply:
        assert reply.status == 304
    running.change(item_id, acknowledged_at="2026-11-21T00:00:00Z")
    async with http.get(f"{ITEMS}/{item_id}", headers={"If-None-Match": etag}) as reply:
        assert reply.status == 200


async def test_wishes_are_left_for_the_broker(running: House, http: aiohttp.ClientSession) -> None:
    item_id = await running.upload(http, b"x")
    async with http.post(f"{ITEMS}/{item_id}/cancel") as reply:
        assert (reply.status, (await reply.json())["wish"]) == (202, "cancel")
    item = running.ledger.get(item_id)
    assert item is not None
    assert (item.status, item.wish) == (Status.TO_DO, Wish.CANCEL)


@pytest.mark.parametrize(("method", "name"), [("POST", "/retry"), ("DELETE", ""), ("POST", "/acknowledge")])
async def test_what_the_status_does_not_allow_is_409(running: House, http: aiohttp.ClientSession, method: str, name: str) -> None:
    item_id = await running.upload(http, b"x")
    body = {"sha512": SHA(b"x").hexdigest()} if name == "/acknowledge" else None
    async with http.request(method, f"{ITEMS}/{item_id}{name}", json=body) as reply:
        assert (reply.status, (await reply.json())["error"]["code"]) == (409, "WrongStatus")


async def test_D14_a_result_is_acknowledged_by_its_digest_and_may_be_twice(running: House, http: aiohttp.ClientSession) -> None:
    item_id = await running.upload(http, b"x")
    running.finish(item_id, b"result")
    for digest, status in ((SHA(b"x"), 460), (SHA(b"result"), 202), (SHA(b"result"), 202)):
        async with http.post(f"{ITEMS}/{item_id}/acknowledge", json={"sha512": digest.hexdigest()}) as reply:
            assert reply.status == status
    async with http.post(f"{ITEMS}/{item_id}/acknowledge", json={"sha512": "no"}) as reply:
        assert reply.status == 400
    item = running.ledger.get(item_id)
    assert item is not None
    assert item.acknowledged_at is not None


async def test_D15_a_finished_item_can_be_deleted(running: House, http: aiohttp.ClientSession) -> None:
    item_id = await running.upload(http, b"x")
    running.finish(item_id, b"r")
    async with http.delete(f"{ITEMS}/{item_id}") as reply:
        assert reply.status == 202
    item = running.ledger.get(item_id)
    assert item is not None
    assert item.wish is Wish.DELETE


async def test_items_of_others_do_not_exist_but_for_an_admin(running: House, http: aiohttp.ClientSession) -> None:
    item_id = await running.upload(http, b"x")
    other = running.client(running.tokens.create("phone"))
    for method, name in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("POST", "/retry")):
        async with other.request(method, f"{ITEMS}/{item_id}{name}") as reply:
            assert reply.status == 404
    assert (await get(other, ITEMS)).items == []
    assert (await get(other, f"{ITEMS}?id={item_id}")).items == []
    async with other.get(f"{ITEMS}?client_id=laptop") as reply:
        assert reply.status == 403
    admin = running.client(running.tokens.create("root", ["admin"]))
    assert [item.item_id for item in (await get(admin, ITEMS)).items] == [item_id]
    assert (await get(admin, f"{ITEMS}?client_id=phone")).items == []
