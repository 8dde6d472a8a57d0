"""Who may do what: every route without a token, scopes, page sessions, host names, bind rules."""

import aiohttp
import pytest

from dmc.errors import BadSettings, Locked, NoAddress
from dmc.protocol import ITEMS, SERVER, TYPES
from dmc.server.sessions import SESSION
from tests.server.conftest import House
from tests.server.raw import connection


async def test_an_unknown_path_is_told_only_to_who_has_a_token(running: House, http: aiohttp.ClientSession) -> None:
    async with running.client(None).get("/api/v1/nothing") as reply:
        assert reply.status == 401
    async with http.get("/api/v1/nothing") as reply:
        assert (reply.status, (await reply.json())["error"]["code"]) == (404, "NotFound")
    async with http.patch(TYPES) as reply:
        assert reply.status == 405
        assert "GET" in reply.headers["Allow"]


@pytest.mark.parametrize("value", ["Bearer nonsense", "Bearer ", "Basic bGFwdG9wOng=", "nonsense"])
async def test_a_wrong_token_is_401(running: House, value: str) -> None:
    async with running.client(None).get(ITEMS, headers={"Authorization": value}) as reply:
        assert reply.status == 401


async def test_a_revoked_token_ends_at_once(running: House) -> None:
    http = running.client(running.tokens.create("phone"))
    async with http.get(ITEMS) as reply:
        assert reply.status == 200
    running.tokens.revoke("phone")
    async with http.get(ITEMS) as reply:
        assert reply.status == 401


async def test_scopes_bound_what_a_token_may_do(running: House) -> None:
    reader = running.client(running.tokens.create("reader", ["read"]))
    async with reader.get(ITEMS) as reply:
        assert reply.status == 200
    async with reader.put(f"{ITEMS}/a.mp3", data=b"x") as reply:
        assert (reply.status, (await reply.json())["error"]["code"]) == (403, "NotAllowed")
    writer = running.client(running.tokens.create("writer", ["write"]))
    async with writer.put(f"{ITEMS}/a.mp3", data=b"x") as reply:
        assert reply.status == 201
    async with writer.get(ITEMS) as reply:
        assert reply.status == 403


async def test_the_use_of_a_token_is_noted(running: House, http: aiohttp.ClientSession) -> None:
    async with http.get(ITEMS):
        pass
    assert running.tokens.list()[0].last_used_at is not None


async def page(running: House) -> tuple[aiohttp.ClientSession, dict[str, str]]:
    """A browser that has signed in, and the header fields its page sends along with writes."""
    browser = running.client(None, cookie_jar=aiohttp.CookieJar(unsafe=True))
    async with browser.post(SESSION, json={"code": running.tokens.sign_in_code("laptop")}) as reply:
        assert reply.status == 200
        cookie = reply.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        csrf = (await reply.json())["csrf"]
    return browser, {"Origin": running.url, "X-Dmc-Csrf": csrf}


async def test_the_page_signs_in_by_a_link_that_works_once(running: House) -> None:
    code = running.tokens.sign_in_code("laptop")
    for status in (200, 401):
        async with running.client(None).post(SESSION, json={"code": code}) as reply:
            assert reply.status == status
    async with running.client(None).post(SESSION, json={"token": running.secret}) as reply:
        assert (reply.status, (await reply.json())["client_id"]) == (200, "laptop")
    for body in ({}, {"token": "x"}, {"code": ""}, {"other": 1}):
        async with running.client(None).post(SESSION, json=body) as reply:
            assert reply.status in (400, 401)


async def test_a_page_session_reads_and_survives_a_restart(running: House) -> None:
    browser, _ = await page(running)
    await running.restart()
    async with browser.get(ITEMS) as reply:
        assert reply.status == 200
    async with browser.get(SESSION) as reply:
        assert (await reply.json())["client_id"] == "laptop"


async def test_a_page_session_writes_only_from_the_page_itself(running: House) -> None:
    browser, fields = await page(running)
    wrong: list[dict[str, str]] = [
        {},
        {"Origin": running.url},
        {"X-Dmc-Csrf": fields["X-Dmc-Csrf"]},
        fields | {"Origin": "http://evil.example"},
        fields | {"X-Dmc-Csrf": "0" * 64},
    ]
    for headers in wrong:
        async with browser.put(f"{ITEMS}/a.mp3", data=b"x", headers=headers) as reply:
            assert (reply.status, (await reply.json())["error"]["code"]) in ((403, "NotFromThePage"), (403, "ForeignOrigin"))
    async with browser.put(f"{ITEMS}/a.mp3", data=b"x", headers=fields) as reply:
        assert reply.status == 201


async def test_a_method_override_does_not_get_round_the_page_check(running: House) -> None:
    browser, _ = await page(running)
    async with browser.get("/api/v1/uploads/0190b2c0-0000-7000-8000-000000000000", headers={"X-HTTP-Method-Override": "DELETE"}) as reply:
        assert reply.status == 403


async def test_signing_out_ends_the_session(running: House) -> None:
    browser, fields = await page(running)
    async with browser.delete(SESSION) as reply:
        assert reply.status == 403
    async with browser.delete(SESSION, headers=fields) as reply:
        assert reply.status == 204
    async with browser.get(ITEMS) as reply:
        assert reply.status == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:80", 200),
        ("192.168.1.5", 200),
        ("nas.local", 200),
        ("NAS.local:8770", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
    ],
)
async def test_other_host_names_are_refused(house: House, host: str, status: int) -> None:
    await house.start(allowed_hosts=("nas.local",))
    async with house.client(None).get("/", headers={"Host": host}) as reply:
        assert reply.status == status
    async with house.client(None).get(SERVER, headers={"Host": host}) as reply:
        assert reply.status == 200
    async with house.client().get(ITEMS, headers={"Host": host}) as reply:
        assert reply.status == 200, "who shows a token is no page that was led astray"


async def test_an_open_address_needs_a_token_first(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.tokens.revoke("laptop")
    server = house.make()
    with pytest.raises(BadSettings, match="no token"):
        await server.start("0.0.0.0", 0)
    house.tokens.create("laptop")
    await server.start("0.0.0.0", 0)
    await server.stop()
    assert "without TLS" in caplog.text


async def test_a_taken_port_is_told(running: House) -> None:
    with pytest.raises(Locked, match="cannot listen"):
        await running.make().start(*running.address)


@pytest.mark.parametrize(
    ("host", "words"), [("192.0.2.1", "this machine has no such address"), ("nas.invalid", "'nas.invalid' cannot be found")]
)
async def test_an_address_that_is_not_there_yet_is_worth_another_try(house: House, host: str, words: str) -> None:
    """systemd does not start a service again that ended with 2; the address may come a moment later."""
    with pytest.raises(NoAddress, match=words) as caught:
        await house.make().start(host, 0)
    assert caught.value.exit_code != BadSettings.exit_code and "listen_on_address" in caught.value.hint


async def test_a_host_that_is_no_address_is_refused(running: House) -> None:
    async with connection(running) as raw:
        await raw.send(b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n")
        assert (await raw.answer())[0] in (400, 403)


@pytest.mark.parametrize("address", ["no such host", "", "a" * 300, "nas..local", "300.1.2.3"])
async def test_an_address_that_is_none_is_refused_in_words(house: House, address: str) -> None:
    with pytest.raises(BadSettings, match="no address to listen on"):
        await house.make().start(address, 0)
