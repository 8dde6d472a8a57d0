"""A whole run, looked through afterwards: no secret stands in the log, the journal, or any file but the one that is meant to hold it."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dmc.broker.ledger_json import LedgerJson
from dmc.files import RealDisk
from dmc.log import start_logging
from dmc.pairing import PAIR, PAIR_CODES
from dmc.protocol import ITEMS
from dmc.server.notices import FINISHED, Notified
from dmc.server.sessions import SESSION
from dmc.server.webhook import Webhook
from tests.server.conftest import House

WEBHOOK_SECRET = "webhook-secret-0123456789abcdef"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """All that is logged, at the level that says most."""
    root = logging.getLogger("dmc")
    before = (list(root.handlers), root.level, root.propagate)
    stream = io.StringIO()
    start_logging("debug", stream)
    yield stream
    root.handlers[:], root.level, root.propagate = before


async def whole_run(house: House) -> dict[str, str]:
    """Everything that has to do with secrets, right and wrong; the secrets by name."""
    secrets = {"token": house.secret, "webhook": WEBHOOK_SECRET, "admin": house.tokens.create("admin", ["read", "write", "admin"])}
    secrets["link"] = house.tokens.sign_in_code("admin")
    browser = house.client(None, cookie_jar=aiohttp.CookieJar(unsafe=True))
    async with browser.post(SESSION, json={"code": secrets["link"]}) as reply:
        secrets["csrf"] = (await reply.json())["csrf"]
        secrets["session"] = next(iter(reply.cookies.values())).value
    fields = {"Origin": house.url, "X-Dmc-Csrf": secrets["csrf"]}
    async with browser.post(PAIR_CODES, headers=fields) as reply:
        secrets["code"] = (await reply.json())["code"]
    async with house.client(None).post(PAIR, json={"code": secrets["code"], "client_name": "phone"}) as reply:
        secrets["paired"] = (await reply.json())["token"]
    await house.upload(house.client(secrets["paired"]), b"film")
    secrets["wrong"] = "dmc_wrong-token-0123456789"
    for call in (
        house.client(secrets["wrong"]).get(ITEMS),
        house.client(None).post(SESSION, json={"token": secrets["wrong"]}),
        house.client(None).post(PAIR, json={"code": secrets["wrong"], "client_name": "x"}),
        browser.put(f"{ITEMS}/a.mp3", data=b"x", headers=fields | {"Origin": "http://evil.example"}),
    ):
        async with call as reply:
            assert reply.status in (401, 403)
            told = await reply.text()
            assert not any(secret in told for secret in secrets.values())
    return secrets


async def test_no_secret_is_written_anywhere(house: House, tmp_path: Path, written: io.StringIO, monkeypatch: Any) -> None:
    secret_file = tmp_path / "webhook"
    secret_file.write_text(WEBHOOK_SECRET)
    house.ledger = LedgerJson.open(house.data, RealDisk(), recover=True)
    house.notified = Notified([Webhook("http://127.0.0.1:1/none", secret_file, frozenset(FINISHED), 0)])
    await house.start()
    secrets = await whole_run(house)
    monkeypatch.setattr(house.ledger, "counts", lambda: 1 / 0)  # An unforeseen fault, with its traceback in the log.
    async with house.client(secrets["admin"]).get("/metrics") as reply:
        assert reply.status == 500
    await house.stop()
    house.ledger.close()
    log = written.getvalue()
    assert "a client was paired" in log
    assert "ZeroDivisionError" in log
    files = {file: file.read_bytes() for file in house.data.rglob("*") if file.is_file()}
    assert any(file.name.startswith("index") for file in files)
    for name, secret in secrets.items():
        assert secret not in log, f"{name} is in the log"
        assert [str(file) for file, content in files.items() if secret.encode() in content] == [], name
