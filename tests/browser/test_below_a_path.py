"""The page below a path of a proxy: signing in, sending a file, hearing of it. Slow."""

from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Browser, link_of, new_browser
from tests.browser.test_views import expect
from tests.server.conftest import House

pytestmark = pytest.mark.slow


async def test_the_page_works_below_a_path(chromium: Any, house: House, tmp_path: Path) -> None:
    await house.restart(base_path="/dmc")
    browser: Browser = await new_browser(chromium, f"{house.url}/dmc")
    asked: list[str] = []
    page = await browser.tab(link_of(house))
    page.on("request", lambda request: asked.append(request.url))
    film = tmp_path / "film.mp4"
    film.write_bytes(b"film" * 1000)
    await page.locator("input[type=file]").first.set_input_files(film)
    await expect(page.get_by_text("film.mp4").first).to_be_visible()
    await page.reload()
    await expect(page.get_by_text("film.mp4").first).to_be_visible()
    items = house.ledger.select()
    assert [item.original_file_name for item in items] == ["film.mp4"]
    assert asked
    assert [url for url in asked if not url.startswith(f"{house.url}/dmc/") and not url.startswith(("blob:", "data:"))] == []
    browser.check_quiet()
