"""Deleting over HTTP goes into the trash; bounds on bytes are told before the first byte."""

import hashlib

import aiohttp

from dmc.items import Status, Wish
from dmc.protocol import CHECK, ITEMS, UPLOADS
from dmc.server.trash import TRASH
from dmc.server.tus_headers import format_metadata
from tests.server.conftest import TUS, House


async def ids(http: aiohttp.ClientSession, path: str) -> list[str]:
    async with http.get(path) as reply:
        assert reply.status == 200
        return [item["item_id"] for item in (await reply.json())["items"]]


async def test_what_is_deleted_is_hidden_and_comes_back(house: House) -> None:
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
    free = house.storage.free_bytes()
    await house.start(disk_floor_bytes=free + 1000)
    status, told = await announce(house.client(), 900)
    assert status == 507
    assert "it needs 900 B, 0 B are free" in told["error"]["message"]
