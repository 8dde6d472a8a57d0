"""What others wrote for browsers, as it is, in a real one on the server's own origin: tus-js-client, Uppy's engine, `<video>`. Slow.

Chromium of the distribution, `pip install playwright` (no browser of its own), `npm install tus-js-client uppy`, NODE_PATH at node_modules.
"""

import asyncio
import hashlib
import importlib
import importlib.util
import os
import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from dmc.protocol import ITEMS, UPLOADS
from dmc.server.sessions import SESSION
from tests.journeys.proxy import Proxy
from tests.patience import PATIENCE_S
from tests.server.conftest import House

pytestmark = pytest.mark.slow

Page = Any  # Of playwright, which the types of this project do not know.
Opener = Callable[..., Awaitable[Page]]

DATA = random.Random(2).randbytes(3_000_001)
CUT = 1_000_000
IN_PAGE = Path(__file__).parent / "browser_clients" / "in_page.js"
QUIET = ("disable-gpu", "disable-background-networking", "disable-component-update", "disable-sync", "no-first-run", "no-sandbox")


def library(path: str) -> str:
    """A file of an npm package."""
    found = Path(os.environ.get("NODE_PATH", "")) / path
    if not found.is_file():
        pytest.skip(f"{path.partition('/')[0]} is not installed here (NODE_PATH names its folder)")
    return str(found)


@pytest.fixture
async def open_page() -> AsyncIterator[Opener]:
    """Opens pages of one browser, which share what they store: `await open_page(origin, *scripts)`."""
    program = shutil.which("chromium")
    if program is None or importlib.util.find_spec("playwright") is None:
        pytest.skip("Chromium or playwright is not installed here")
    playwright = importlib.import_module("playwright.async_api")
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=program, args=[f"--{each}" for each in QUIET])
        # The policy of the page lets only its own scripts in, as it should; here the test brings others.
        context = await browser.new_context(bypass_csp=True)
        context.set_default_timeout(30_000)

        async def opened(origin: str, *scripts: str) -> Page:
            page = await context.new_page()
            await page.goto(f"{origin}/")
            for script in (*scripts, str(IN_PAGE)):
                await page.add_script_tag(path=script)
            return page

        yield opened
        await browser.close()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    file = tmp_path / "clip.mp4"
    file.write_bytes(DATA)
    return file


async def choose(page: Page, file: Path) -> None:
    await page.evaluate("offerInput()")
    await page.set_input_files("#chosen", str(file))


async def credentials(page: Page, house: House, how: str) -> dict[str, str]:
    """The header fields that the client is given: those of a page session (its cookie is in the browser then), or a token."""
    if how == "token":
        return {"Authorization": f"Bearer {house.secret}"}
    fields: dict[str, str] = await page.evaluate("([path, token]) => signIn(path, token)", [SESSION, house.secret])
    return fields


def arrived_once(house: House) -> None:
    (item,) = house.ledger.select()
    assert item.original_file_name == "clip.mp4"
    assert item.sha512_checksum == hashlib.sha512(DATA).hexdigest()
    assert house.stored(item.item_id) == DATA


SEND = {
    "tus": "([endpoint, headers]) => sendWithTus(endpoint, headers)",
    "uppy": "([endpoint, headers]) => sendWithUppy(endpoint, headers)",
}


@pytest.mark.parametrize("how", ["session", "token"])
@pytest.mark.parametrize(("client", "script"), [("tus", "tus-js-client/dist/tus.min.js"), ("uppy", "uppy/dist/uppy.min.js")])
async def test_U7_clients_in_a_browser_upload_through_cuts(
    running: House, open_page: Opener, clip: Path, client: str, script: str, how: str
) -> None:
    proxy = Proxy(running.address[1], cut_after=CUT)
    origin = f"http://127.0.0.1:{proxy.port}"
    page = await open_page(origin, library(script))
    await choose(page, clip)
    fields = await credentials(page, running, how)
    await page.evaluate(SEND[client], [f"{origin}{UPLOADS}", fields])
    arrived_once(running)
    assert proxy.cuts >= 2
    proxy.close()


async def test_U7_a_page_opened_again_goes_on_with_the_upload_of_the_one_before(running: House, open_page: Opener, clip: Path) -> None:
    proxy = Proxy(running.address[1], hold_after=CUT)
    origin, script = f"http://127.0.0.1:{proxy.port}", library("tus-js-client/dist/tus.min.js")
    page = await open_page(origin, script)
    await choose(page, clip)
    sending = [f"{origin}{UPLOADS}", await credentials(page, running, "session")]
    await page.evaluate(f"sending => void ({SEND['tus']})(sending)", sending)
    assert await asyncio.to_thread(proxy.holding.wait, 30)
    async with asyncio.timeout(PATIENCE_S):
        while stored_so_far(running) < CUT // 2:
            await asyncio.sleep(0.01)
    await page.close()
    proxy.hold_after = None
    page = await open_page(origin, script)
    offsets: list[int] = []
    page.on("request", lambda asked: offsets.append(int(asked.headers["upload-offset"])) if asked.method == "PATCH" else None)
    await choose(page, clip)
    await page.evaluate(SEND["tus"], sending)
    arrived_once(running)
    assert len(offsets) == 1
    assert offsets[0] >= CUT // 2
    proxy.close()


def stored_so_far(house: House) -> int:
    return sum(file.stat().st_size for file in house.data.glob("incoming/*/original.*"))


@pytest.fixture
async def film(media: Path, tmp_path: Path) -> bytes:
    """A real film ten times over, which is more than a browser reads ahead."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed here")
    target = tmp_path / "film.mp4"
    source = ("-stream_loop", "9", "-i", str(media / "video-h264-aac-720p-hello-talk.mp4"))
    process = await asyncio.create_subprocess_exec("ffmpeg", "-v", "error", *source, "-c", "copy", "-movflags", "+faststart", str(target))
    assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0
    return target.read_bytes()


async def test_D2_a_video_element_plays_a_result_and_seeks_in_it_by_ranges(running: House, open_page: Opener, film: bytes) -> None:
    item_id = await running.upload(running.client(), b"original bytes", filename="clip.mp4")
    running.finish(item_id, film, "mp4")
    page = await open_page(running.url)
    answers: list[tuple[str, int]] = []
    page.on(
        "response", lambda reply: answers.append((reply.request.headers.get("range", ""), reply.status)) if item_id in reply.url else None
    )
    await credentials(page, running, "session")
    shown = await page.evaluate("openVideo", f"{ITEMS}/{item_id}/result")
    assert shown["width"] == 1280
    assert shown["duration"] > 80
    assert running.server is not None
    assert running.server._downloads.bytes_sent < len(film)
    for second in (0.0, shown["duration"] / 2, shown["duration"] - 2):
        seen = await page.evaluate("playFrom", second)
        assert seen["landed"] == pytest.approx(second, abs=0.05)
        assert seen["landed"] + 0.3 <= seen["reached"] < seen["landed"] + 2
        assert seen["frames"] > 0
    starts = [int(wanted.removeprefix("bytes=").partition("-")[0]) for wanted, _ in answers]
    assert {status for _, status in answers} == {206}
    assert any(len(film) * 0.3 < start < len(film) * 0.7 for start in starts)
    assert any(start > len(film) * 0.9 for start in starts)
