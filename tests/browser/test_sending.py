"""Uploads of the page through what ends them: a reload, a killed server, a dropped connection; and playing what came of it. Slow."""

import asyncio
import hashlib
import os
import random
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dmc.protocol import ITEMS
from tests.browser.conftest import Browser, link_of, new_browser
from tests.browser.test_views import expect
from tests.journeys.proxy import Proxy
from tests.server.conftest import House
from tests.server.test_uploads_killed import Process

pytestmark = pytest.mark.slow

MB = 1_000_000
BIG = 50 * MB


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """50 MB that only look like a film by their name."""
    file = tmp_path / "film.mp4"
    file.write_bytes(random.Random(6).randbytes(BIG))
    return file


@asynccontextmanager
async def a_process(data: Path) -> AsyncIterator[Process]:
    process = Process(data)
    await process.start()
    try:
        yield process
    finally:
        if process.process is not None and process.process.returncode is None:
            await process.end(signal.SIGKILL)


async def reached(data: Path, least: int) -> int:
    """Bytes of the upload on the server's disk, once there are so many."""
    async with asyncio.timeout(60):
        while (size := stored(data)) < least:
            await asyncio.sleep(0.02)
    return size


def stored(data: Path) -> int:
    return sum(file.stat().st_size for file in data.glob("incoming/*/original.*"))


def check_arrived_once(data: Path, file: Path) -> None:
    """The server has this file, whole, and no other; without a broker it stands where it came in."""
    (found,) = data.glob("*/*/original.*")
    assert hashlib.sha512(found.read_bytes()).digest() == hashlib.sha512(file.read_bytes()).digest()


async def sign_in(page: Any, secret: str) -> None:
    await page.get_by_label("Token").fill(secret)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("button", name="Choose files")).to_be_visible()


async def test_50_mb_go_on_after_a_cut_a_killed_server_and_a_reload(chromium: Any, tmp_path: Path, film: Path) -> None:
    data = tmp_path / "data"
    async with a_process(data) as process:
        proxy = Proxy(int(process.url.rpartition(":")[2]), rate=20 * MB)
        browser = await new_browser(chromium, f"http://127.0.0.1:{proxy.port}")
        page = await browser.tab()
        await sign_in(page, process.secret)
        offsets: list[int] = []
        browser.context.on("request", lambda sent: sent.method == "PATCH" and offsets.append(int(sent.headers["upload-offset"])))
        # A dropped connection.
        proxy.cut_after = 8 * MB
        await page.set_input_files("#files", str(film))
        await expect(page.get_by_role("heading", name="On their way")).to_be_visible()
        await reached(data, 6 * MB)
        while not proxy.cuts:
            await asyncio.sleep(0.02)
        proxy.cut_after = None
        await reached(data, 14 * MB)
        # A killed server, which comes back at another port behind the same address.
        await process.end(signal.SIGKILL)
        await expect(page.get_by_text("the connection broke; trying again").first).to_be_visible()
        await process.start()
        proxy.target = int(process.url.rpartition(":")[2])
        before = await reached(data, 24 * MB)
        # A reload: the browser kept the file, so nobody has to choose it again.
        await page.reload()
        await expect(page.get_by_role("heading", name="On their way")).to_be_visible()
        await expect(page.get_by_text("is on the server").first).to_be_visible(timeout=60_000)
        check_arrived_once(data, film)
        assert offsets[-1] >= before - 4 * MB, "what was there was not sent twice"
        assert len(offsets) >= 3
        await page.reload()
        await expect(page.get_by_role("heading", name="On their way")).to_have_count(0)
        browser.check_quiet(server_was_gone=True)
        async with process.client() as http, http.get(ITEMS) as reply:
            assert (await reply.json())["total"] == 1
        proxy.close()


async def test_a_file_that_the_browser_could_not_keep_is_asked_for_and_goes_on(chromium: Any, tmp_path: Path, film: Path) -> None:
    data = tmp_path / "data"
    async with a_process(data) as process:
        proxy = Proxy(int(process.url.rpartition(":")[2]), hold_after=10 * MB)
        browser = await new_browser(chromium, f"http://127.0.0.1:{proxy.port}")
        # As in a browser that stores no files: only what is plain.
        await browser.context.add_init_script(
            """const put = IDBObjectStore.prototype.put;
            IDBObjectStore.prototype.put = function (value) {
                if (value.copy || value.handle) throw new Error("no");
                return put.call(this, value);
            };"""
        )
        page = await browser.tab()
        await sign_in(page, process.secret)
        await page.set_input_files("#files", str(film))
        before = await reached(data, 8 * MB)
        page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
        await page.reload()
        await expect(page.get_by_text("Choose or drop the same file again").first).to_be_visible()
        proxy.hold_after = None
        offsets: list[int] = []
        page.on("request", lambda sent: sent.method == "PATCH" and offsets.append(int(sent.headers["upload-offset"])))
        await page.set_input_files("#files", str(film))
        await expect(page.get_by_text("is on the server").first).to_be_visible(timeout=60_000)
        check_arrived_once(data, film)
        assert offsets[0] >= before
        proxy.close()


async def test_an_upload_can_be_taken_back_and_leaves_nothing(house: House, chromium: Any, film: Path) -> None:
    proxy = Proxy(house.address[1], rate=4 * MB)
    browser = await new_browser(chromium, f"http://127.0.0.1:{proxy.port}")
    page = await browser.tab(link_of(house))
    await expect(page.get_by_role("button", name="Choose files")).to_be_visible()
    await page.set_input_files("#files", str(film))
    await reached(house.data, 1 * MB)
    await page.get_by_role("button", name="Cancel the upload of film.mp4").click()
    await expect(page.get_by_role("heading", name="On their way")).to_have_count(0)
    async with asyncio.timeout(20):
        while list(house.data.glob("incoming/*/original.*")):
            await asyncio.sleep(0.05)
    assert house.ledger.select() == []
    proxy.close()


async def test_a_folder_is_taken_and_what_is_no_medium_is_left_out_in_words(house: House, browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "holiday"
    (folder / "beach").mkdir(parents=True)
    for name in ("a.jpg", "beach/b.jpg", "notes.txt", ".hidden.jpg"):
        (folder / name).write_bytes(name.encode())
    page = await browser.tab(link_of(house))
    await expect(page.get_by_role("button", name="Choose a folder")).to_be_visible()
    await page.set_input_files("#folder", str(folder))
    await expect(page.get_by_text("1 file is no video, sound or picture").first).to_be_visible()
    async with asyncio.timeout(20):
        while len(house.ledger.select()) < 2:
            await asyncio.sleep(0.05)
    assert {item.original_file_name for item in house.ledger.select()} == {"a.jpg", "b.jpg"}
    await expect(page.get_by_role("heading", name="Waiting")).to_be_visible()
    browser.check_quiet()


async def test_a_file_that_is_chosen_before_the_page_knows_the_types_is_sent_all_the_same(
    house: House, browser: Browser, film: Path
) -> None:
    asked: list[Any] = []
    await browser.context.route("**/api/v1/types", lambda route: asked.append(route))
    page = await browser.tab(link_of(house))
    await expect(page.get_by_role("button", name="Choose files")).to_be_visible()
    await page.set_input_files("#files", str(film))
    async with asyncio.timeout(20):
        while len(asked) < 2:  # The page's own question, and the one for the file.
            await asyncio.sleep(0.02)
    for route in asked:
        await route.continue_()
    await expect(page.get_by_text("film.mp4 is on the server").first).to_be_visible(timeout=60_000)
    assert [item.original_file_name for item in house.ledger.select()] == ["film.mp4"]


async def test_what_the_server_has_no_room_for_is_refused_before_the_first_byte(house: House, browser: Browser, film: Path) -> None:
    house.storage.free = 10 * MB
    page = await browser.tab(link_of(house))
    await expect(page.get_by_text("10 MB free")).to_be_visible()
    await page.set_input_files("#files", str(film))
    await expect(page.get_by_text("These files need 50 MB, and the server has 10 MB free").first).to_be_visible()
    assert not list(house.data.glob("incoming/*"))


async def test_a_result_plays_and_seeks_by_ranges(house: House, browser: Browser, media: Path, tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed here")
    film = tmp_path / "result.mp4"
    looped = ("-stream_loop", "9", "-i", str(media / "video-h264-aac-720p-hello-talk.mp4"))
    made = await asyncio.create_subprocess_exec(
        "ffmpeg", "-v", "error", *looped, "-c", "copy", "-map", "0:v:0", "-map", "0:a:0", "-movflags", "+faststart", str(film),
        stdin=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await made.wait() == 0
    http = house.client()
    item_id = await house.upload(http, b"original", filename="talk.mov", conversion_type="web")
    house.finish(item_id, film.read_bytes(), "mp4")
    page = await browser.tab(link_of(house))
    ranges: list[str] = []
    page.on("request", lambda sent: sent.url.endswith("/result") and ranges.append(sent.headers.get("range", "")))
    await expect(page.get_by_role("heading", name="Queue")).to_be_visible()  # The link has signed us in.
    await page.goto(f"{house.url}/#/library/{item_id}")
    video = page.locator("video")
    await expect(video).to_be_visible()
    seek = """video => new Promise((done, failed) => {
        const late = setTimeout(() => failed(new Error("nothing was shown")), 15000);
        const shown = () => { if (video.currentTime > 60.2) { clearTimeout(late); video.pause(); done(video.currentTime); } };
        video.muted = true;
        video.addEventListener("timeupdate", shown);
        video.addEventListener("seeked", () => video.play(), { once: true });
        const go = () => { video.currentTime = 60; };
        if (video.readyState >= 1) go(); else video.addEventListener("loadedmetadata", go, { once: true });
    })"""
    assert await video.evaluate(seek) > 60
    assert os.stat(film).st_size > 20 * MB
    assert len([each for each in ranges if each.startswith("bytes=")]) >= 2, ranges
    browser.check_quiet()


async def test_where_the_browser_lacks_the_codec_the_original_is_shown_and_it_says_so(house: House, browser: Browser, media: Path) -> None:
    http = house.client()
    original = (media / "video-h264-aac-720p-hello-talk.mp4").read_bytes()
    item_id = await house.upload(http, original, filename="talk.mp4", conversion_type="h265")
    house.finish(item_id, (media / "video-hevc-hdr10plus-vfr-phone.mp4").read_bytes(), "mkv")
    page = await browser.tab(f"{link_of(house)}")
    await page.goto(f"{house.url}/#/library/{item_id}")
    await expect(page.get_by_text("this is the original")).to_be_visible()
    await expect(page.locator("video")).to_have_attribute("src", f"/api/v1/items/{item_id}/original")
