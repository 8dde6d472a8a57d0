"""A server below a path of a proxy, and what it believes of one."""

import json
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request

from dmc.protocol import API, CHECK, EVENTS, ITEMS, SERVER, UPLOADS
from dmc.server.outside import Outside
from dmc.server.peers import Peers
from dmc.server_settings import ServerSettings
from tests.server.conftest import TUS, House

BASE = "/dmc"


async def test_every_path_answers_with_the_base_path_and_without_it(running: House) -> None:
    await running.restart(base_path=BASE)
    http = running.client()
    for path in ("/", "/livez", "/metrics", "/api/docs", ITEMS, SERVER, f"{API}/openapi.json"):
        for asked in (path, BASE + path):
            async with http.get(asked) as reply:
                assert reply.status == 200, asked
    async with http.get(BASE) as reply:
        assert reply.content_type == "text/html"
    async with http.get(f"{BASE}{BASE}/livez") as reply:
        assert reply.status == 404
    async with http.get("/metrics") as reply:
        text = await reply.text()
    assert f'path="{ITEMS}"' in text
    assert BASE not in text


async def test_every_link_begins_with_the_base_path(running: House) -> None:
    await running.restart(base_path=BASE)
    http = running.client()
    path = await running.create(http, 3)
    assert path.startswith(BASE + UPLOADS)
    reply = await running.patch(http, path, 0, b"abc")
    assert (reply.status, reply.headers["Tus-Resumable"]) == (204, "1.0.0")
    item_id = reply.headers["Dmc-Item"]
    running.finish(item_id, b"result")
    async with http.get(f"{BASE}{ITEMS}/{item_id}") as reply:
        result = (await reply.json())["result"]
    assert result["url"] == f"{BASE}{ITEMS}/{item_id}/result"
    async with http.get(result["url"]) as reply:
        assert await reply.read() == b"result"
    async with http.put(f"{BASE}{ITEMS}/a.mp4", params={"conversion_type": "h265"}, data=b"abcd") as reply:
        assert reply.headers["Location"].startswith(BASE + ITEMS)
    async with http.get(f"{BASE}{API}/openapi.json") as reply:
        document = await reply.json()
    assert document["servers"] == [{"url": BASE}]
    assert ITEMS in document["paths"]
    async with http.get(f"{BASE}/") as reply:
        shell = await reply.text()
    assert f'"{BASE}/web/' in shell
    assert '"/web/' not in shell


async def test_what_is_being_uploaded_is_told_with_the_base_path(running: House) -> None:
    await running.restart(base_path=BASE)
    http = running.client()
    digest = "ab" * 64
    path = await running.create(http, 3, sha512=digest)
    asked = {"files": [{"sha512": digest, "file_size": 3, "conversion_type": "h265", "options": {}}]}
    async with http.post(BASE + CHECK, json=asked) as reply:
        assert (await reply.json())["files"][0]["url"] == path


async def test_parts_are_joined_by_their_addresses_below_the_base_path(running: House) -> None:
    await running.restart(base_path=BASE)
    http = running.client()
    parts = []
    for data in (b"ab", b"c"):
        headers = TUS | {"Upload-Length": str(len(data)), "Upload-Concat": "partial"}
        async with http.post(BASE + UPLOADS, headers=headers) as reply:
            parts.append(running.path_of(reply))
        await running.patch(http, parts[-1], 0, data)
    named = {"Upload-Concat": f"final;{' '.join(parts)}", "Upload-Metadata": "filename YS5tcDQ=,conversion_type aDI2NQ=="}
    async with http.post(BASE + UPLOADS, headers=TUS | named) as reply:
        assert reply.status == 201, await reply.text()
        assert running.stored(running.path_of(reply)) == b"abc"


async def test_the_session_is_for_the_base_path_alone_and_events_flow_below_it(running: House) -> None:
    await running.restart(base_path=BASE)
    async with running.client(None).post(f"{BASE}{API}/session", json={"token": running.secret}) as reply:
        assert next(iter(reply.cookies.values()))["path"] == BASE
    async with running.client().get(BASE + EVENTS) as reply:
        assert (await reply.content.readline()).strip()


@pytest.mark.parametrize(("proxies", "host", "status"), [((), "nas.example", 403), (("127.0.0.1",), "nas.example", 200)])
async def test_a_host_that_a_proxy_tells_is_checked_like_one_that_is_asked(
    running: House, proxies: tuple[str, ...], host: str, status: int
) -> None:
    """`Host` is the proxy's own name for us here; only a declared proxy may say another one, and only one that is allowed."""
    await running.restart(trusted_proxies=proxies, allowed_hosts=("nas.example",))
    http = running.client(None)
    for headers, expected in (
        ({"X-Forwarded-Host": host, "Origin": f"https://{host}:8443"}, status),
        ({"X-Forwarded-Host": "evil.example"}, 403 if proxies else 200),
        ({"X-Forwarded-Host": host, "Host": "evil.example"}, 403),
    ):
        if "Origin" in headers:
            headers["X-Forwarded-Host"] += ":8443"
        async with http.get("/", headers=headers) as reply:
            assert reply.status == expected, headers


def test_only_a_declared_proxy_is_believed() -> None:
    fields = {"Host": "nas:8770", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "elsewhere.example"}
    request = make_mocked_request("POST", UPLOADS, headers=fields)
    outside = Outside(BASE, Peers(("127.0.0.1", "10.0.0.0/8")))
    for remote in ("127.0.0.1", "::ffff:10.1.2.3"):
        assert outside.url(request.clone(remote=remote), "/x") == "https://elsewhere.example/dmc/x"
    for remote in ("192.168.1.7", "2001:db8::7", "?"):
        assert outside.url(request.clone(remote=remote), "/x") == "http://nas:8770/dmc/x"


@pytest.mark.parametrize(("said", "meant"), [("", ""), ("/", ""), ("/dmc/", "/dmc"), ("/tools/dmc", "/tools/dmc")])
def test_a_base_path_is_a_plain_path(said: str, meant: str) -> None:
    assert ServerSettings(base_path=said).base_path == meant


@pytest.mark.parametrize("said", ["dmc", "/a b", "/../x", "/api", "/web/x", "http://nas/dmc", '/"x', "//x"])
def test_what_is_no_base_path_is_refused(said: str) -> None:
    with pytest.raises(ValueError, match="path"):
        ServerSettings(base_path=said)


async def test_the_page_finds_the_api_from_its_own_address(running: House) -> None:
    await running.restart(base_path=BASE)
    http: aiohttp.ClientSession = running.client(None)
    async with http.get(f"{BASE}/") as reply:
        main = (await reply.text()).partition('type="module" src="')[2].partition('"')[0]
    api = main.replace("main.js", "api.js")
    async with http.get(api) as reply:
        named = (await reply.text()).partition('new URL("')[2].partition('"')[0]
    from urllib.parse import urljoin

    assert urljoin(api, named) == BASE + API
    async with http.get(urljoin(api, "../app.webmanifest")) as reply:
        manifest: dict[str, Any] = json.loads(await reply.read())
        assert urljoin(reply.url.path, manifest["start_url"]) == f"{BASE}/"
