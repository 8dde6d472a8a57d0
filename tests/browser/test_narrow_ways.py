"""Uploads of the page past a proxy that refuses large requests, and from handles of the browser's own file dialog. Slow."""

import asyncio
import os
import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Browser, link_of, new_browser
from tests.browser.test_sending import MB, reached
from tests.browser.test_views import expect
from tests.journeys.proxy import Proxy
from tests.ports import Port
from tests.server.conftest import House
from tests.server.test_proxies import NGINX, until_it_listens

pytestmark = pytest.mark.slow

DMC_CONF = """
server {{
    listen 127.0.0.1:{port};
    location / {{
        proxy_pass http://127.0.0.1:{behind};
        proxy_set_header Host $http_host;
        proxy_buffering off;
        proxy_request_buffering off;
        proxy_http_version 1.1;
    }}
}}
"""
"""Nothing is said of the size of bodies: nginx refuses what is larger than 1 MiB then."""


@pytest.fixture
async def nginx(house: House, tmp_path: Path) -> AsyncIterator[str]:
    """The address of an nginx as it comes, in front of the house."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed here")
    folder = tmp_path / "nginx"
    folder.mkdir()
    (folder / "main.conf").write_text(NGINX.format(folder=folder))
    command = (program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "main.conf"))
    with Port() as port:
        (folder / "dmc.conf").write_text(DMC_CONF.format(port=port.number, behind=house.address[1]))
        process = await asyncio.create_subprocess_exec(*command)
        try:
            await until_it_listens(process, port.number, folder)
            yield f"http://127.0.0.1:{port.number}"
        finally:
            await house.stop()  # Else the proxy waits for the streams that it still holds.
            process.terminate()
            await asyncio.wait_for(process.wait(), 30)


def films(folder: Path, *names: str, size: int) -> list[Path]:
    files = [folder / name for name in names]
    for number, file in enumerate(files):
        file.write_bytes(random.Random(number).randbytes(size))
    return files


async def arrived(house: House, *files: Path) -> None:
    """The server has these files, each once and whole."""
    async with asyncio.timeout(60):
        while len(house.ledger.select()) < len(files):
            await asyncio.sleep(0.05)
    stored = {item.original_file_name: house.stored(item.item_id) for item in house.ledger.select()}
    assert stored == {file.name: file.read_bytes() for file in files}


async def test_where_a_proxy_refuses_large_requests_the_page_sends_smaller_ones(
    chromium: Any, house: House, nginx: str, tmp_path: Path
) -> None:
    browser = await new_browser(chromium, nginx)
    page = await browser.tab(link_of(house))
    await expect(page.get_by_role("button", name="Choose files")).to_be_visible()
    answers: list[int] = []
    page.on("response", lambda reply: answers.append(reply.status) if reply.request.method == "PATCH" else None)
    first = films(tmp_path, "one.mp4", "two.mp4", size=12 * MB)
    await page.set_input_files("#files", [str(file) for file in first])
    await expect(page.get_by_text("2 files are on the server").first).to_be_visible(timeout=60_000)
    await arrived(house, *first)
    assert 413 in answers
    # From now on it knows, also after a reload: not one request is refused.
    answers.clear()
    await page.reload()
    await expect(page.get_by_role("button", name="Choose files")).to_be_visible()
    (third,) = films(tmp_path, "three.mp4", size=5 * MB)
    await page.set_input_files("#files", str(third))
    await expect(page.get_by_text("three.mp4 is on the server").first).to_be_visible(timeout=60_000)
    await arrived(house, *first, third)
    assert answers == [204] * 5


# The dialog itself is the browser's own: no driver can answer it. Its handles are those of the browser's private files, which are
# of the same kind, can be kept over a reload likewise, and are asked for permission likewise.
PICKER = """
window.showOpenFilePicker = async () => {
    const folder = await navigator.storage.getDirectory();
    return [await folder.getFileHandle("film.mp4")];
};
"""
ASKS_FIRST = """
let granted = false;
FileSystemHandle.prototype.queryPermission = async () => (granted ? "granted" : "prompt");
FileSystemHandle.prototype.requestPermission = async () => ((granted = navigator.userActivation.isActive) ? "granted" : "prompt");
"""
WRITE = """async ([size, seed]) => {
    const folder = await navigator.storage.getDirectory();
    const file = await (await folder.getFileHandle("film.mp4", { create: true })).createWritable();
    for (let at = 0; at < size; at += 1_000_000) await file.write(new Uint8Array(1_000_000).fill(seed + at / 1_000_000));
    await file.close();
}"""
KEPT = """() => new Promise((resolve, reject) => {
    const opened = indexedDB.open("dmc", 1);
    opened.onerror = reject;
    opened.onsuccess = () => {
        const asked = opened.result.transaction("uploads").objectStore("uploads").getAll();
        asked.onsuccess = () => resolve(asked.result.map((one) => [Boolean(one.handle), Boolean(one.copy)]));
    };
})"""
SIZE = 30 * MB
CONTENT = b"".join(bytes([number]) * MB for number in range(30))


async def begun_from_the_picker(chromium: Any, house: House, proxy: Proxy, *scripts: str) -> tuple[Browser, Any]:
    """A page that was reloaded in the middle of an upload of a file that was chosen in the browser's dialog."""
    browser = await new_browser(chromium, f"http://127.0.0.1:{proxy.port}")
    for script in (PICKER, *scripts):
        await browser.context.add_init_script(script)
    page = await browser.tab(link_of(house))
    await expect(page.get_by_role("button", name="Choose files")).to_be_visible()
    await page.evaluate(WRITE, [SIZE, 0])
    await page.get_by_role("button", name="Choose files").click()
    await reached(house.data, 5 * MB)
    assert await page.evaluate(KEPT) == [[True, False]], "the handle is kept, and no copy of the file"
    return browser, page


async def test_a_file_out_of_the_picker_goes_on_after_a_reload_without_being_chosen_again(chromium: Any, house: House) -> None:
    proxy = Proxy(house.address[1], hold_after=8 * MB)
    browser, page = await begun_from_the_picker(chromium, house, proxy)
    before = await reached(house.data, 6 * MB)
    offsets: list[int] = []
    page.on("request", lambda sent: sent.method == "PATCH" and offsets.append(int(sent.headers["upload-offset"])))
    proxy.hold_after = None
    await page.reload()
    await expect(page.get_by_text("film.mp4 is on the server").first).to_be_visible(timeout=60_000)
    (item,) = house.ledger.select()
    assert house.stored(item.item_id) == CONTENT
    assert offsets[0] >= before, "what was there was not sent twice"
    assert await page.evaluate(KEPT) == []
    browser.check_quiet(server_was_gone=True)
    proxy.close()


async def test_where_the_browser_asks_once_more_a_click_lets_the_upload_go_on(chromium: Any, house: House) -> None:
    proxy = Proxy(house.address[1], hold_after=8 * MB)
    _, page = await begun_from_the_picker(chromium, house, proxy, ASKS_FIRST)
    proxy.hold_after = None
    await page.reload()
    await expect(page.get_by_text("1 upload was interrupted. The browser wants to know")).to_be_visible()
    await page.get_by_role("button", name="Go on").click()
    await expect(page.get_by_text("film.mp4 is on the server").first).to_be_visible(timeout=60_000)
    (item,) = house.ledger.select()
    assert house.stored(item.item_id) == CONTENT
    proxy.close()


async def test_a_file_out_of_the_picker_that_was_changed_meanwhile_is_not_mixed_with_what_was_sent(chromium: Any, house: House) -> None:
    proxy = Proxy(house.address[1], hold_after=8 * MB)
    _, page = await begun_from_the_picker(chromium, house, proxy)
    await page.evaluate(WRITE, [SIZE, 100])
    proxy.hold_after = None
    await page.reload()
    await expect(page.get_by_text("The file was changed since the upload began")).to_be_visible()
    assert house.ledger.select() == []
    proxy.close()
