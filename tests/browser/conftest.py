"""The page in the distribution's Chromium, over a real server. Needs Chromium and the extra `browser`; skips with a reason without."""

import importlib
import importlib.util
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import House

QUIET = ("disable-gpu", "disable-background-networking", "disable-component-update", "disable-sync", "no-first-run", "no-sandbox")
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
LOUD = ("error", "warning")
EXPECTED = ("net::ERR_", "with a status of 503", "with a status of 409")
"""What a browser itself says where a test lets the server go; 409: Chromium sends a cut PATCH a second time by itself, which is refused."""

WIDE, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}


class Browser:
    """One browser; `tab` opens pages that share cookies and storage. `said`: what any of them complained about."""

    def __init__(self, context: Any, url: str) -> None:
        self.context = context
        self.url = url
        self.said: list[str] = []

    async def tab(self, address: str = "", size: dict[str, int] = WIDE, scheme: str = "light") -> Any:
        page = await self.context.new_page()
        await page.set_viewport_size(size)
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.on("console", lambda line: line.type in LOUD and self.said.append(f"{line.type}: {line.text} {line.location.get('url', '')}"))
        page.on("pageerror", lambda fault: self.said.append(f"thrown: {fault}"))
        await page.goto(f"{self.url}/{address}")
        return page

    def check_quiet(self, *, server_was_gone: bool = False) -> None:
        """No error, no warning; a report of the content security policy would be one of these."""
        loud = [line for line in self.said if not (server_was_gone and any(word in line for word in EXPECTED))]
        assert loud == []


async def findings(page: Any) -> list[str]:
    """What axe-core finds on the page as it is."""
    await page.evaluate(AXE.read_text())  # By the debugger: the page's own policy lets no other script in.
    found = await page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [f"{rule['id']}: {node['html']} {node['failureSummary']}" for rule in found["violations"] for node in rule["nodes"]]


@pytest.fixture
async def chromium() -> AsyncIterator[Any]:
    """A browser that nobody has used."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("Chromium is not installed here (Debian: apt install chromium)")
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("playwright is not installed here (pip install '.[browser]')")
    playwright = importlib.import_module("playwright.async_api")
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=program, args=[f"--{each}" for each in QUIET])
        yield browser
        await browser.close()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A running server with a memory ledger; the test plays the broker."""
    made = House(tmp_path / "data")
    try:
        made.beat()
        yield await made.start()
    finally:
        await made.stop()


async def new_browser(chromium: Any, url: str) -> Browser:
    context = await chromium.new_context()
    context.set_default_timeout(20_000)
    importlib.import_module("playwright.async_api").expect.set_options(timeout=20_000)
    return Browser(context, url)


def link_of(house: House, name: str = "chief", scopes: tuple[str, ...] = ("read", "write", "admin")) -> str:
    """A one-time sign-in link's part behind the address."""
    if all(token.name != name for token in house.tokens.list()):
        house.tokens.create(name, scopes)
    return f"#sign-in={house.tokens.sign_in_code(name)}"


@pytest.fixture
async def browser(chromium: Any, house: House) -> Browser:
    return await new_browser(chromium, house.url)
