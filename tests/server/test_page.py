"""The page as files: what it loads, says and asks for is there; third-party files are what they are said to be. No browser."""

import hashlib
import json
import re
import tomllib
from pathlib import Path
from urllib.parse import urljoin

import aiohttp
import pytest

from dmc.server.page import FOLDER, TYPES, Page
from tests.server.conftest import House

ROOT = Path(__file__).parents[2]
OWN = sorted(path for path in FOLDER.rglob("*") if path.is_file() and "vendor" not in path.relative_to(FOLDER).parts)
SCRIPTS = [path for path in OWN if path.suffix == ".js"]
VENDORED = [FOLDER / "vendor" / "VENDOR.toml", ROOT / "tests" / "browser" / "vendor" / "VENDOR.toml"]


def text_of(*paths: Path) -> str:
    return "\n".join(path.read_text() for path in paths)


# --- Third-party files ---


@pytest.mark.parametrize("listing", VENDORED, ids=["of the page", "of the tests"])
def test_third_party_files_are_the_ones_that_are_listed(listing: Path) -> None:
    entries = tomllib.loads(listing.read_text())["files"]
    listed = {entry["file"]: entry for entry in entries}
    assert {path.name for path in listing.parent.iterdir()} == {*listed, "VENDOR.toml"}
    for name, entry in listed.items():
        assert hashlib.sha256((listing.parent / name).read_bytes()).hexdigest() == entry["sha256"], name
        assert entry["version"] and entry["source"]
    licences = {entry["package"] for entry in entries if entry["source"].startswith("LICENSE")}
    assert licences == {entry["package"] for entry in entries}, "each package comes with its licence"
    notice = (ROOT / "NOTICE").read_text()
    for entry in entries:
        assert f"{entry['package']} {entry['version']} ({entry['licence']})" in notice


# --- Nothing from others, nothing inline ---


def test_the_pages_own_files_name_no_other_host_and_have_nothing_inline() -> None:
    for path in OWN:
        text = path.read_text().replace('xmlns="http://www.w3.org/2000/svg"', "")
        for word in ("http://", "https://", "//cdn", " style=", "onclick=", "eval(", "innerHTML", "javascript:", "new Function"):
            assert word not in text, f"{path.name} holds {word!r}"
    shell = (FOLDER / "index.html").read_text()
    assert not re.search(r"<script(?![^>]* src=)", shell)
    assert "<style" not in shell


# --- What is named is there ---


def test_every_module_that_is_imported_exists() -> None:
    imported = 0
    for script in [*SCRIPTS, *(FOLDER / "vendor").glob("*.mjs")]:
        for target in re.findall(r'(?:from\s*|^import\s+|import\()"([^"]+)"', script.read_text(), re.M):
            assert target.startswith((".", "..")), f"{script.name}: a browser knows no bare {target!r}"
            assert (script.parent / target).is_file(), f"{script.name} imports {target}"
            imported += 1
    assert imported > 50


def test_every_name_that_is_imported_is_exported() -> None:
    for script in SCRIPTS:
        for names, target in re.findall(r'import \{([^}]+)\} from "(\./[^"]+)"', script.read_text()):
            there = (script.parent / target).read_text()
            for name in (each.strip() for each in names.split(",") if each.strip()):
                exported = rf"export (?:const|let|class|function|async function) {name}\b|export \{{[^}}]*\b{name}\b"
                assert re.search(exported, there), f"{script.name} imports {name} from {target}"


def test_every_string_that_is_used_exists_and_every_string_is_used() -> None:
    strings = json.loads((FOLDER / "strings.json").read_text())
    code = text_of(*SCRIPTS)
    named = set(re.findall(r'"([a-z]+\.[\w./?-]+)"', code)) & set(strings)
    used = set(re.findall(r'\bt\(\s*"([^"]+)"', code))
    assert used <= set(strings), used - set(strings)
    either = {key for pair in re.findall(r'\bt\([^()`"]*\? "([^"]+)" : "([^"]+)"', code) for key in pair}
    assert either <= set(strings), either - set(strings)
    prefixes = set(re.findall(r"(?:\bt|hasText)\(`([^`$]+)\$\{", code))
    for prefix in prefixes:
        assert any(key.startswith(prefix) for key in strings), f"no string begins with {prefix}"
    unused = {key for key in strings if key not in used | either | named and not key.startswith(tuple(prefixes))}
    assert not unused


def test_every_status_wish_medium_and_key_has_its_words() -> None:
    from dmc.conversions import MediaType
    from dmc.items import Outcome, Status, Wish

    strings = json.loads((FOLDER / "strings.json").read_text())
    wanted = (
        [f"status.{each}" for each in (*Status, *Outcome)] + [f"wish.{each}" for each in Wish] + [f"medium.{each}" for each in MediaType]
    )
    keys = re.search(r"KEYS = \[([^\]]+)\]", (FOLDER / "js" / "keys.js").read_text())
    assert keys is not None
    wanted += [f"keys.{key}" for key in re.findall(r'"([^"]+)"', keys[1])]
    assert [key for key in wanted if key not in strings] == []


def test_a_string_with_a_plural_has_both_forms_and_every_place_is_filled() -> None:
    strings = json.loads((FOLDER / "strings.json").read_text())
    code = text_of(*SCRIPTS)
    for key, value in strings.items():
        forms = [value] if isinstance(value, str) else [value["one"], value["other"]]
        for place in {name for form in forms for name in re.findall(r"\{(\w+)\}", form)}:
            assert re.search(rf"\b{place}\b", code), f"{key}: nobody fills {{{place}}}"


def test_every_path_that_the_page_asks_for_is_a_route(tmp_path: Path) -> None:
    api = (FOLDER / "js" / "api.js").read_text()
    names = dict(re.findall(r"export const (\w+) = `\$\{API\}([^`]+)`", api))
    assert len(names) >= 9
    routes = {route.resource.canonical for route in House(tmp_path / "data").make().make_app().router.routes() if route.resource}
    for name, path in names.items():
        full = f"/api/v1{path}"
        assert full in routes, f"{name}: no route {full}"
    code = text_of(*(path for path in SCRIPTS if path.name != "api.js"))
    assert "/api/" not in code, "paths are named in api.js only"
    for base, rest in re.findall(r"`\$\{(ITEMS|FAILURES|UPLOADS|SERVER)\}(/[^`?]*)", code):
        shape = re.sub(r"\$\{[^}]+\}+", "{}", f"/api/v1{names[base]}{rest}")
        assert shape in {re.sub(r"\{\w+\}", "{}", route) for route in routes}, shape
    for what in re.findall(r"`\$\{here\(item\)\}(/\w+)`", code):
        assert f"/api/v1/items/{{item_id}}{what}" in routes


# --- As the server sends it ---


async def test_the_shell_names_its_files_with_their_version_and_they_may_be_kept_for_good(running: House) -> None:
    http = running.client(None)
    async with http.get("/") as reply:
        assert (reply.status, reply.content_type) == (200, "text/html")
        policy = reply.headers["Content-Security-Policy"]
        shell = await reply.text()
        etag = reply.headers["ETag"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy and "http" not in policy
    async with http.get("/", headers={"If-None-Match": etag}) as reply:
        assert reply.status == 304
    named = re.findall(r'(?:href|src)="([^"]+)"', shell)
    assert len(named) >= 8
    for address in named:
        async with http.get(address) as reply:
            assert reply.status == 200, address
            assert "immutable" in reply.headers["Cache-Control"]
            assert reply.headers["X-Content-Type-Options"] == "nosniff"


async def test_every_file_is_served_with_its_type_and_nothing_else_is(running: House) -> None:
    http = running.client(None)
    base = f"/web/{Page().version}/"
    for path in FOLDER.rglob("*"):
        name = path.relative_to(FOLDER).as_posix()
        if path.is_file() and name != "index.html":
            async with http.get(urljoin(base, name)) as reply:
                assert reply.status == (200 if path.suffix in TYPES else 404), name
                if reply.status == 200:
                    assert reply.content_type == TYPES[path.suffix]
    for wrong in ("/web/0000000000000000/app.css", f"{base}..%2F..%2Fpage.py", f"{base}index.html", f"{base}nothing.js"):
        async with http.get(wrong) as reply:
            assert reply.status == 404, wrong


def test_another_file_gives_another_version(tmp_path: Path) -> None:
    for name in ("index.html", "a.js"):
        (tmp_path / name).write_text("x")
    before = Page(tmp_path).version
    (tmp_path / "a.js").write_text("y")
    assert Page(tmp_path).version != before


async def test_the_page_of_nobody_shows_no_data(running: House) -> None:
    http: aiohttp.ClientSession = running.client(None)
    for path in ("/api/v1/statistics", "/api/v1/failures"):
        async with http.get(path) as reply:
            assert reply.status == 401
