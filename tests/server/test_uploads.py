"""tus 1.0 against a real server; each name carries the number of its requirement."""

import asyncio
import base64
import gzip
import hashlib
import os
import resource
from typing import Any

import aiohttp
import pytest

from dmc.protocol import ITEMS, OFFSET_TYPE, UPLOADS
from tests.server.conftest import House

TUS = {"Tus-Resumable": "1.0.0"}
DATA = bytes(range(256)) * 1000


def metadata(**values: str) -> str:
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items())


async def code_of(reply: aiohttp.ClientResponse) -> str:
    code: str = (await reply.json())["error"]["code"]
    return code


async def test_a_file_is_uploaded_seen_and_its_result_fetched(running: House, http: aiohttp.ClientSession) -> None:
    path = await running.create(http, len(DATA), sha512=hashlib.sha512(DATA).hexdigest())
    assert (await running.patch(http, path, 0, DATA[:100_000])).status == 204
    assert await running.offset(http, path) == 100_000
    last = await running.patch(http, path, 100_000, DATA[100_000:])
    assert last.status == 204
    item_id = last.headers["Dmc-Item"]
    assert item_id == path.rpartition("/")[2]
    running.finish(item_id, b"converted" * 1000)
    async with http.get(f"{ITEMS}/{item_id}/result") as reply:
        assert reply.status == 200
        assert await reply.read() == b"converted" * 1000
    async with http.get(ITEMS) as reply:
        assert [item["item_id"] for item in (await reply.json())["items"]] == [item_id]


async def test_U1_options_tells_what_the_server_can_do(http: aiohttp.ClientSession) -> None:
    async with http.options(UPLOADS, headers={"Tus-Resumable": "0.2.2"}) as reply:
        assert reply.status == 204
        assert reply.headers["Tus-Version"] == "1.0.0"
        assert reply.headers["Tus-Max-Size"] == str(64 * 1024 * 1024)
        assert {"creation", "creation-with-upload", "termination", "expiration"} <= set(reply.headers["Tus-Extension"].split(","))


@pytest.mark.parametrize("version", [None, "0.2.2", "1.0.1"])
async def test_U2_another_tus_version_is_refused_and_nothing_changes(
    running: House, http: aiohttp.ClientSession, version: str | None
) -> None:
    path = await running.create(http, 10)
    headers = {"Upload-Offset": "0", "Content-Type": OFFSET_TYPE} | ({"Tus-Resumable": version} if version else {})
    for method, where in (("POST", UPLOADS), ("HEAD", path), ("PATCH", path), ("DELETE", path)):
        async with http.request(method, where, headers=headers, data=b"x" if method == "PATCH" else None) as reply:
            assert reply.status == 412
            assert reply.headers["Tus-Version"] == "1.0.0"
    assert await running.offset(http, path) == 0


async def test_U2_the_method_override_counts(running: House, http: aiohttp.ClientSession) -> None:
    path = await running.create(http, 10)
    async with http.post(path, headers=TUS | {"X-HTTP-Method-Override": "HEAD"}) as reply:
        assert reply.headers["Upload-Offset"] == "0"
    headers = TUS | {"X-HTTP-Method-Override": "PATCH", "Upload-Offset": "0", "Content-Type": OFFSET_TYPE}
    async with http.post(path, headers=headers, data=b"01234") as reply:
        assert (reply.status, reply.headers["Upload-Offset"]) == (204, "5")
    async with http.post(path, headers=TUS | {"X-HTTP-Method-Override": "DELETE"}) as reply:
        assert reply.status == 204


@pytest.mark.parametrize(
    "lengths",
    [
        {},
        {"Upload-Length": "5", "Upload-Defer-Length": "1"},
        {"Upload-Length": "-1"},
        {"Upload-Length": "1.5"},
        {"Upload-Length": "x"},
        {"Upload-Length": str(2**63)},
        {"Upload-Length": "9" * 40},
        {"Upload-Length": "١"},
        {"Upload-Defer-Length": "2"},
    ],
)
async def test_U3_a_creation_without_a_right_length_is_refused(
    running: House, http: aiohttp.ClientSession, lengths: dict[str, str]
) -> None:
    async with http.post(UPLOADS, headers=TUS | lengths | {"Upload-Metadata": metadata(filename="a.mp4")}) as reply:
        assert reply.status == 400
        assert "Location" not in reply.headers
    assert running.storage.places() == []


async def test_U3_a_file_over_the_limit_is_refused_and_leaves_nothing(running: House, http: aiohttp.ClientSession) -> None:
    headers = TUS | {"Upload-Length": str(64 * 1024 * 1024 + 1), "Upload-Metadata": metadata(filename="a.mp4")}
    async with http.post(UPLOADS, headers=headers) as reply:
        assert (reply.status, await code_of(reply)) == (413, "TooLarge")
    assert running.storage.places() == []


async def test_U3_the_location_is_the_items_id_whatever_the_name(running: House, http: aiohttp.ClientSession) -> None:
    path = await running.create(http, 3, filename="../../etc/passwd.mp4")
    assert path.startswith(f"{UPLOADS}/0")
    assert "passwd" not in path


async def test_U3_an_empty_file_completes_at_once(running: House, http: aiohttp.ClientSession) -> None:
    headers = TUS | {"Upload-Length": "0", "Upload-Metadata": metadata(filename="a.mp4")}
    async with http.post(UPLOADS, headers=headers) as reply:
        assert (reply.status, reply.headers["Upload-Offset"]) == (201, "0")
        item = running.ledger.get(reply.headers["Dmc-Item"])
    assert item is not None
    assert (item.file_size, item.sha512_checksum) == (0, hashlib.sha512(b"").hexdigest())


@pytest.mark.parametrize(
    "field", ["filename ###", "filename YQ==,filename YQ==", " YQ==", "füllname YQ==", "filename YQ==,,x YQ==", "filename Y Q=="]
)
async def test_U4_malformed_metadata_is_refused(running: House, http: aiohttp.ClientSession, field: str) -> None:
    async with http.post(UPLOADS, headers=TUS | {"Upload-Length": "3", "Upload-Metadata": field}) as reply:
        assert reply.status == 400
    assert running.storage.places() == []


async def test_U3_the_location_is_absolute_and_believes_a_declared_proxy_only(running: House) -> None:
    async def location(**fields: str) -> str:
        named = TUS | {"Upload-Length": "5", "Upload-Metadata": metadata(filename="a.mp4")}
        async with running.client().post(UPLOADS, headers=named | fields) as reply:
            return reply.headers.get("Location", str(reply.status)).partition("/api/")[0]

    told = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "home.example:8443"}
    assert await location() == await location(**told) == running.url
    await running.restart(trusted_proxies=("127.0.0.0/8",))
    assert await location() == running.url
    assert await location(**told) == "https://home.example:8443"
    assert await location(**{"X-Forwarded-Host": "what.they.said, home.example"}) == "http://home.example"
    assert await location(**{"X-Forwarded-Proto": "javascript", "X-Forwarded-Host": "[::1]:80"}) == "http://[::1]:80"
    for wrong in ({"X-Forwarded-Host": "evil/../x"}, {"Host": "evil/../x"}):
        assert await location(**wrong) == ""


async def test_U4_metadata_comes_back_as_it_was_sent(running: House, http: aiohttp.ClientSession) -> None:
    field = metadata(filename="a.mp4", conversion_type="h265") + ",is_confidential,mine dGVzdA=="
    async with http.post(UPLOADS, headers=TUS | {"Upload-Length": "3", "Upload-Metadata": field}) as reply:
        path = running.path_of(reply)
    async with http.head(path, headers=TUS) as reply:
        assert reply.headers["Upload-Metadata"] == field


@pytest.mark.parametrize("name", ["../../x.mp4", "a/b\\c.mp4", "nul\x00.mp4", "new\nline.mp4", "..", "x" * 400 + ".mp4", "ё🎬.mp4"])
async def test_U4_a_name_is_a_label_and_never_reaches_a_path(running: House, http: aiohttp.ClientSession, name: str) -> None:
    item_id = await running.upload(http, b"abc", filename=name)
    item = running.ledger.get(item_id)
    assert item is not None
    assert not set(item.original_file_name) & set("/\\\0\n")
    assert 0 < len(item.original_file_name.encode()) <= 255
    assert item.original_file_name not in ("", ".", "..")
    folder = running.storage.folder(item_id)
    assert folder is not None
    assert {path.name for path in folder.iterdir()} == {item.current_file_name, "ticket.json"}
    assert item.current_file_name in ("original.mp4", "original.bin")


async def test_U5_head_tells_offset_and_length_and_is_never_cached(running: House, http: aiohttp.ClientSession) -> None:
    path = await running.create(http, 10)
    async with http.head(path, headers=TUS) as reply:
        assert (reply.status, reply.headers["Upload-Offset"], reply.headers["Upload-Length"]) == (200, "0", "10")
        assert reply.headers["Cache-Control"] == "no-store"
        assert reply.headers["Tus-Resumable"] == "1.0.0"


async def test_U5_an_unknown_upload_has_no_offset(http: aiohttp.ClientSession) -> None:
    async with http.head(f"{UPLOADS}/0190b2c0-0000-7000-8000-000000000000", headers=TUS) as reply:
        assert reply.status == 404
        assert "Upload-Offset" not in reply.headers


async def test_U6_another_content_type_is_refused(running: House, http: aiohttp.ClientSession) -> None:
    path = await running.create(http, 10)
    assert (await running.patch(http, path, 0, b"01234", Content_Type="application/octet-stream")).status == 415
    assert await running.offset(http, path) == 0


@pytest.mark.parametrize("offset", ["", "x", "-1", "1e3"])
async def test_U6_a_bad_offset_is_refused(running: House, http: aiohttp.ClientSession, offset: str) -> None:
    path = await running.create(http, 10)
    assert (await running.patch(http, path, 0, b"01234", Upload_Offset=offset)).status == 400


async def test_U6_a_wrong_offset_changes_not_one_byte(running: House, http: aiohttp.ClientSession) -> None:
    path = await running.create(http, 10)
    await running.patch(http, path, 0, b"01234")
    for offset in (0, 4, 6, 10):
        reply = await running.patch(http, path, offset, b"xxxx")
        assert (reply.status, reply.headers["Upload-Offset"]) == (409, "5")
    assert running.stored(path) == b"01234"


async def test_U10_other_bytes_than_announced_make_no_item(running: House, http: aiohttp.ClientSession) -> None:
    path = await running.create(http, len(DATA), sha512=hashlib.sha512(b"something else").hexdigest())
    async with http.patch(path, headers=TUS | {"Upload-Offset": "0", "Content-Type": OFFSET_TYPE}, data=DATA) as reply:
        assert (reply.status, await code_of(reply)) == (460, "whole_file_mismatch")
    async with http.head(path, headers=TUS) as reply:
        assert reply.status == 404
    assert running.storage.places() == []
    assert sum(running.ledger.counts().values()) == 0


async def test_U10_a_repr_digest_at_creation_counts_as_well(running: House, http: aiohttp.ClientSession) -> None:
    digest = base64.b64encode(hashlib.sha512(b"other").digest()).decode()
    headers = TUS | {"Upload-Length": "3", "Upload-Metadata": metadata(filename="a.mp4"), "Repr-Digest": f"sha-512=:{digest}:"}
    async with http.post(UPLOADS, headers=headers) as reply:
        path = running.path_of(reply)
    assert (await running.patch(http, path, 0, b"abc")).status == 460


async def test_U10_files_with_one_beginning_and_one_size_are_never_mixed(running: House, http: aiohttp.ClientSession) -> None:
    one, other = (DATA + ending for ending in (b"one", b"two"))
    first = await running.create(http, len(one), sha512=hashlib.sha512(one).hexdigest())
    second = await running.create(http, len(other), sha512=hashlib.sha512(other).hexdigest())
    assert first != second
    for path, data in ((first, one), (second, other)):
        assert (await running.patch(http, path, 0, data)).status == 204
    assert [running.stored(path) for path in (first, second)] == [one, other]
    third = await running.create(http, len(one), sha512=hashlib.sha512(one).hexdigest())
    await running.patch(http, third, 0, DATA)
    reply = await running.patch(http, third, len(DATA), b"two")
    assert reply.status == 460


async def test_U11_a_body_that_is_announced_too_long_is_refused_before_it_comes(running: House, http: aiohttp.ClientSession) -> None:
    path = await running.create(http, 10)
    assert (await running.patch(http, path, 0, b"x" * 11)).status == 413
    assert await running.offset(http, path) == 0


async def test_U11_a_chunked_body_is_cut_at_the_declared_length(running: House, http: aiohttp.ClientSession) -> None:
    async def endless() -> Any:
        for _ in range(100):
            yield b"0123456789" * 1000

    path = await running.create(http, 25_000)
    assert (await running.patch(http, path, 0, endless())).status == 413
    async with http.head(path, headers=TUS) as reply:
        assert reply.headers["Upload-Offset"] == "25000"
    assert len(running.stored(path)) == 25_000


async def test_U14_no_room_at_creation_creates_nothing(running: House, http: aiohttp.ClientSession) -> None:
    running.storage.free = 1000
    headers = TUS | {"Upload-Length": "1001", "Upload-Metadata": metadata(filename="a.mp4")}
    async with http.post(UPLOADS, headers=headers) as reply:
        assert (reply.status, await code_of(reply)) == (507, "DiskFull")
        assert "Retry-After" in reply.headers
    assert running.storage.places() == []


async def test_U14_what_open_uploads_will_need_is_spoken_for(running: House, http: aiohttp.ClientSession) -> None:
    running.storage.free = 1000
    first = await running.create(http, 600)
    headers = TUS | {"Upload-Length": "500", "Upload-Metadata": metadata(filename="a.mp4")}
    async with http.post(UPLOADS, headers=headers) as reply:
        assert reply.status == 507
    async with http.delete(first, headers=TUS) as reply:
        assert reply.status == 204
    await running.create(http, 500)


async def test_U14_a_disk_that_fills_up_keeps_what_was_stored(running: House, http: aiohttp.ClientSession) -> None:
    path = await running.create(http, len(DATA))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        reply = await running.patch(http, path, 0, DATA)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert reply.status == 507
    assert await running.offset(http, path) == 100_000
    assert running.stored(path) == DATA[:100_000]
    assert (await running.patch(http, path, 100_000, DATA[100_000:])).status == 204


async def test_U15_an_untouched_upload_expires_and_says_when(house: House) -> None:
    await house.start(expiry_s=3600.0)
    http = house.client()
    path = await house.create(http, 10)
    async with http.head(path, headers=TUS) as reply:
        assert reply.headers["Upload-Expires"].endswith("GMT")
    assert house.server is not None
    await house.server.sweep()
    assert await house.offset(http, path) == 0
    await house.restart(expiry_s=0.0)
    assert house.server is not None
    await house.server.sweep()
    async with http.head(path, headers=TUS) as reply:
        assert reply.status == 410
    assert house.storage.places() == []


async def test_U16_the_same_key_gives_the_same_upload_and_later_the_same_item(running: House, http: aiohttp.ClientSession) -> None:
    first = await running.create(http, len(DATA), idempotency_key="outbox-1")
    assert await running.create(http, len(DATA), idempotency_key="outbox-1") == first
    assert await running.create(http, len(DATA), idempotency_key="outbox-2") != first
    await running.patch(http, first, 0, DATA)
    assert await running.create(http, len(DATA), idempotency_key="outbox-1") == first
    other = running.client(running.tokens.create("phone"))
    assert await running.create(other, len(DATA), idempotency_key="outbox-1") != first


async def test_U16_a_key_whose_file_is_just_being_sent_whole_is_not_mixed_with_another(running: House, http: aiohttp.ClientSession) -> None:
    await running.create(http, 10, idempotency_key="k")
    async with http.put(f"{ITEMS}/clip.mp4", data=b"0123456789", headers={"Idempotency-Key": "k"}) as reply:
        assert reply.status == 409


async def test_U16_a_key_is_for_one_file(running: House, http: aiohttp.ClientSession) -> None:
    await running.create(http, 10, idempotency_key="k")
    headers = TUS | {"Upload-Length": "11", "Upload-Metadata": metadata(filename="clip.mp4", idempotency_key="k")}
    async with http.post(UPLOADS, headers=headers) as reply:
        assert reply.status == 409


async def test_U17_a_completed_upload_goes_on_answering(running: House, http: aiohttp.ClientSession) -> None:
    path = await running.create(http, len(DATA))
    item_id = (await running.patch(http, path, 0, DATA)).headers["Dmc-Item"]
    for _ in range(2):
        async with http.head(path, headers=TUS) as reply:
            assert (reply.status, reply.headers["Upload-Offset"], reply.headers["Upload-Length"]) == (200, str(len(DATA)), str(len(DATA)))
            assert reply.headers["Dmc-Item"] == item_id
        again = await running.patch(http, path, len(DATA), b"")
        assert (again.status, again.headers["Dmc-Item"]) == (204, item_id)
        await running.restart()
    assert (await running.patch(http, path, 0, DATA)).status == 409
    assert len(running.ledger.select()) == 1


async def test_U18_an_item_stands_in_the_ledger_once_the_answer_is_there(running: House, http: aiohttp.ClientSession) -> None:
    item_id = await running.upload(http, DATA)
    item = running.ledger.get(item_id)
    assert item is not None
    assert (item.file_size, item.sha512_checksum) == (len(DATA), hashlib.sha512(DATA).hexdigest())
    assert (item.client_id, item.original_file_name, item.conversion_type) == ("laptop", "clip.mp4", "h265")
    assert running.stored(item_id) == DATA


async def test_U18_a_full_upload_that_was_not_admitted_is_after_a_restart(running: House, http: aiohttp.ClientSession) -> None:
    path = await running.create(http, 10)
    folder = running.storage.folder(path.rpartition("/")[2])
    assert folder is not None
    assert running.server is not None
    await running.server.stop()
    (folder / "original.mp4").write_bytes(b"0123456789")
    await running.start()
    async with http.head(path, headers=TUS) as reply:
        assert reply.headers["Dmc-Item"] == path.rpartition("/")[2]


async def test_U20_a_deleted_upload_is_gone_and_its_bytes_too(running: House, http: aiohttp.ClientSession) -> None:
    path = await running.create(http, len(DATA))
    await running.patch(http, path, 0, DATA[:5000])
    async with http.delete(path, headers=TUS) as reply:
        assert reply.status == 204
    for method in ("HEAD", "DELETE"):
        async with http.request(method, path, headers=TUS) as reply:
            assert reply.status == 404
    assert running.storage.places() == []


async def test_U20_deleting_never_touches_what_is_an_item(running: House, http: aiohttp.ClientSession) -> None:
    item_id = await running.upload(http, DATA)
    async with http.delete(f"{UPLOADS}/{item_id}", headers=TUS) as reply:
        assert reply.status == 409
    assert running.ledger.get(item_id) is not None
    assert running.stored(item_id) == DATA


async def test_U22_an_encoding_changes_no_stored_byte(running: House, http: aiohttp.ClientSession) -> None:
    packed = gzip.compress(DATA)
    path = await running.create(http, len(packed))
    assert (await running.patch(http, path, 0, packed, Content_Encoding="gzip")).status == 204
    assert running.stored(path) == packed


async def test_U24_a_client_has_only_so_many_open_uploads(house: House) -> None:
    await house.start(max_open_uploads_per_client=3)
    http = house.client()
    for _ in range(3):
        await house.create(http, 10)
    headers = TUS | {"Upload-Length": "10", "Upload-Metadata": metadata(filename="a.mp4")}
    async with http.post(UPLOADS, headers=headers) as reply:
        assert reply.status == 429
        assert int(reply.headers["Retry-After"]) > 0
    await house.create(house.client(house.tokens.create("phone")), 10)


async def test_U24_a_header_field_has_a_limit(http: aiohttp.ClientSession) -> None:
    field = metadata(filename="a.mp4", mine="x" * 8000)
    async with http.post(UPLOADS, headers=TUS | {"Upload-Length": "10", "Upload-Metadata": field}) as reply:
        assert reply.status == 400


@pytest.mark.parametrize(
    ("values", "status", "code"),
    [
        ({"conversion_type": "h266"}, 415, "UnknownConversion"),
        ({"conversion_type": "webp"}, 415, "UnfitConversion"),
        ({"filename": "unknown.xyz", "conversion_type": ""}, 400, "BadRequest"),
        ({"client_id": "somebody"}, 403, "NotAllowed"),
        ({"sha512": "abc"}, 400, "BadRequest"),
        ({"options": "[]"}, 400, "BadRequest"),
        ({"options": '{"colour": 1}'}, 400, "BadRequest"),
        ({"options": '{"start": 2, "end": "00:00:01"}'}, 400, "BadRequest"),
    ],
)
async def test_a_file_is_refused_before_its_first_byte(
    running: House, http: aiohttp.ClientSession, values: dict[str, str], status: int, code: str
) -> None:
    known = {"filename": "clip.mp4", "conversion_type": "h265"} | values
    async with http.post(UPLOADS, headers=TUS | {"Upload-Length": "10", "Upload-Metadata": metadata(**known)}) as reply:
        assert (reply.status, await code_of(reply)) == (status, code)
    assert running.storage.places() == []


async def test_a_medium_that_the_server_does_not_take_is_refused(house: House) -> None:
    await house.start(media_types=("audio",))
    headers = TUS | {"Upload-Length": "10", "Upload-Metadata": metadata(filename="clip.mp4")}
    async with house.client().post(UPLOADS, headers=headers) as reply:
        assert (reply.status, await code_of(reply)) == (415, "Unsupported")


async def test_the_first_bytes_may_come_with_the_creation(running: House, http: aiohttp.ClientSession) -> None:
    headers = TUS | {"Upload-Length": "10", "Upload-Metadata": metadata(filename="a.mp4"), "Content-Type": OFFSET_TYPE}
    async with http.post(UPLOADS, headers=headers, data=b"01234") as reply:
        assert (reply.status, reply.headers["Upload-Offset"]) == (201, "5")
        path = running.path_of(reply)
    assert (await running.patch(http, path, 5, b"56789")).status == 204
    assert running.stored(path) == b"0123456789"


async def test_another_client_sees_no_upload_of_mine(running: House, http: aiohttp.ClientSession) -> None:
    path = await running.create(http, 10)
    other = running.client(running.tokens.create("phone"))
    for method in ("HEAD", "PATCH", "DELETE"):
        headers = TUS | {"Upload-Offset": "0", "Content-Type": OFFSET_TYPE}
        async with other.request(method, path, headers=headers) as reply:
            assert reply.status == 404
    assert await running.offset(http, path) == 0


async def test_many_uploads_at_once_do_not_mix(running: House, http: aiohttp.ClientSession) -> None:
    contents = [os.urandom(300_000) for _ in range(8)]
    ids = await asyncio.gather(*(running.upload(http, content) for content in contents))
    assert [running.stored(item_id) for item_id in ids] == contents


async def test_U8_an_offset_never_shrinks_across_restarts(running: House, http: aiohttp.ClientSession) -> None:
    path = await running.create(http, len(DATA), sha512=hashlib.sha512(DATA).hexdigest())
    told = 0
    for stop in range(50_000, len(DATA) + 1, 50_000):
        reply = await running.patch(http, path, told, DATA[told:stop])
        told = int(reply.headers["Upload-Offset"])
        await running.restart()
        assert await running.offset(http, path) == told
    assert (await running.patch(http, path, told, DATA[told:])).status == 204
    assert running.stored(path) == DATA
