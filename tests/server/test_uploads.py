"""tus 1.0 against a real server; each name carries the number of its requirement."""

import hashlib

import aiohttp

from dmc.protocol import ITEMS


async def test_a_file_is_uploaded_seen_and_its_result_fetched(running, http: aiohttp.ClientSession) -> None:
    data = bytes(range(256)) * 1000
    path = await running.create(http, len(data), sha512=hashlib.sha512(data).hexdigest())
    assert (await running.patch(http, path, 0, data[:100_000])).status == 204
    assert await running.offset(http, path) == 100_000
    last = await running.patch(http, path, 100_000, data[100_000:])
    assert last.status == 204
    item_id = last.headers["Dmc-Item"]
    assert item_id == path.rpartition("/")[2]
    running.finish(item_id, b"converted" * 1000)
    async with http.get(f"{ITEMS}/{item_id}/result") as reply:
        assert reply.status == 200
        assert await reply.read() == b"converted" * 1000
    async with http.get(ITEMS) as reply:
        assert [item["item_id"] for item in (await reply.json())["items"]] == [item_id]
