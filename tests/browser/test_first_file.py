"""What a new user does with `install/try FOLDER`: opens the link, chooses a file, looks at the result. Three actions, all real. Slow."""

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import dmc
from tests.browser.conftest import new_browser
from tests.browser.test_views import expect

pytestmark = pytest.mark.slow

SAMPLE = Path(dmc.__file__).parent / "sample" / "nasa.mp4"
PATIENCE_MS = 180_000


@pytest.fixture
async def link(tmp_path: Path) -> AsyncIterator[str]:
    """The page's address as `dmc up` prints it, which is what `install/try FOLDER` runs."""
    (tmp_path / "inbox").mkdir()
    up = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dmc", "up", str(tmp_path / "inbox"), "--port", "0",
        env={"DMC_HOME": str(tmp_path / "home"), "DMC_SERVER__LIMITS__DISK_FLOOR": "0", "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert up.stderr is not None
    said = ""
    async with asyncio.timeout(60):
        while (found := re.search(r"https?://\S+#sign-in=\S+", said)) is None:
            line = await up.stderr.readline()
            assert line, said
            said += line.decode()
    try:
        yield found[0]
    finally:
        up.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            await up.communicate()


async def test_the_first_converted_file_is_three_actions_away(chromium: Any, link: str) -> None:
    browser = await new_browser(chromium, "")
    page = await browser.context.new_page()
    await page.goto(link)  # 1: open the link.
    await expect(page.get_by_role("button", name="Choose files")).to_be_visible()
    assert "sign-in" not in page.url, "the code stays in no history"
    await page.set_input_files("#files", str(SAMPLE))  # 2: choose a file.
    await expect(page.get_by_role("heading", name="Just finished")).to_be_visible(timeout=PATIENCE_MS)
    await page.get_by_role("link", name="Open nasa.mp4").click()  # 3: look at it.
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Checked: the whole result was decoded and compared with the original", timeout=PATIENCE_MS)
    await expect(dialog.get_by_role("link", name="Download")).to_be_visible()
    await expect(dialog.locator("video")).to_be_visible()
    # Its picture, and its frames under the pointer.
    await page.keyboard.press("Escape")
    await expect(page.locator(".tile .thumb.here")).to_be_visible()
    await page.locator(".tile .frame").hover()
    await expect(page.locator(".tile .sprite")).to_be_visible()
    sprite = await page.locator(".tile .sprite").evaluate("element => getComputedStyle(element).backgroundImage")
    assert "/sprite?v=" in sprite
