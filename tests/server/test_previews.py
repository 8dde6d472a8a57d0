"""Facts and previews of finished items: in their views, as files with digests and ranges, and gone with the item."""

import errno
import hashlib
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dmc.products import MOST_BYTES, Products
from dmc.protocol import ITEMS
from dmc.server.shelf import Shelf
from tests.server.conftest import House

POSTER, SPRITE = b"RIFF poster WEBP", b"RIFF sprite, many frames WEBP"
FACTS = {"duration_s": 11.0, "width": 1280, "height": 720, "video_codec": "hevc", "audio_codec": "opus", "container": "matroska,webm"}
FACTS |= {"recorded_at": "2019-05-04T12:33:01Z", "latitude": 48.1, "longitude": 11.5, "placeholder": "data:image/webp;base64,UklGRg=="}


def preview(name: str, data: bytes, **more: int) -> dict[str, Any]:
    size = {"file_name": f"{name}.webp", "file_size": len(data), "sha512_checksum": hashlib.sha512(data).hexdigest()}
    return size | {"width": 320, "height": 180} | more


PRODUCTS = {
    "schema": "dmc.facts/1",
    "facts": FACTS,
    "poster": preview("poster", POSTER),
    "sprite": preview("sprite", SPRITE, columns=5, rows=4, frames=20, width=160, height=90),
    "notes": [],
}


def lay_out(running: House, item_id: str, text: str | bytes = json.dumps(PRODUCTS)) -> Path:
    """What a worker leaves beside a result."""
    running.finish(item_id, b"the result")
    folder = running.storage.folder(item_id)
    assert folder is not None
    (folder / "out" / "facts.json").write_bytes(text.encode() if isinstance(text, str) else text)
    (folder / "out" / "poster.webp").write_bytes(POSTER)
    (folder / "out" / "sprite.webp").write_bytes(SPRITE)
    return folder


@pytest.fixture
async def item(running: House, http: aiohttp.ClientSession) -> str:
    item_id = await running.upload(http, b"original bytes")
    lay_out(running, item_id)
    return item_id


async def test_a_finished_item_tells_its_facts_and_where_its_previews_are(http: aiohttp.ClientSession, item: str) -> None:
    async with http.get(f"{ITEMS}/{item}") as reply:
        told = await reply.json()
    assert told["facts"] == FACTS
    poster, sprite = told["previews"]["poster_url"], told["previews"]["sprite"]
    assert told["previews"]["waveform_url"] is None
    assert {key: sprite[key] for key in ("columns", "rows", "frames", "width", "height")} == {
        "columns": 5,
        "rows": 4,
        "frames": 20,
        "width": 160,
        "height": 90,
    }
    for url, data in ((poster, POSTER), (sprite["url"], SPRITE)):
        async with http.get(url) as reply:
            assert (reply.status, reply.headers["Content-Type"], await reply.read()) == (200, "image/webp", data)
            assert reply.headers["Cache-Control"] == "private, max-age=31536000, immutable"
            assert reply.headers["ETag"] == f'"{hashlib.sha512(data).hexdigest()}"'
            etag = reply.headers["ETag"]
        async with http.get(url, headers={"If-None-Match": etag}) as reply:
            assert reply.status == 304
        async with http.get(url, headers={"Range": "bytes=0-3"}) as reply:
            assert (reply.status, await reply.read()) == (206, b"RIFF")


async def test_a_preview_by_its_plain_name_is_asked_for_again(http: aiohttp.ClientSession, item: str) -> None:
    async with http.get(f"{ITEMS}/{item}/poster") as reply:
        assert (reply.status, reply.headers["Cache-Control"]) == (200, "private, no-cache")


async def test_an_item_that_is_not_finished_has_neither_facts_nor_previews(running: House, http: aiohttp.ClientSession) -> None:
    item_id = await running.upload(http, b"bytes")
    async with http.get(f"{ITEMS}/{item_id}") as reply:
        told = await reply.json()
    assert told["facts"] is None
    assert told["previews"] == {"poster_url": None, "sprite": None, "waveform_url": None}
    async with http.get(f"{ITEMS}/{item_id}/poster") as reply:
        assert reply.status == 404


async def test_previews_of_somebody_else_do_not_exist(running: House, item: str) -> None:
    stranger = running.client(running.tokens.create("stranger"))
    async with stranger.get(f"{ITEMS}/{item}/poster") as reply:
        assert reply.status == 404


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"schema": "dmc.facts/2"}',
        json.dumps(PRODUCTS | {"poster": PRODUCTS["poster"] | {"file_name": "../../ticket.json"}}),  # type: ignore[operator]
        json.dumps(PRODUCTS | {"facts": FACTS | {"placeholder": "https://elsewhere.example/spy.gif"}}),
        json.dumps(PRODUCTS | {"facts": FACTS | {"latitude": 4711}}),
        json.dumps(PRODUCTS | {"notes": ["x" * MOST_BYTES]}),
        b"\xff\xfe{}",
    ],
    ids=["empty", "torn", "no object", "newer", "another file", "a link out", "nowhere", "too long", "no text"],
)
async def test_facts_that_make_no_sense_are_none(running: House, http: aiohttp.ClientSession, text: str | bytes) -> None:
    item_id = await running.upload(http, b"bytes")
    lay_out(running, item_id, text)
    async with http.get(f"{ITEMS}/{item_id}") as reply:
        told = await reply.json()
    assert (told["status"], told["facts"], told["previews"]["poster_url"]) == ("finished_successful", None, None)


async def test_a_preview_that_is_not_as_it_was_described_is_not_sent(running: House, http: aiohttp.ClientSession, item: str) -> None:
    folder = running.storage.folder(item)
    assert folder is not None
    (folder / "out" / "poster.webp").write_bytes(POSTER + b"more")
    async with http.get(f"{ITEMS}/{item}/poster") as reply:
        assert reply.status == 500


async def test_the_shelf_reads_each_item_once_and_forgets_the_oldest(running: House, http: aiohttp.ClientSession) -> None:
    ids = [await running.upload(http, b"bytes %d" % n, conversion_type="h265") for n in range(3)]
    folders = [lay_out(running, item_id) for item_id in ids]
    items = [running.ledger.get(item_id) for item_id in ids]
    shelf = Shelf(running.storage, kept=2)
    assert all(isinstance(shelf.of(item), Products) for item in items if item is not None)
    for folder in folders:
        (folder / "out" / "facts.json").unlink()
    found = [shelf.of(item) for item in (items[2], items[1], items[0]) if item is not None]
    assert [known is not None for known in found] == [True, True, False]


async def test_facts_that_could_not_be_read_for_a_moment_are_not_forgotten_for_good(
    running: House, item: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_many(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    shelf, known = Shelf(running.storage), running.ledger.get(item)
    assert known is not None
    with monkeypatch.context() as short:
        short.setattr(Path, "open", too_many)
        assert shelf.of(known) is None
    assert shelf.of(known) is not None
