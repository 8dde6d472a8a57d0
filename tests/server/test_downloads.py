"""Downloads from a real server: fields, ranges, digests, and connections that end early."""

import asyncio
import base64
import hashlib
import os
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from dmc.protocol import ITEMS
from dmc.server import downloads
from dmc.server.representation import disposition
from tests.patience import PATIENCE_S
from tests.server.conftest import House
from tests.server.raw import connection, request

RESULT = os.urandom(100_000)


@pytest.fixture
async def item(running: House, http: aiohttp.ClientSession) -> str:
    """The id of an item that is converted into RESULT."""
    item_id = await running.upload(http, b"original bytes", filename="Süße Träume.mp4")
    running.finish(item_id, RESULT)
    return item_id


def digest(data: bytes) -> str:
    return f"sha-512=:{base64.b64encode(hashlib.sha512(data).digest()).decode()}:"


def result_file(running: House, item_id: str) -> Path:
    folder = running.storage.folder(item_id)
    assert folder is not None
    return folder / "out" / "result.mkv"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_D1_a_result_comes_with_everything_a_client_needs(http: aiohttp.ClientSession, item: str, method: str) -> None:
    async with http.request(method, f"{ITEMS}/{item}/result") as reply:
        assert reply.status == 200
        assert reply.headers["Content-Length"] == str(len(RESULT))
        assert reply.headers["ETag"] == f'"{hashlib.sha512(RESULT).hexdigest()}"'
        assert reply.headers["Last-Modified"].endswith("GMT")
        assert reply.headers["Accept-Ranges"] == "bytes"
        assert reply.headers["Repr-Digest"] == digest(RESULT)
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in reply.headers["Content-Security-Policy"]
        assert reply.headers["Content-Type"] == "video/x-matroska"
        assert "filename*=UTF-8''S%C3%BC%C3%9Fe%20Tr%C3%A4ume.mkv" in reply.headers["Content-Disposition"]
        assert await reply.read() == (RESULT if method == "GET" else b"")


async def test_D1_the_original_comes_back_as_it_was(http: aiohttp.ClientSession, item: str) -> None:
    async with http.get(f"{ITEMS}/{item}/original") as reply:
        assert await reply.read() == b"original bytes"
        assert reply.headers["Content-Type"] == "video/mp4"


@pytest.mark.parametrize(
    ("wanted", "start", "stop"), [("bytes=0-0", 0, 1), ("bytes=50000-", 50_000, 100_000), ("bytes=-7", 99_993, 100_000)]
)
async def test_D2_D10_a_part_tells_its_place_and_its_digest(
    http: aiohttp.ClientSession, item: str, wanted: str, start: int, stop: int
) -> None:
    async with http.get(f"{ITEMS}/{item}/result", headers={"Range": wanted}) as reply:
        assert reply.status == 206
        assert reply.headers["Content-Range"] == f"bytes {start}-{stop - 1}/100000"
        assert await reply.read() == RESULT[start:stop]
        assert reply.headers["ETag"] == f'"{hashlib.sha512(RESULT).hexdigest()}"'
        assert reply.headers["Repr-Digest"] == digest(RESULT)
        assert reply.headers["Content-Digest"] == digest(RESULT[start:stop])


async def test_D3_head_ignores_a_range(http: aiohttp.ClientSession, item: str) -> None:
    async with http.head(f"{ITEMS}/{item}/result", headers={"Range": "bytes=0-1"}) as reply:
        assert (reply.status, reply.headers["Content-Length"]) == (200, str(len(RESULT)))


async def test_D4_416_tells_the_length(http: aiohttp.ClientSession, item: str) -> None:
    async with http.get(f"{ITEMS}/{item}/result", headers={"Range": "bytes=100000-"}) as reply:
        assert (reply.status, reply.headers["Content-Range"]) == (416, "bytes */100000")


async def test_D4_an_empty_result_is_empty(running: House, http: aiohttp.ClientSession) -> None:
    item_id = await running.upload(http, b"x")
    running.finish(item_id, b"")
    async with http.get(f"{ITEMS}/{item_id}/result", headers={"Range": "bytes=0-"}) as reply:
        assert (reply.status, reply.headers["Content-Length"], await reply.read()) == (200, "0", b"")


async def test_D5_several_ranges_come_as_parts(http: aiohttp.ClientSession, item: str) -> None:
    async with http.get(f"{ITEMS}/{item}/result", headers={"Range": "bytes=10-19,0-4,-6"}) as reply:
        assert reply.status == 206
        assert reply.headers["Content-Type"].startswith("multipart/byteranges; boundary=")
        body = await reply.read()
        assert reply.headers["Content-Length"] == str(len(body))
        boundary = reply.headers["Content-Type"].partition("boundary=")[2]
    parts = body.split(f"\r\n--{boundary}".encode())
    assert [part.partition(b"\r\n\r\n")[2] for part in parts[1:-1]] == [RESULT[10:20], RESULT[:5], RESULT[-6:]]
    assert b"Content-Range: bytes 10-19/100000" in parts[1]
    assert parts[-1] == b"--\r\n"


async def test_D6_a_changed_etag_gets_the_whole_file(http: aiohttp.ClientSession, item: str) -> None:
    async with http.get(f"{ITEMS}/{item}/result", headers={"Range": "bytes=5-", "If-Range": '"stale"'}) as reply:
        assert (reply.status, await reply.read()) == (200, RESULT)


async def test_D6_the_same_date_resumes(http: aiohttp.ClientSession, item: str) -> None:
    async with http.head(f"{ITEMS}/{item}/result") as reply:
        date = reply.headers["Last-Modified"]
    async with http.get(f"{ITEMS}/{item}/result", headers={"Range": "bytes=5-", "If-Range": date}) as reply:
        assert (reply.status, await reply.read()) == (206, RESULT[5:])


async def test_D7_304_has_an_etag_and_no_body(http: aiohttp.ClientSession, item: str) -> None:
    etag = f'"{hashlib.sha512(RESULT).hexdigest()}"'
    async with http.get(f"{ITEMS}/{item}/result", headers={"If-None-Match": etag}) as reply:
        assert (reply.status, reply.headers["ETag"], await reply.read()) == (304, etag, b"")
    async with http.get(f"{ITEMS}/{item}/result", headers={"If-Match": '"other"'}) as reply:
        assert reply.status == 412


async def test_D8_a_file_that_is_shorter_than_it_should_be_is_not_served(running: House, http: aiohttp.ClientSession, item: str) -> None:
    os.truncate(result_file(running, item), 50_000)
    async with http.get(f"{ITEMS}/{item}/result") as reply:
        assert reply.status == 500


async def test_D8_a_file_cut_while_it_is_sent_ends_the_connection(running: House, http: aiohttp.ClientSession) -> None:
    size = 48 * 1024 * 1024
    item_id = await running.upload(http, b"x")
    running.finish(item_id, bytes(size))
    async with connection(running) as raw:
        await raw.send(request(running, "GET", f"{ITEMS}/{item_id}/result"))
        status, fields = await raw.answer()
        assert (status, fields["content-length"]) == (200, str(size))
        await raw.take(1024)
        os.truncate(result_file(running, item_id), 1024 * 1024)
        await raw.send(request(running, "GET", ITEMS))
        try:
            got = 1024 + len(await raw.rest())
        except ConnectionResetError:
            got = 0
        assert got < size, "the next answer must never be taken for the rest of this one"


async def test_D9_a_compressed_sibling_is_never_sent_instead(running: House, http: aiohttp.ClientSession, item: str) -> None:
    path = result_file(running, item)
    path.with_name(path.name + ".gz").write_bytes(b"something else")
    async with http.get(f"{ITEMS}/{item}/result", headers={"Accept-Encoding": "gzip, br"}) as reply:
        assert "Content-Encoding" not in reply.headers
        assert await reply.read() == RESULT


async def test_D12_a_client_that_leaves_at_any_byte_disturbs_nobody(running: House, http: aiohttp.ClientSession) -> None:
    item_id = await running.upload(http, b"x")
    running.finish(item_id, bytes(range(64)))
    for count in range(0, 64, 3):
        async with connection(running) as raw:
            await raw.send(request(running, "GET", f"{ITEMS}/{item_id}/result", Range=f"bytes={count}-"))
            status, _ = await raw.answer()
            assert status == 206
            await raw.take(64 - count if count % 2 else (64 - count) // 2)
    async with http.get(f"{ITEMS}/{item_id}/result") as reply:
        assert await reply.read() == bytes(range(64))


async def test_one_connection_carries_many_downloads(running: House, item: str) -> None:
    async with connection(running) as raw:
        for start in (0, 99_000, 50_000):
            await raw.send(request(running, "GET", f"{ITEMS}/{item}/result", Range=f"bytes={start}-{start + 99}"))
            status, fields = await raw.answer()
            assert (status, fields["content-length"]) == (206, "100")
            assert await raw.take(100) == RESULT[start : start + 100]


async def test_many_clients_get_their_own_bytes(running: House, http: aiohttp.ClientSession, item: str) -> None:
    async def part(start: int) -> bytes:
        async with http.get(f"{ITEMS}/{item}/result", headers={"Range": f"bytes={start}-{start + 9_999}"}) as reply:
            return await reply.read()

    parts = await asyncio.gather(*(part(start) for start in range(0, 100_000, 10_000)))
    assert b"".join(parts) == RESULT


async def test_an_item_without_a_result_says_why(running: House, http: aiohttp.ClientSession) -> None:
    item_id = await running.upload(http, b"x")
    for name in ("result", "receipt", "log"):
        async with http.get(f"{ITEMS}/{item_id}/{name}") as reply:
            assert reply.status == 404
            assert "to_do" in (await reply.json())["error"]["hint"]


async def test_U19_a_receipt_that_is_shared_never_tells_the_name_that_another_client_gave_the_file(
    running: House, http: aiohttp.ClientSession, item: str
) -> None:
    folder = running.storage.folder(item)
    assert folder is not None
    (folder / "out" / "receipt.json").write_text('{"schema": "dmc.receipt/1", "source": {"file_name": "diagnosis.mov", "file_size": 5}}')
    async with http.get(f"{ITEMS}/{item}/receipt") as reply:
        told = await reply.json()
    assert told == {"schema": "dmc.receipt/1", "source": {"file_name": running.ledger.get(item).original_file_name, "file_size": 5}}


@pytest.mark.parametrize("strange", ["link", "pipe", "folder"])
async def test_what_a_worker_puts_in_the_place_of_its_receipt_opens_nothing_else(
    running: House, http: aiohttp.ClientSession, strange: str
) -> None:
    item = await running.upload(http, b"12345")
    running.begin(item)
    folder = running.storage.folder(item)
    assert folder is not None
    (folder / "out").mkdir(exist_ok=True)
    place = folder / "out" / "receipt.json"
    if strange == "link":
        place.symlink_to(folder / "ticket.json")
    elif strange == "pipe":
        os.mkfifo(place)
    else:
        place.mkdir()
    async with asyncio.timeout(PATIENCE_S), http.get(f"{ITEMS}/{item}/receipt") as reply:
        assert reply.status == 404


async def test_of_a_log_without_end_the_end_is_shown(running: House, http: aiohttp.ClientSession, item: str) -> None:
    folder = running.storage.folder(item)
    assert folder is not None
    with (folder / "log.txt").open("wb") as log:
        log.truncate(3 * downloads.MOST_READ)
        log.seek(0, os.SEEK_END)
        log.write(b"the end\n")
    async with http.get(f"{ITEMS}/{item}/log") as reply:
        text = await reply.read()
    assert len(text) == downloads.MOST_READ
    assert text.endswith(b"\0the end\n")


async def test_receipt_and_log_are_served(http: aiohttp.ClientSession, item: str) -> None:
    async with http.get(f"{ITEMS}/{item}/receipt") as reply:
        assert await reply.json() == {"kept": []}
    async with http.get(f"{ITEMS}/{item}/log") as reply:
        assert (reply.content_type, await reply.text()) == ("text/plain", "converted\n")


async def test_another_client_gets_no_byte_of_mine(running: House, item: str) -> None:
    other = running.client(running.tokens.create("phone"))
    for name in ("result", "original", "receipt", "log"):
        async with other.get(f"{ITEMS}/{item}/{name}") as reply:
            assert reply.status == 404
    admin = running.client(running.tokens.create("root", ["read", "admin"]))
    async with admin.get(f"{ITEMS}/{item}/result") as reply:
        assert reply.status == 200


@pytest.mark.parametrize("name", ['a"b\\c.mkv', "a;b%c.mkv", "日本.mkv", "x\u202egpj.mkv"])
def test_D1_no_name_breaks_out_of_its_field(name: str) -> None:
    field = disposition(name, inline=False)
    plain = field.split('filename="')[1].split('"')[0]
    assert field.isascii()
    assert not set(plain) & set('"\\%;')


async def test_what_lies_beside_a_result_is_listed_and_served_in_ranges(running: House, http: aiohttp.ClientSession) -> None:
    item_id = await running.upload(http, b"original bytes", filename="holiday.mp4")
    running.finish(item_id, RESULT, beside={"result.3.mks": b"picture subtitles"})
    async with http.get(f"{ITEMS}/{item_id}") as reply:
        (told,) = (await reply.json())["result"]["sidecars"]
    assert told == {
        "file_name": "holiday.3.mks",
        "file_size": 17,
        "sha512_checksum": hashlib.sha512(b"picture subtitles").hexdigest(),
        "url": f"{ITEMS}/{item_id}/sidecars/result.3.mks",
    }
    async with http.get(told["url"], headers={"Range": "bytes=8-"}) as reply:
        assert (reply.status, await reply.read()) == (206, b"subtitles")
        assert "holiday.3.mks" in reply.headers["Content-Disposition"]


@pytest.mark.parametrize("name", ["result.4.mks", "receipt.json", "result.mkv", "..%2Foriginal.mp4"])
async def test_nothing_else_is_a_sidecar(running: House, http: aiohttp.ClientSession, name: str) -> None:
    item_id = await running.upload(http, b"original bytes", filename="holiday.mp4")
    running.finish(item_id, RESULT, beside={"result.3.mks": b"picture subtitles"})
    async with http.get(URL(f"{running.url}{ITEMS}/{item_id}/sidecars/{name}", encoded=True)) as reply:
        assert reply.status == 404
