"""Deleting on the page and taking it back: by the notice, by a key, out of the trash; for hands, keys and ears. Slow."""

from typing import Any

import pytest

from dmc.items import Wish
from dmc.protocol import ITEMS
from tests.browser.conftest import PHONE, WIDE, Browser, findings, link_of
from tests.browser.test_views import LOOKS, expect, sound
from tests.server.conftest import House

pytestmark = pytest.mark.slow


async def two_results(house: House) -> dict[str, str]:
    """Two finished items, by name."""
    http = house.client()
    ids = {}
    for name in ("first.png", "second.png"):
        ids[name] = await house.upload(http, name.encode() * 900, filename=name, conversion_type="webp")
        house.finish(ids[name], b"picture" * 200, "webp")
    return ids


async def opened(house: House, browser: Browser, item_id: str, **looks: Any) -> Any:
    """The page with this item open; deletions can be undone for a week."""
    await house.restart(trash_days=7)
    house.beat()
    page = await browser.tab(link_of(house), **looks)
    await expect(page.get_by_role("heading", name="Queue")).to_be_visible()
    await page.goto(f"{house.url}/#/library/{item_id}")
    await expect(page.get_by_role("dialog")).to_be_visible()
    return page


def check_quiet(browser: Browser, item_id: str) -> None:
    """No complaint but of the picture, which may still be loading when its item is deleted."""
    browser.said = [line for line in browser.said if "404 (Not Found)" not in line or not line.endswith(f"{item_id}/result")]
    browser.check_quiet()


def is_trashed(house: House, item_id: str) -> bool:
    item = house.ledger.get(item_id)
    assert item is not None
    return item.trashed_at is not None


@pytest.mark.parametrize("size", [pytest.param(size, id=str(size["width"])) for size in (PHONE, WIDE)])
async def test_a_deletion_is_undone_with_the_button_that_has_the_focus(house: House, browser: Browser, size: dict[str, int]) -> None:
    ids = await two_results(house)
    page = await opened(house, browser, ids["first.png"], size=size)
    await page.get_by_role("button", name="Delete").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#news")).to_have_text("first.png is in the trash")
    undo = page.get_by_role("button", name="Undo")
    await expect(undo).to_be_focused()
    await expect(undo).to_have_accessible_description("first.png is in the trash")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.locator(".tile")).to_have_count(1)
    assert is_trashed(house, ids["first.png"])
    assert await findings(page) == []
    await page.keyboard.press("Enter")
    await expect(page.locator("#news")).to_have_text("first.png is back")
    await expect(page.locator(".tile")).to_have_count(2)
    await expect(undo).to_have_count(0)
    await expect(page.get_by_role("heading", name="Library", exact=True)).to_be_focused()
    assert not is_trashed(house, ids["first.png"])
    check_quiet(browser, ids["first.png"])


async def test_a_notice_with_undo_stays_while_it_is_held_and_half_a_minute_else(house: House, browser: Browser) -> None:
    ids = await two_results(house)
    await browser.context.clock.install()
    page = await opened(house, browser, ids["first.png"])
    await page.get_by_role("button", name="Delete").click()
    undo = page.get_by_role("button", name="Undo")
    await expect(undo).to_be_focused()
    await page.clock.run_for(120_000)
    await expect(undo).to_be_visible()
    await page.locator("h1").focus()
    await page.clock.run_for(25_000)
    await expect(undo).to_be_visible()
    await page.clock.run_for(10_000)
    await expect(undo).to_have_count(0)
    assert is_trashed(house, ids["first.png"])


async def test_z_undoes_the_last_deletion_from_any_view(house: House, browser: Browser) -> None:
    ids = await two_results(house)
    page = await opened(house, browser, ids["first.png"])
    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("button", name="Undo")).to_be_focused()
    await page.locator(f".tile[data-key='{ids['second.png']}']").click()
    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("button", name="Undo")).to_have_count(2)
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.keyboard.press("3")
    await expect(page.get_by_role("heading", name="Server", exact=True)).to_be_visible()
    await page.keyboard.press("z")
    await expect(page.locator("#news")).to_have_text("second.png is back")
    assert [is_trashed(house, ids[name]) for name in ("first.png", "second.png")] == [True, False]


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
async def test_the_trash_shows_what_was_deleted_and_gives_it_back(
    house: House, browser: Browser, size: dict[str, int], scheme: str
) -> None:
    ids = await two_results(house)
    page = await opened(house, browser, ids["first.png"], size=size, scheme=scheme)
    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("button", name="Undo")).to_be_focused()
    await page.get_by_role("button", name="Dismiss").click()
    await page.get_by_role("link", name="Trash").click()
    row = page.locator(f"[data-key='{ids['first.png']}']")
    await expect(row).to_contain_text("goes for good")
    await expect(page.get_by_role("heading", name="Trash")).to_be_focused()
    await sound(page)
    await page.get_by_role("button", name="Put back first.webp").click()
    await expect(page.get_by_role("heading", name="The trash is empty")).to_be_visible()
    await sound(page)
    assert not is_trashed(house, ids["first.png"])
    await page.locator("main").get_by_role("link", name="Library").click()
    await expect(page.locator(".tile")).to_have_count(2)
    check_quiet(browser, ids["first.png"])


async def test_a_full_trash_is_shown_page_by_page_and_gives_back_from_any(house: House, browser: Browser) -> None:
    await house.restart(trash_days=7)
    house.beat()
    http, made = house.client(), []
    for number in range(70):
        made.append(await house.upload(http, b"%d" % number, filename=f"{number}.png", conversion_type="webp"))
        house.finish(made[-1], b"picture", "webp")
        async with http.delete(f"{ITEMS}/{made[-1]}") as reply:
            assert reply.status == 202
    page = await browser.tab(link_of(house), size=PHONE)
    await expect(page.get_by_role("heading", name="Queue")).to_be_visible()
    await page.goto(f"{house.url}/#/trash")
    rows = page.locator(".trashed")
    await expect(rows).to_have_count(60)
    assert await findings(page) == []
    more = page.get_by_role("button", name="Show more (60 of 70)")
    await more.scroll_into_view_if_needed()
    await expect(rows).to_have_count(70)
    await expect(page.locator(".more")).to_have_count(0)
    await page.get_by_role("button", name="Put back 0.webp").click()
    await expect(rows).to_have_count(69)
    assert not is_trashed(house, made[0])
    await page.get_by_role("button", name="Put back 69.webp").click()
    await expect(rows).to_have_count(68)
    await expect(page.locator("main")).to_contain_text("68")
    browser.check_quiet()


async def test_what_is_deleted_for_good_is_asked_for_first(house: House, browser: Browser) -> None:
    ids = await two_results(house)
    page = await opened(house, browser, ids["first.png"])
    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("button", name="Undo")).to_be_focused()
    await page.get_by_role("link", name="Trash").click()
    await page.get_by_role("button", name="Delete first.webp for good").click()
    await expect(page.get_by_role("dialog")).to_contain_text("go from this server for good")
    item = house.ledger.get(ids["first.png"])
    assert item is not None and item.wish is None
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.locator(f"[data-key='{ids['first.png']}']")).to_contain_text("Being deleted")
    item = house.ledger.get(ids["first.png"])
    assert item is not None and item.wish is Wish.DELETE


async def test_without_a_trash_a_deletion_is_asked_for_first(house: House, browser: Browser) -> None:
    ids = await two_results(house)
    page = await browser.tab(link_of(house))
    await expect(page.get_by_role("heading", name="Queue")).to_be_visible()
    await page.goto(f"{house.url}/#/library/{ids['first.png']}")
    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("dialog")).to_contain_text("go from this server for good")
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.locator("#news")).to_have_text("first.png is deleted")
    await expect(page.get_by_role("button", name="Undo")).to_have_count(0)
    await page.goto(f"{house.url}/#/trash")
    await expect(page.get_by_text("This server keeps no trash")).to_be_visible()
