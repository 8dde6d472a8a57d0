"""The extensions of tus: checksum, deferred length, concatenation."""

import asyncio
import base64
import hashlib
import json
import os

import aiohttp
import pytest

from dmc.protocol import OFFSET_TYPE, UPLOADS
from dmc.server.tus_headers import format_metadata
from dmc.server.upload import STATE_FILE
from tests.patience import PATIENCE_S
from tests.server.conftest import House
from tests.server.raw import connection, patch

TUS = {"Tus-Resumable": "1.0.0"}
DATA = os.urandom(300_000)
FILE = {"Upload-Metadata": format_metadata({"filename": "clip.mp4", "conversion_type": "h265"})}


def checksum(algorithm: str, data: bytes) -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"


async def test_U9_the_algorithms_are_told(http: aiohttp.ClientSession) -> None:
    async with http.options(UPLOADS) as reply:
        assert reply.headers["Tus-Checksum-Algorithm"] == "sha1,sha256,sha512"
        assert "checksum-trailer" not in reply.headers["Tus-Extension"]


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
async def test_U9_a_part_with_its_checksum_is_kept(running: House, http: aiohttp.ClientSession, algorithm: str) -> None:
    path = await running.create(http, len(DATA), sha512=hashlib.sha512(DATA).hexdigest())
    for start in range(0, len(DATA), 100_000):
        part = DATA[start : start + 100_000]
        reply = await running.patch(http, path, start, part, Upload_Checksum=checksum(algorithm, part))
        assert reply.status == 204
    assert running.stored(path) == DATA
    assert reply.headers["Dmc-Item"]


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
async def test_U9_a_damaged_part_is_dropped_whole(running: House, http: aiohttp.ClientSession, algorithm: str) -> None:
    path = await running.create(http, len(DATA), sha512=hashlib.sha512(DATA).hexdigest())
    await running.patch(http, path, 0, DATA[:1000])
    wrong = await running.patch(http, path, 1000, b"x" * 5000, Upload_Checksum=checksum(algorithm, b"y" * 5000))
    assert wrong.status == 460
    assert await running.offset(http, path) == 1000
    assert running.stored(path) == DATA[:1000]
    last = await running.patch(http, path, 1000, DATA[1000:], Upload_Checksum=checksum(algorithm, DATA[1000:]))
    assert (last.status, running.stored(path)) == (204, DATA)


@pytest.mark.parametrize("field", ["md5 AAAA", "sha1", "sha1 ###", "sha256 " + base64.b64encode(b"short").decode(), ""])
async def test_U9_an_unknown_checksum_is_refused(running: House, http: aiohttp.ClientSession, field: str) -> None:
    path = await running.create(http, 10)
    assert (await running.patch(http, path, 0, b"01234", Upload_Checksum=field)).status == 400
    assert await running.offset(http, path) == 0


async def test_U9_a_part_with_a_checksum_that_is_cut_is_dropped_whole(running: House, http: aiohttp.ClientSession) -> None:
    path = await running.create(http, len(DATA))
    await running.patch(http, path, 0, DATA[:1000])
    async with connection(running) as raw:
        await raw.send(patch(running, path, 1000, 50_000, Upload_Checksum=checksum("sha256", DATA[1000:51_000])) + DATA[1000:31_000])
        async with asyncio.timeout(PATIENCE_S):
            while len(running.stored(path)) < 31_000:
                await asyncio.sleep(0.001)
        assert await running.offset(http, path) == 1000
    assert running.stored(path) == DATA[:1000]


async def test_U9_an_open_part_is_taken_back_after_a_kill(running: House, http: aiohttp.ClientSession) -> None:
    path = await running.create(http, len(DATA))
    await running.patch(http, path, 0, DATA[:1000])
    folder = running.storage.folder(path.rpartition("/")[2])
    assert folder is not None
    assert running.server is not None
    await running.server.stop()
    # What a kill in the middle of a checked part leaves: its mark, and bytes behind it.
    (folder / "unverified").write_text("1000")
    with (folder / "original.mp4").open("ab") as file:
        file.write(b"not verified")
    await running.start()
    assert await running.offset(http, path) == 1000
    assert (await running.patch(http, path, 1000, DATA[1000:])).status == 204
    assert running.stored(path) == DATA


async def test_an_upload_outlives_a_rollback_from_a_version_that_notes_more(running: House, http: aiohttp.ClientSession) -> None:
    async with http.post(UPLOADS, headers=TUS | FILE | {"Upload-Defer-Length": "1"}) as reply:
        path = running.path_of(reply)
    await running.patch(http, path, 0, DATA[:1000])
    folder = running.storage.folder(path.rpartition("/")[2])
    assert folder is not None
    record = json.loads((folder / STATE_FILE).read_text())
    (folder / STATE_FILE).write_text(json.dumps(record | {"of_tomorrow": 1}))
    await running.restart()
    assert await running.offset(http, path) == 1000
    assert (await running.patch(http, path, 1000, b"", Upload_Length=str(len(DATA)))).status == 204
    assert json.loads((folder / STATE_FILE).read_text()) == record | {"length": len(DATA), "of_tomorrow": 1}


async def test_a_length_may_be_told_later(running: House, http: aiohttp.ClientSession) -> None:
    async with http.post(UPLOADS, headers=TUS | FILE | {"Upload-Defer-Length": "1"}) as reply:
        assert reply.status == 201
        path = running.path_of(reply)
    await running.patch(http, path, 0, DATA[:1000])
    async with http.head(path, headers=TUS) as reply:
        assert (reply.headers["Upload-Defer-Length"], reply.headers["Upload-Offset"]) == ("1", "1000")
        assert "Upload-Length" not in reply.headers
    await running.restart()
    assert (await running.patch(http, path, 1000, DATA[1000:2000], Upload_Length=str(len(DATA)))).status == 204
    await running.restart()
    async with http.head(path, headers=TUS) as reply:
        assert reply.headers["Upload-Length"] == str(len(DATA))
    for length in (len(DATA) + 1, 5):
        assert (await running.patch(http, path, 2000, b"", Upload_Length=str(length))).status == 400
    assert (await running.patch(http, path, 2000, DATA[2000:])).headers["Dmc-Item"] == path.rpartition("/")[2]
    assert running.stored(path) == DATA


async def test_a_late_length_completes_what_is_there(running: House, http: aiohttp.ClientSession) -> None:
    async with http.post(UPLOADS, headers=TUS | FILE | {"Upload-Defer-Length": "1"}) as reply:
        path = running.path_of(reply)
    await running.patch(http, path, 0, DATA)
    reply = await running.patch(http, path, len(DATA), b"", Upload_Length=str(len(DATA)))
    assert (reply.status, reply.headers["Dmc-Item"]) == (204, path.rpartition("/")[2])


async def test_a_late_length_has_the_same_limits(running: House, http: aiohttp.ClientSession) -> None:
    async with http.post(UPLOADS, headers=TUS | FILE | {"Upload-Defer-Length": "1"}) as reply:
        path = running.path_of(reply)
    assert (await running.patch(http, path, 0, b"", Upload_Length=str(64 * 1024 * 1024 + 1))).status == 413
    running.storage.free = 1000
    assert (await running.patch(http, path, 0, b"", Upload_Length="2000")).status == 507


async def part(http: aiohttp.ClientSession, data: bytes, *, sent: int | None = None) -> str:
    """A partial upload; its path."""
    headers = TUS | {"Upload-Length": str(len(data)), "Upload-Concat": "partial", "Content-Type": OFFSET_TYPE}
    async with http.post(UPLOADS, headers=headers, data=data[:sent]) as reply:
        assert reply.status == 201
        return reply.headers["Location"].removeprefix(str(reply.url.origin()))


async def test_U25_parts_become_one_item_in_their_order(running: House, http: aiohttp.ClientSession) -> None:
    first, second = await part(http, DATA[:100_000]), await part(http, DATA[100_000:])
    async with http.head(first, headers=TUS) as reply:
        assert (reply.headers["Upload-Concat"], reply.headers["Upload-Offset"]) == ("partial", "100000")
    field = f"final;{first} {running.url}{second} {first}"
    wanted = DATA + DATA[:100_000]
    digest = format_metadata({"filename": "clip.mp4", "sha512": hashlib.sha512(wanted).hexdigest()})
    async with http.post(UPLOADS, headers=TUS | {"Upload-Concat": field, "Upload-Metadata": digest}) as reply:
        assert reply.status == 201, await reply.text()
        path, item_id = running.path_of(reply), reply.headers["Dmc-Item"]
    assert running.stored(item_id) == wanted
    async with http.head(path, headers=TUS) as reply:
        assert (reply.headers["Upload-Length"], reply.headers["Upload-Concat"]) == (str(len(wanted)), field)
    assert (await running.patch(http, path, len(wanted), b"")).status == 403
    assert [item.item_id for item in running.ledger.select()] == [item_id]


async def test_U25_wrong_finals_make_no_item(running: House, http: aiohttp.ClientSession) -> None:
    whole, open_part = await part(http, DATA[:1000]), await part(http, DATA[:1000], sent=500)
    plain = await running.create(http, 10)
    other = running.client(running.tokens.create("phone"))
    theirs = await part(other, b"theirs")
    for named in ("", open_part, plain, theirs, f"{whole} {UPLOADS}/nothing", "/etc/passwd"):
        async with http.post(UPLOADS, headers=TUS | FILE | {"Upload-Concat": f"final;{named}"}) as reply:
            assert reply.status == 400, named
    async with http.post(UPLOADS, headers=TUS | FILE | {"Upload-Concat": f"final;{whole}", "Upload-Length": "1000"}) as reply:
        assert reply.status == 400
    async with http.post(UPLOADS, headers=TUS | FILE | {"Upload-Concat": "something", "Upload-Length": "1000"}) as reply:
        assert reply.status == 400
    assert running.ledger.select() == []


async def test_U25_a_final_whose_part_is_busy_leaves_nothing_behind(house: House) -> None:
    await house.start(take_over_s=0.05)
    http = house.client()
    path = await part(http, DATA)
    upload = house.server.uploads.find(path.rpartition("/")[2]) if house.server else None
    assert upload is not None
    headers = TUS | {"Upload-Concat": f"final;{path}", "Upload-Metadata": format_metadata({"filename": "a.mp4", "idempotency_key": "k"})}
    async with upload.lock, http.post(UPLOADS, headers=headers) as reply:
        assert reply.status == 423
    async with http.post(UPLOADS, headers=headers) as reply:
        assert reply.status == 201, await reply.text()


async def test_U25_a_part_never_becomes_an_item_by_itself(running: House, http: aiohttp.ClientSession) -> None:
    path = await part(http, DATA)
    await running.restart()
    async with http.head(path, headers=TUS) as reply:
        assert reply.headers["Upload-Concat"] == "partial"
    assert running.ledger.select() == []
