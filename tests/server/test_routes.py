"""Every route there is, walked from the router's own table: who is refused, and that the API's description knows it."""

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from dmc.pairing import PAIR, PairRequest
from dmc.protocol import ITEMS, SERVER, UPLOADS
from dmc.server.calls import CALLS, Call, add
from dmc.server.openapi import DOCS, OPENAPI, describe
from dmc.server.sessions import SESSION
from dmc.server.tokens import Scope
from tests.patience import PATIENCE_S
from tests.server.conftest import House

OPEN = {
    ("GET", "/"),
    ("GET", "/favicon.ico"),
    ("GET", "/web/{version}/{name}"),
    ("GET", "/web/{version}/{folder}/{name}"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", SERVER),
    ("GET", SESSION),
    ("POST", SESSION),
    ("DELETE", SESSION),
    ("POST", PAIR),
}
"""What anybody may call. A new name here wants a reason that everybody would agree with."""

NO_ITEM = "0190b2c0-0000-7000-8000-000000000000"


def routes(house: House) -> Iterator[tuple[str, str, Call | None]]:
    """(method, path as it was added, what was declared) of every route; a route for any method once per declared method."""
    assert house.server is not None
    app = house.server.make_app()
    for route in app.router.routes():
        path = route.resource.canonical if route.resource else ""
        for method in sorted(m for m, p in app[CALLS] if p == path) if route.method == "*" else (route.method,):
            known = app[CALLS].get((method, path)) or (app[CALLS].get(("GET", path)) if method == "HEAD" else None)
            yield method, path, known


async def asked(http: aiohttp.ClientSession, method: str, path: str, **headers: str) -> tuple[int, str]:
    """Status and error code of one request without a body; a stream is not read to its end."""
    address = re.sub(r"\{\w+\}", NO_ITEM, path)
    tus = {"Tus-Resumable": "1.0.0"} if path.startswith(UPLOADS) else {}
    async with asyncio.timeout(PATIENCE_S), http.request(method, address, headers=tus | headers) as reply:
        told = {} if reply.status < 400 or method == "HEAD" else json.loads(await reply.read() or b"{}")
        return reply.status, told.get("error", {}).get("code", "")


async def test_every_route_says_what_it_takes_and_the_document_has_them_all_and_nothing_else(running: House) -> None:
    found = list(routes(running))
    assert [f"{method} {path}" for method, path, known in found if known is None] == []
    assert running.server is not None
    document = describe(running.server.make_app()[CALLS])
    shown = {(method.upper(), re.sub(r"\{\w+\}", "{}", path)) for path, methods in document["paths"].items() for method in methods}
    there = {(method, re.sub(r"\{\w+\}", "{}", path)) for method, path, _ in found}
    # A GET answers HEAD too, as HTTP says; only a HEAD of its own is told.
    assert {(m, p) for m, p in there if m != "HEAD"} == {(m, p) for m, p in shown if m != "HEAD"}
    assert {p for m, p in shown if m == "HEAD"} <= {p for m, p in there if m == "HEAD"}
    assert len(shown) >= 30


async def test_every_route_needs_a_token_but_the_named_ones(running: House) -> None:
    http = running.client(None)
    seen_open = set()
    for method, path, known in routes(running):
        status, _ = await asked(http, method, path)
        name = ("GET" if method == "HEAD" else method, path)
        if known is not None and known.scope is None:
            seen_open.add(name)
            assert status != 401 or name == ("POST", SESSION), f"{method} {path}"
        else:
            assert status == 401, f"{method} {path}"
    assert seen_open == OPEN


async def test_every_route_refuses_a_token_without_the_scope_it_needs(running: House) -> None:
    secrets = {
        Scope.READ: running.tokens.create("w", ["write"]),
        Scope.WRITE: running.tokens.create("r", ["read"]),
        Scope.ADMIN: running.tokens.create("rw", ["read", "write"]),
    }
    clients = {scope: running.client(secret) for scope, secret in secrets.items()}
    walked = 0
    for method, path, known in routes(running):
        if known is not None and known.scope is not None:
            walked += 1
            status, code = await asked(clients[known.scope], method, path)
            assert status == 403, f"{method} {path}"
            assert method == "HEAD" or code == "NotAllowed", f"{method} {path}"
    assert walked >= 25


async def test_every_route_refuses_pages_of_others_whatever_they_show(running: House) -> None:
    admin = running.tokens.create("admin", ["read", "write", "admin"])
    for http in (running.client(None), running.client(admin)):
        for method, path, _ in routes(running):
            for origin in ("http://evil.example", "null", f"{running.url}0"):
                status, code = await asked(http, method, path, Origin=origin)
                assert status == 403, f"{method} {path} {origin}"
                assert method == "HEAD" or code == "ForeignOrigin", f"{method} {path} {origin}"


async def test_a_page_session_changes_nothing_without_the_pages_own_field_on_any_route(running: House) -> None:
    running.tokens.create("admin", ["read", "write", "admin"])
    browser = running.client(None, cookie_jar=aiohttp.CookieJar(unsafe=True))
    async with browser.post(SESSION, json={"code": running.tokens.sign_in_code("admin")}) as reply:
        assert reply.status == 200
    for method, path, known in routes(running):
        if method not in ("GET", "HEAD", "OPTIONS") and known is not None and (known.scope is not None or path == SESSION):
            status, code = await asked(browser, method, path, Origin=running.url)
            assert (status, code) == ((400, "BadRequest") if (method, path) == ("POST", SESSION) else (403, "NotFromThePage")), path


async def test_the_document_is_served_with_its_page_and_names_only_shapes_it_has(running: House, http: aiohttp.ClientSession) -> None:
    async with http.get(OPENAPI) as reply:
        document: dict[str, Any] = await reply.json()
    assert document["openapi"].startswith("3.1")
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert named <= document["components"]["schemas"].keys()
    assert {"ItemView", "ErrorBody", "PairRequest"} <= named
    assert not re.findall(r"\$defs", json.dumps(document))
    async with http.get(DOCS) as reply:
        page, policy = await reply.text(), reply.headers["Content-Security-Policy"]
    assert "/api/v1/items/{item_id}/result" in page
    assert "<script" not in page
    assert not re.findall(r'(?:href|src)="(?:https?:)?//', page)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


async def test_an_answer_that_its_call_does_not_declare_is_noticed(running: House, http: aiohttp.ClientSession) -> None:
    assert running.server is not None
    assert running.server._runner is not None
    calls, name = running.server._runner.app[CALLS], ("GET", f"{ITEMS}/{{item_id}}")
    calls[name] = replace(calls[name], refuses=())
    async with http.get(f"{ITEMS}/{NO_ITEM}") as reply:
        assert reply.status == 404
    calls["GET", SERVER] = replace(calls["GET", SERVER], reply=PairRequest)
    async with http.get(SERVER) as reply:
        assert reply.status == 200
    assert running.undeclared[0] == f"GET {ITEMS}/{NO_ITEM}: 404"
    assert running.undeclared[1].startswith(f"GET {SERVER}: ")
    running.undeclared.clear()


async def test_a_write_cannot_be_declared_with_the_scope_of_reading(running: House) -> None:
    assert running.server is not None
    app = running.server.make_app()

    async def handler(_: aiohttp.web.Request) -> aiohttp.web.Response:
        raise AssertionError

    with pytest.raises(ValueError, match="reading is not enough"):
        add(app, "POST", "/api/v1/new", handler, Call("New"))
