"""Whole files in one request, as curl and forms send them."""

import asyncio
import base64
import hashlib
import io
from typing import Any

import aiohttp
import pytest

from dmc.protocol import ITEMS
from tests.patience import PATIENCE_S
from tests.server.conftest import House
from tests.server.raw import connection, request

DATA = bytes(range(256)) * 500


def form(data: bytes = DATA, name: str = "song.mp3", **fields: str) -> aiohttp.FormData:
    made = aiohttp.FormData()
    for key, value in fields.items():
        made.add_field(key, value)
    made.add_field("file", io.BytesIO(data), filename=name)
    return made


async def test_U26_a_put_makes_an_item(running: House, http: aiohttp.ClientSession) -> None:
    async with http.put(f"{ITEMS}/Süße%20%2F..%2Fx.mp4?conversion_type=h265", data=io.BytesIO(DATA)) as reply:
        assert reply.status == 201, await reply.text()
        view = await reply.json()
        assert reply.headers["Location"] == f"{ITEMS}/{view['item_id']}"
    assert (view["file_name"], view["sha512_checksum"]) == ("x.mp4", hashlib.sha512(DATA).hexdigest())
    assert running.stored(view["item_id"]) == DATA


async def test_U26_without_a_conversion_type_the_default_of_the_medium_is_taken(running: House, http: aiohttp.ClientSession) -> None:
    async with http.put(f"{ITEMS}/song.mp3", data=io.BytesIO(DATA)) as reply:
        assert (await reply.json())["conversion_type"] == "opus"


async def test_U26_a_chunked_put_needs_no_length(running: House, http: aiohttp.ClientSession) -> None:
    async def parts() -> Any:
        for start in range(0, len(DATA), 1000):
            yield DATA[start : start + 1000]

    async with http.put(f"{ITEMS}/song.mp3", data=parts()) as reply:
        assert reply.status == 201
        assert running.stored((await reply.json())["item_id"]) == DATA


async def test_U26_a_form_makes_an_item(running: House, http: aiohttp.ClientSession) -> None:
    async with http.post(ITEMS, data=form(conversion_type="mp3", sha512=hashlib.sha512(DATA).hexdigest())) as reply:
        assert reply.status == 201, await reply.text()
        view = await reply.json()
    assert (view["file_name"], view["conversion_type"]) == ("song.mp3", "mp3")
    assert running.stored(view["item_id"]) == DATA


async def test_U26_a_raw_post_names_its_file_in_the_query(running: House, http: aiohttp.ClientSession) -> None:
    async with http.post(f"{ITEMS}?file_name=song.mp3", data=io.BytesIO(DATA)) as reply:
        assert reply.status == 201
    async with http.post(ITEMS, data=io.BytesIO(DATA)) as reply:
        assert reply.status == 400


async def test_U26_a_form_without_a_file_or_with_two_makes_no_item(running: House, http: aiohttp.ClientSession) -> None:
    empty = aiohttp.FormData()
    empty.add_field("conversion_type", "mp3", content_type="text/plain")
    two = form()
    two.add_field("file", io.BytesIO(DATA), filename="b.mp3")
    for data in (empty, two):
        async with http.post(ITEMS, data=data) as reply:
            assert reply.status == 400
    assert running.storage.places() == []
    assert running.ledger.select() == []


@pytest.mark.parametrize("missing", [1, 2, 10, 40, 60, 100])
async def test_U26_a_form_that_is_cut_makes_no_item(running: House, missing: int) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n' + b"x" * 40 + b"\r\n--b--\r\n"
    head = request(running, "POST", ITEMS, Content_Type="multipart/form-data; boundary=b", Content_Length=len(body))
    async with connection(running) as raw:
        await raw.send(head + body[:-missing])
    async with asyncio.timeout(PATIENCE_S):
        while running.storage.places():
            await asyncio.sleep(0.001)
    assert running.ledger.select() == []


@pytest.mark.parametrize("missing", [4, 8, 20])
async def test_U26_a_form_without_its_last_border_makes_no_item(running: House, missing: int) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n' + b"x" * 40 + b"\r\n--b--\r\n"
    short = body[:-missing]
    head = request(running, "POST", ITEMS, Content_Type="multipart/form-data; boundary=b", Content_Length=len(short))
    async with connection(running) as raw:
        await raw.send(head + short)
        status, _ = await raw.answer()
    assert status == 400
    assert running.storage.places() == []
    assert running.ledger.select() == []


async def test_a_field_that_comes_in_two_packets_is_read_whole(running: House) -> None:
    digest = hashlib.sha512(b"sound").hexdigest().encode()
    begun = b'--border-of-the-form\r\nContent-Disposition: form-data; name="sha512"\r\n\r\n' + digest[:64]
    rest = digest[64:] + b'\r\n--border-of-the-form\r\nContent-Disposition: form-data; name="f"; filename="a.mp3"\r\n\r\nsound'
    rest += b"\r\n--border-of-the-form--\r\n"
    kind, length = "multipart/form-data; boundary=border-of-the-form", len(begun) + len(rest)
    async with connection(running) as raw:
        await raw.send(request(running, "POST", ITEMS, Content_Type=kind, Content_Length=length, Expect="100-continue"))
        assert (await raw.answer())[0] == 100
        await raw.send(begun)
        await asyncio.sleep(0.05)  # The second packet must not overtake the reading of the first.
        await raw.send(rest)
        assert (await raw.answer())[0] == 201


@pytest.mark.parametrize(
    ("method", "path", "fields"),
    [
        ("POST", ITEMS, {"Content_Type": "multipart/form-data"}),
        ("PUT", f"{ITEMS}/a.mp3", {"Idempotency_Key": "schl\u00fcssel"}),
        ("PUT", f"{ITEMS}/a.mp3", {"Idempotency_Key": "k" * 201}),
    ],
)
async def test_what_cannot_be_read_is_the_askers_fault(running: House, method: str, path: str, fields: dict[str, str]) -> None:
    head = request(running, method, path, **fields, Content_Length=5).decode().encode("latin-1")
    async with connection(running) as raw:
        await raw.send(head + b"sound")
        assert (await raw.answer())[0] == 400
    assert running.storage.places() == []


async def test_U10_a_put_with_another_digest_makes_no_item(running: House, http: aiohttp.ClientSession) -> None:
    digest = base64.b64encode(hashlib.sha512(b"other").digest()).decode()
    async with http.put(f"{ITEMS}/a.mp3", data=io.BytesIO(DATA), headers={"Repr-Digest": f"sha-512=:{digest}:"}) as reply:
        assert (reply.status, (await reply.json())["error"]["code"]) == (460, "whole_file_mismatch")
    assert running.storage.places() == []


async def test_U14_a_put_that_does_not_fit_is_refused(running: House, http: aiohttp.ClientSession) -> None:
    running.storage.free = 10
    async with http.put(f"{ITEMS}/a.mp3", data=io.BytesIO(DATA)) as reply:
        assert reply.status == 507
    assert running.storage.places() == []


async def test_U16_the_same_key_makes_one_item(running: House, http: aiohttp.ClientSession) -> None:
    ids = []
    for status in (201, 200):
        async with http.put(f"{ITEMS}/a.mp3", data=io.BytesIO(DATA), headers={"Idempotency-Key": "k"}) as reply:
            assert reply.status == status
            ids.append((await reply.json())["item_id"])
    assert ids[0] == ids[1]


async def test_a_file_over_the_limit_is_refused_also_without_a_length(house: House) -> None:
    await house.start(max_file_size=1000)
    http = house.client()

    async def parts() -> Any:
        for _ in range(20):
            yield b"x" * 100

    for data in (io.BytesIO(b"x" * 1001), parts()):
        async with http.put(f"{ITEMS}/a.mp3", data=data) as reply:
            assert reply.status == 413
    assert house.storage.places() == []
