"""Uploads against connections that are cut, stall, lie or come twice."""

import asyncio
import hashlib
import os

import aiohttp
import pytest

from dmc.protocol import ITEMS, UPLOADS
from dmc.server import app
from tests.patience import PATIENCE_S
from tests.server.conftest import House
from tests.server.raw import connection, patch, request

BODY = bytes(range(64))


async def offset_becomes(house: House, http: aiohttp.ClientSession, path: str, wanted: int) -> None:
    """The server hears of a cut a moment after it: ask until it has."""
    async with asyncio.timeout(PATIENCE_S):
        while await house.offset(http, path) != wanted:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_U7_a_body_cut_at_any_byte_keeps_every_byte(running: House, http: aiohttp.ClientSession, how: str) -> None:
    for cut in range(len(BODY)):
        path = await running.create(http, len(BODY))
        async with connection(running) as raw:
            await raw.send(patch(running, path, 0, len(BODY)) + BODY[:cut])
            if how == "reset":
                # A reset throws away what the server's kernel has not handed over, so wait until the server has it.
                await offset_reaches(running, path, cut)
                raw.reset()
        await offset_becomes(running, http, path, cut)
        assert running.stored(path) == BODY[:cut]
        assert (await running.patch(http, path, cut, BODY[cut:])).status == 204
        assert running.stored(path) == BODY


async def offset_reaches(house: House, path: str, wanted: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while len(house.stored(path)) < wanted:
            await asyncio.sleep(0.001)


async def test_U7_a_body_cut_while_the_disk_is_slow_keeps_every_byte(running: House, http: aiohttp.ClientSession) -> None:
    data = os.urandom(3_000_000)
    path = await running.create(http, len(data))
    async with connection(running) as raw:
        await raw.send(patch(running, path, 0, len(data)) + data[:2_500_000])
    # Only then ask: a HEAD takes over, and what still stands in the kernel's buffers then has not arrived.
    await offset_reaches(running, path, 2_500_000)
    await offset_becomes(running, http, path, 2_500_000)
    assert running.stored(path) == data[:2_500_000]


async def test_U7_a_chunked_body_cut_in_a_chunk_keeps_every_byte(running: House, http: aiohttp.ClientSession) -> None:
    path = await running.create(http, len(BODY))
    head = patch(running, path, 0, 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    async with connection(running) as raw:
        await raw.send(head + b"40\r\n" + BODY[:33])
    await offset_becomes(running, http, path, 33)
    assert running.stored(path) == BODY[:33]


async def test_U11_a_chunked_body_over_the_length_stops_there(running: House, http: aiohttp.ClientSession) -> None:
    path = await running.create(http, 10)
    head = patch(running, path, 0, 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    async with connection(running) as raw:
        await raw.send(head + b"40\r\n" + BODY)
        status, fields = await raw.answer()
    assert (status, fields["connection"]) == (413, "close")
    assert running.stored(path) == BODY[:10]


@pytest.mark.parametrize("method", ["HEAD", "DELETE", "PATCH"])
async def test_U12_a_new_request_takes_over_from_a_stalled_one(running: House, http: aiohttp.ClientSession, method: str) -> None:
    path = await running.create(http, len(BODY))
    async with connection(running) as raw:
        await raw.send(patch(running, path, 0, len(BODY)) + BODY[:20])
        await offset_reaches(running, path, 20)
        if method == "HEAD":
            assert await running.offset(http, path) == 20
        elif method == "DELETE":
            async with http.delete(path, headers={"Tus-Resumable": "1.0.0"}) as reply:
                assert reply.status == 204
        else:
            assert (await running.patch(http, path, 20, BODY[20:])).status == 204
            assert running.stored(path) == BODY
        status, _ = await raw.answer()
        assert status == 423, "it was told so, and did not end by its own silence"


async def test_U12_racing_patches_never_interleave(running: House, http: aiohttp.ClientSession) -> None:
    data = os.urandom(2_000_000)
    path = await running.create(http, len(data), sha512=hashlib.sha512(data).hexdigest())
    async with asyncio.timeout(PATIENCE_S):
        while True:
            offset = await running.offset(http, path)
            if offset == len(data):
                break
            replies = await asyncio.gather(*(running.patch(http, path, offset, data[offset:]) for _ in range(4)))
            assert {reply.status for reply in replies} <= {204, 409, 423}
    assert running.stored(path) == data


async def test_U12_an_upload_that_stays_busy_is_locked(house: House) -> None:
    await house.start(take_over_s=0.05)
    http = house.client()
    path = await house.create(http, 10)
    assert house.server is not None
    upload = house.server.uploads.find(path.rpartition("/")[2])
    assert upload is not None
    async with upload.lock, http.head(path, headers={"Tus-Resumable": "1.0.0"}) as reply:
        assert reply.status == 423
    assert await house.offset(http, path) == 0


async def test_U13_a_silent_connection_is_closed_and_its_bytes_kept(house: House) -> None:
    await house.start(idle_timeout_s=0.1)
    http = house.client()
    path = await house.create(http, len(BODY))
    async with connection(house) as raw:
        await raw.send(patch(house, path, 0, len(BODY)) + BODY[:20])
        status, fields = await raw.answer()
        assert (status, fields["upload-offset"], fields["connection"]) == (408, "20", "close")
    assert await house.offset(http, path) == 20


async def test_U13_a_drip_below_the_floor_rate_is_closed_likewise(house: House) -> None:
    await house.start(floor_rate=10_000.0, floor_window_s=0.2)
    http = house.client()
    path = await house.create(http, 10_000)
    async with connection(house) as raw:
        await raw.send(patch(house, path, 0, 10_000))
        answer = asyncio.ensure_future(raw.answer())
        while not answer.done():
            await raw.send(b"x")
            await asyncio.sleep(0.01)
        status, fields = await answer
    assert status == 408
    assert await house.offset(http, path) >= int(fields["upload-offset"]) > 0


@pytest.mark.parametrize(
    ("fields", "length", "status"),
    [
        ({"Upload_Length": 10**15, "Tus_Resumable": "1.0.0", "Upload_Metadata": "filename YS5tcDQ="}, 100, 413),
        ({"Upload_Length": 100}, 100, 412),
        ({"Upload_Length": 100, "Tus_Resumable": "1.0.0", "Upload_Metadata": "conversion_type aDI2Ng=="}, 100, 415),
    ],
)
async def test_U21_a_creation_is_refused_instead_of_100_continue(
    running: House, fields: dict[str, str | int], length: int, status: int
) -> None:
    async with connection(running) as raw:
        known: dict[str, str | int] = {"Expect": "100-continue", "Content_Length": length}
        await raw.send(request(running, "POST", UPLOADS, **known, **fields, Content_Type="application/offset+octet-stream"))
        answered, head = await raw.answer()
    assert (answered, head["connection"]) == (status, "close")


async def test_U21_a_right_request_hears_100_continue_first(running: House, http: aiohttp.ClientSession) -> None:
    path = await running.create(http, len(BODY))
    async with connection(running) as raw:
        await raw.send(patch(running, path, 0, len(BODY), Expect="100-continue"))
        assert (await raw.answer())[0] == 100
        await raw.send(BODY)
        assert (await raw.answer())[0] == 204
    assert running.stored(path) == BODY


async def test_U21_a_put_over_the_disk_floor_is_refused_instead_of_100_continue(running: House) -> None:
    running.storage.free = 10
    async with connection(running) as raw:
        await raw.send(request(running, "PUT", f"{ITEMS}/clip.mp4", Expect="100-continue", Content_Length=100))
        assert (await raw.answer())[0] == 507


async def test_U21_without_expect_the_answer_still_arrives(running: House, http: aiohttp.ClientSession) -> None:
    path = await running.create(http, len(BODY))
    async with connection(running) as raw:
        await raw.send(patch(running, path, 5, len(BODY)) + BODY[:30])
        status, fields = await raw.answer()
    assert (status, fields["connection"]) == (409, "close")


async def test_U21_another_expectation_is_refused(running: House, http: aiohttp.ClientSession) -> None:
    path = await running.create(http, len(BODY))
    async with connection(running) as raw:
        await raw.send(patch(running, path, 0, len(BODY), Expect="a-miracle"))
        assert (await raw.answer())[0] == 417


async def test_U23_a_stop_saves_what_came_answers_503_and_waits_for_nobody(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "STOP_S", 10 * PATIENCE_S)
    running = await house.start()
    http = running.client()
    path = await running.create(http, len(BODY))
    assert running.server is not None
    async with connection(running) as raw, connection(running) as idle:
        await idle.send(request(running, "GET", ITEMS))
        await raw.send(patch(running, path, 0, len(BODY)) + BODY[:40])
        await offset_reaches(running, path, 40)
        async with asyncio.timeout(PATIENCE_S):
            await running.server.stop()
        status, fields = await raw.answer()
        assert (status, fields["upload-offset"]) == (503, "40")
    await running.start()
    assert await running.offset(http, path) == 40


@pytest.mark.parametrize("cut", [0, 1, 50, 99])
async def test_U26_a_one_shot_upload_that_is_cut_makes_no_item(running: House, cut: int) -> None:
    async with connection(running) as raw:
        await raw.send(request(running, "PUT", f"{ITEMS}/clip.mp4", Content_Length=100) + b"x" * cut)
    await nothing_left(running)


async def nothing_left(house: House) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while house.storage.places():
            await asyncio.sleep(0.001)
    assert house.ledger.select() == []
