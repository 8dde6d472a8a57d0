"""Deleting over HTTP goes into the trash; bounds on bytes are told before the first byte."""

import hashlib

import aiohttp

from dmc.broker.keeper import Keeper
from dmc.items import Status, Wish
from dmc.protocol import CHECK, ITEMS, UPLOADS
from dmc.server.trash import TRASH
from dmc.server.tus_headers import format_metadata
from tests.server.conftest import TUS, House


async def ids(http: aiohttp.ClientSession, path: str) -> list[str]:
    async with http.get(path) as reply:
        assert reply.status == 200
        return [item["item_id"] for item in (await reply.json())["items"]]


async def test_D15_what_is_deleted_is_hidden_and_comes_back(house: House) -> None:
    await house.start(trash_days=7)
    http = house.client()
    item_id = await house.upload(http, b"x")
    async with http.delete(f"{ITEMS}/{item_id}") as reply:
        assert reply.status == 409, "what is under way is cancelled first"
    house.finish(item_id, b"result")
    async with http.delete(f"{ITEMS}/{item_id}") as reply:
        assert (reply.status, (await reply.json())["trashed_at"] is not None) == (202, True)
    for path in (f"{ITEMS}/{item_id}", f"{ITEMS}/{item_id}/result"):
        async with http.get(path) as reply:
            assert reply.status == 404
    assert (await ids(http, ITEMS), await ids(http, f"{ITEMS}?id={item_id}"), await ids(http, TRASH)) == ([], [], [item_id])
    question = {"files": [{"sha512": hashlib.sha512(b"x").hexdigest(), "file_size": 1, "conversion_type": "h265"}]}
    async with http.post(CHECK, json=question) as reply:
        assert (await reply.json())["files"][0]["state"] == "want"
    house.tokens.create("other")
    other = house.client(house.tokens.create("third"))
    assert await ids(other, TRASH) == []
    async with other.post(f"{ITEMS}/{item_id}/restore") as reply:
        assert reply.status == 404
    async with http.post(f"{ITEMS}/{item_id}/restore") as reply:
        assert (reply.status, (await reply.json())["status"]) == (202, Status.FINISHED_SUCCESSFUL)
    async with http.get(f"{ITEMS}/{item_id}/result") as reply:
        assert await reply.read() == b"result"
    async with http.post(f"{ITEMS}/{item_id}/restore") as reply:
        assert reply.status == 409
    async with http.delete(f"{ITEMS}/{item_id}?for_good=true") as reply:
        assert (await reply.json())["wish"] == Wish.DELETE


async def test_the_trash_comes_in_pages(house: House) -> None:
    await house.start(trash_days=7)
    http = house.client()
    made = [await house.upload(http, bytes([number])) for number in range(5)]
    for item_id in made:
        house.finish(item_id, b"result")
        async with http.delete(f"{ITEMS}/{item_id}") as reply:
            assert reply.status == 202
    seen, cursor, sizes = [], "", []
    while cursor is not None:
        async with http.get(TRASH, params={"limit": "2", "cursor": cursor}) as reply:
            page = await reply.json()
        assert page["total"] == 5
        seen += [item["item_id"] for item in page["items"]]
        sizes.append(len(page["items"]))
        cursor = page["cursor"]
    assert (seen, sizes) == (made[::-1], [2, 2, 1])
    async with http.post(f"{ITEMS}/{made[2]}/restore") as reply:
        assert reply.status == 202
    assert await ids(http, f"{TRASH}?limit=2&cursor={made[3]}") == [made[1], made[0]], "also behind one that is gone meanwhile"
    for wrong in ("0", "201", "many"):
        async with http.get(TRASH, params={"limit": wrong}) as reply:
            assert reply.status == 400


async def deleted(http: aiohttp.ClientSession, item_id: str) -> list[str]:
    async with http.get(f"{ITEMS}?id={item_id}") as reply:
        found = await reply.json()
        assert found["items"] == []
        return list(found["deleted"])


def broker_removes(house: House, item_id: str) -> None:
    """What the broker does when it sees the wish."""
    item = house.ledger.get(item_id)
    assert item is not None
    Keeper(house.ledger, house.storage, lambda: None).remove(item)
    assert house.ledger.get(item_id) is None


async def test_C18_whoever_sent_an_item_is_told_that_somebody_deleted_it(house: House) -> None:
    await house.start(trash_days=7)
    http, stranger = house.client(), house.client(house.tokens.create("stranger"))
    item_id = await house.upload(http, b"x")
    house.finish(item_id, b"result")
    async with http.delete(f"{ITEMS}/{item_id}") as reply:
        assert reply.status == 202
    assert (await deleted(http, item_id), await deleted(stranger, item_id)) == ([item_id], [])
    await house.restart(trash_days=7)
    assert await deleted(http, item_id) == [item_id], "the trash is in the ledger, so a restart forgets nothing"
    broker_removes(house, item_id)
    await house.restart(trash_days=7)
    assert (await deleted(http, item_id), await deleted(stranger, item_id)) == ([item_id], []), "the trash was emptied"


async def test_C18_what_is_deleted_for_good_is_remembered_and_what_went_by_its_days_is_not(house: House) -> None:
    await house.start()
    http = house.client()
    by_hand, by_age = [await house.upload(http, name) for name in (b"x", b"y")]
    for item_id in (by_hand, by_age):
        house.finish(item_id, b"result")
    async with http.delete(f"{ITEMS}/{by_hand}") as reply:
        assert reply.status == 202
    for item_id in (by_hand, by_age):
        broker_removes(house, item_id)
    await house.restart()
    assert (await deleted(http, by_hand), await deleted(http, by_age)) == ([by_hand], [])


async def announce(http: aiohttp.ClientSession, length: int) -> tuple[int, dict]:
    headers = TUS | {"Upload-Length": str(length), "Upload-Metadata": format_metadata({"filename": "clip.mp4", "conversion_type": "h265"})}
    async with http.post(UPLOADS, headers=headers) as reply:
        return reply.status, await reply.json() if reply.status >= 400 else {}


async def test_bounds_per_client_and_in_total_are_told_before_the_first_byte(house: House) -> None:
    await house.start(max_bytes_per_client=100, max_bytes_total=150)
    http = house.client()
    item_id = await house.upload(http, bytes(40))
    house.finish(item_id, bytes(10))
    status, told = await announce(http, 51)
    assert (status, told["error"]["code"]) == (507, "DiskFull")
    assert "needs 51 B, and of the 100 B for this client 50 B are left" in told["error"]["message"]
    assert (await announce(http, 101))[0] == 413
    assert (await announce(http, 50))[0] == 201, "and open uploads count from now on"
    assert (await announce(http, 1))[0] == 507
    other = house.client(house.tokens.create("other"))
    status, told = await announce(other, 51)
    assert (status, "for all clients together 50 B are left" in told["error"]["message"]) == (507, True)
    assert (await announce(other, 50))[0] == 201


async def test_a_full_disk_is_told_in_numbers(house: House) -> None:
    house.storage.free = 5000  # What a real disk has free changes between two looks.
    await house.start(disk_floor_bytes=6000)
    status, told = await announce(house.client(), 900)
    assert status == 507
    assert "it needs 900 B, 0 B are free" in told["error"]["message"]
