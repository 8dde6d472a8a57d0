"""Each view on a phone and on a wide screen, light and dark: no finding of axe-core, no word in the console, nothing cut off. Slow."""

import asyncio
import importlib
import re
from typing import Any

import pytest

from dmc.broker.control import Mode
from dmc.items import Outcome, Status
from dmc.jobs import ErrorNote
from tests.browser.conftest import PHONE, WIDE, Browser, findings, link_of
from tests.server.conftest import House

pytestmark = pytest.mark.slow

LOOKS = [pytest.param(size, scheme, id=f"{size['width']} {scheme}") for size in (PHONE, WIDE) for scheme in ("light", "dark")]
HIDE = """hidden => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
LONG = "Grandmother's 90th birthday, the whole afternoon, camera of uncle Friedrich-Wilhelm.mp4"


def expect(what: Any) -> Any:
    return importlib.import_module("playwright.async_api").expect(what)


async def fill(house: House) -> dict[str, str]:
    """Something of everything: one runs, two wait, three failed for two causes, some are finished."""
    http = house.client()
    ids = {}
    for name in ("clip.mp4", LONG, "waits.mp4", "torn 1.jpg", "torn 2.jpg", "silent.mp4", "kept.mp3", "song.flac", "picture.png"):
        kind = {"mp3": "opus", "flac": "opus", "jpg": "webp", "png": "webp"}.get(name.rpartition(".")[2], "h265")
        ids[name] = await house.upload(http, name.encode() * 900, filename=name, conversion_type=kind)
    house.begin(ids["clip.mp4"])
    house.work(ids["clip.mp4"], 0.42)
    for name, code in (("torn 1.jpg", "damaged_media"), ("torn 2.jpg", "damaged_media"), ("silent.mp4", "not_media")):
        house.begin(ids[name])
        note = ErrorNote(code=code, message=f"{name} cannot be read.", hint="Fetch it again from where it came.")
        house.change(ids[name], status=Status.FINISHED_WITH_ERRORS, errors=(note,), finished_at="2026-11-20T09:00:00.000000Z")
    house.finish(ids["song.flac"], b"sound" * 300, "opus")
    house.finish(ids["picture.png"], b"picture" * 200, "webp")
    house.begin(ids["kept.mp3"])
    kept = {"status": Status.FINISHED_SUCCESSFUL, "outcome": Outcome.KEPT_ORIGINAL, "reason": "the result would be larger"}
    house.change(ids["kept.mp3"], **kept, finished_at="2026-11-21T09:00:00.000000Z")
    return ids


async def sound(page: Any) -> None:
    """Nothing that axe finds, nothing wider than the screen."""
    assert await findings(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"


async def test_an_address_that_changes_while_the_page_is_being_drawn_is_gone_to(house: House, browser: Browser) -> None:
    page = await browser.context.new_page()
    await page.add_init_script(
        """new MutationObserver((_, watcher) => {
            if (!document.querySelector("h1")) return;
            watcher.disconnect();
            location.hash = "#/library";
        }).observe(document, { childList: true, subtree: true });"""
    )
    await page.goto(f"{house.url}/{link_of(house)}")
    await expect(page.get_by_role("heading", name="Library")).to_be_visible()


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
async def test_every_view_is_sound_for_eyes_and_ears(house: House, browser: Browser, size: dict[str, int], scheme: str) -> None:
    ids = await fill(house)
    page = await browser.tab(size=size, scheme=scheme)
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await sound(page)
    page = await browser.tab(link_of(house), size, scheme)
    await expect(page.get_by_role("heading", name="Being converted")).to_be_visible()
    await expect(page.get_by_role("heading", name="Needs you")).to_be_visible()
    await expect(page.get_by_text("· 42 % ·")).to_be_visible()
    await sound(page)
    await page.get_by_role("button", name="Pause").click()
    await sound(page)
    await page.keyboard.press("Escape")
    await page.get_by_role("link", name="Library", exact=True).first.click()
    await expect(page.locator(".tile")).to_have_count(3)
    await sound(page)
    await page.locator(f".tile[data-key='{ids['song.flac']}']").click()
    await expect(page.get_by_role("dialog")).to_contain_text("Receipt")
    await sound(page)
    await page.keyboard.press("Escape")
    await page.get_by_role("link", name="Server", exact=True).click()
    await expect(page.get_by_role("heading", name="Over time")).to_be_visible()
    await expect(page.get_by_role("heading", name="Clients")).to_be_visible()
    await page.get_by_role("button", name="Pair a client").click()
    await expect(page.locator(".code")).to_have_text(re.compile("[A-Z]{4}"))
    await sound(page)
    for target in await page.locator("button:visible, select:visible, nav a:visible").all():
        box = await target.bounding_box()
        assert box is not None and min(box["height"], box["width"]) >= 43.5, await target.inner_text()
    browser.said = [line for line in browser.said if "result" not in line]  # The sound is none: it was made up.
    browser.check_quiet()


async def test_failures_of_one_cause_begin_again_with_one_button(house: House, browser: Browser) -> None:
    ids = await fill(house)
    page = await browser.tab(link_of(house))
    group = page.locator(".failure", has_text="2 files")
    await expect(group).to_contain_text("The file cannot be read.")
    await group.get_by_role("button", name="Try all 2 again").click()
    await expect(page.get_by_text("2 files begin again").first).to_be_visible()
    wished = {name: item.wish for name, item_id in ids.items() if (item := house.ledger.get(item_id)) is not None}
    assert (wished["torn 1.jpg"], wished["torn 2.jpg"], wished["silent.mp4"]) == ("retry", "retry", None)
    await expect(page.locator(".failure")).to_have_count(1)


async def test_the_queue_lives_and_only_a_change_of_status_is_said(house: House, browser: Browser) -> None:
    ids = await fill(house)
    page = await browser.tab(link_of(house))
    row = page.locator(f"[data-key='{ids['clip.mp4']}']")
    await expect(row).to_contain_text("42")
    house.work(ids["clip.mp4"], 0.77)
    await expect(row).to_contain_text("77")
    assert await page.locator("#news").inner_text() == ""
    house.change(ids["clip.mp4"], status=Status.FINISHED_WITH_ERRORS, errors=(ErrorNote(code="x", message="it broke."),))
    await expect(page.locator("#news")).to_have_text("clip.mp4: Failed")


async def test_the_keyboard_reaches_everything(house: House, browser: Browser) -> None:
    ids = await fill(house)
    page = await browser.tab(link_of(house))
    await expect(page.get_by_role("heading", name="Waiting")).to_be_visible()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_contain_text("Keyboard")
    await page.keyboard.press("Escape")
    await page.keyboard.press("j")
    focused = "document.activeElement.closest('[data-key]')?.dataset.key"
    assert await page.evaluate(focused) == ids["clip.mp4"]
    await page.keyboard.press("x")
    await expect(page.locator(f"[data-key='{ids['clip.mp4']}']")).to_contain_text("Being cancelled")
    await page.keyboard.press("k")
    await page.keyboard.press("/")
    await expect(page.locator("#search")).to_be_focused()
    await page.keyboard.type("song")
    await expect(page.locator(".tile")).to_have_count(1)
    await page.locator("h1").focus()
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_contain_text("song.opus")
    assert "q=song" in page.url
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.keyboard.press("3")
    await expect(page.get_by_role("heading", name="Server", exact=True)).to_be_focused()
    async with page.expect_file_chooser() as chooser:
        await page.evaluate("delete window.showOpenFilePicker")
        await page.keyboard.press("u")
    assert (await chooser.value).is_multiple()


async def test_one_browser_has_one_stream_and_hidden_tabs_none(house: House, browser: Browser) -> None:
    await fill(house)
    first = await browser.tab(link_of(house))
    await expect(first.get_by_text("Live")).to_be_visible()
    second = await browser.tab()
    await expect(second.get_by_role("heading", name="Being converted")).to_be_visible()
    assert house.server is not None
    assert house.server._feed.listeners == 1
    await first.close()
    async with asyncio.timeout(40):
        while house.server._feed.listeners != 1 or not await second.get_by_text("Live").is_visible():
            await asyncio.sleep(0.05)
    await second.evaluate(HIDE, True)
    async with asyncio.timeout(40):  # The server hears of it at its next word, which it says every 15 s.
        while house.server._feed.listeners:
            await asyncio.sleep(0.05)
    await second.evaluate(HIDE, False)
    async with asyncio.timeout(10):
        while house.server._feed.listeners != 1:
            await asyncio.sleep(0.05)


async def test_pause_until_seven_is_asked_of_the_broker_and_told(house: House, browser: Browser) -> None:
    page = await browser.tab(link_of(house))
    await page.get_by_role("button", name="Pause").click()
    await page.get_by_label("until").check()
    await page.get_by_role("button", name="After the current ones").click()
    async with asyncio.timeout(10):
        while house.control.wished().mode != "drain":
            await asyncio.sleep(0.05)
    until = house.control.wished().until
    assert until is not None and until.astimezone().strftime("%H:%M") == "07:00"


async def test_a_reader_sees_but_steers_nothing(house: House, browser: Browser) -> None:
    await fill(house)
    page = await browser.tab(link_of(house, "guest", ("read",)))
    await expect(page.get_by_role("heading", name="Queue")).to_be_visible()
    for name in ("Pause", "Choose files", "Try again", "Cancel clip.mp4"):
        await expect(page.get_by_role("button", name=name)).to_have_count(0)


async def test_where_events_do_not_come_through_the_page_asks(house: House, browser: Browser) -> None:
    ids = await fill(house)
    await browser.context.route("**/api/v1/events", lambda route: route.abort())
    page = await browser.tab(link_of(house))
    await expect(page.get_by_text("Asking every 5 s")).to_be_visible(timeout=40_000)
    row = page.locator(f"[data-key='{ids['clip.mp4']}']")
    await expect(row).to_contain_text("42")
    house.work(ids["clip.mp4"], 0.81)
    await expect(row).to_contain_text("81")


async def test_a_library_of_many_pages_loads_them_as_they_come_near(house: House, browser: Browser) -> None:
    http = house.client()
    for number in range(130):
        item_id = await house.upload(http, f"{number}".encode(), filename=f"{number:03}.png", conversion_type="webp")
        house.finish(item_id, b"x" * 2_000_000 if number == 0 else b"x", "bin")
    page = await browser.tab(link_of(house))
    await page.get_by_role("link", name="Library", exact=True).first.click()
    await expect(page.get_by_text("130 items")).to_be_visible()
    assert await page.locator(".tile").count() <= 120
    async with asyncio.timeout(20):
        while await page.locator(".tile").count() < 130:
            await page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
            await asyncio.sleep(0.05)
    await expect(page.locator(".tile").first).to_contain_text("129")


async def test_the_server_view_tells_how_many_workers_are_busy_and_why_there_are_no_more(house: House, browser: Browser) -> None:
    ids = await fill(house)
    few = {"total": 3, "wanted": 4, "bound": "memory"}
    house.control.beat(1, "epoch", Mode.RUN, workers=few | {"busy": 1})
    page = await browser.tab(link_of(house))
    await expect(page.get_by_role("heading", name="Being converted")).to_be_visible()
    await page.get_by_role("link", name="Server", exact=True).click()
    workers = page.locator("section[aria-labelledby='workers']")
    await expect(workers).to_contain_text("1 of 3 busy")
    await expect(workers).to_contain_text("3 conversions at once, not 4 as the cores would allow: each gets 3 GiB")
    resting = {"code": "resting", "message": "what is left has failed before.", "until": None}
    house.control.beat(1, "epoch", Mode.RUN, resting, workers=few | {"busy": 2})
    house.begin(ids["waits.mp4"])
    await expect(workers).to_contain_text("2 of 3 busy")
    await expect(workers).to_contain_text("1 worker is free: What is left has failed before.")
    await sound(page)
