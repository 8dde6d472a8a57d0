"""`dmc client pair` against a real server: what it asks, what it refuses to send, and what it writes down."""

import asyncio
import stat
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dmc.cli.main import run
from dmc.config import load_client
from dmc.pairing import PAIR_CODES
from tests.loops import LoopApart
from tests.server.certificates import certificate
from tests.server.conftest import House

Start = Callable[..., House]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DMC_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a server in a thread of its own, with TLS or without."""
    loop = LoopApart()
    house = House(tmp_path / "server")

    def started(tls: bool, base_path: str = "") -> House:
        house.tls = certificate(tmp_path, "server") if tls else None
        loop.do(house.start(base_path=base_path))
        return house

    yield started
    loop.do(house.stop())
    loop.close()


def code_of(house: House) -> str:
    """A code as the page would get it."""
    secret = house.tokens.create("page", ["admin"])

    async def ask() -> str:
        from aiohttp import ClientSession, Fingerprint, TCPConnector

        pin = Fingerprint(bytes.fromhex(house.tls.fingerprint)) if house.tls else True
        shown = {"Authorization": f"Bearer {secret}"}
        async with ClientSession(house.url, connector=TCPConnector(ssl=pin)) as http, http.post(PAIR_CODES, headers=shown) as reply:
            return str((await reply.json())["code"])

    return asyncio.run(ask())


def where(house: House) -> str:
    return f"{house.address[0]}:{house.address[1]}"


def test_a_code_becomes_a_token_and_a_server_in_the_settings(start: Start, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    house = start(False)
    code = code_of(house)
    assert run(["client", "pair", where(house), code, "--name", "nas", "--client", "phone", "--dry-run"]) == 0
    assert not (home / "client.toml").exists()
    assert run(["client", "pair", where(house), code, "--name", "nas", "--client", "phone"]) == 0
    [server] = tomllib.loads((home / "client.toml").read_text())["list_of_servers"]
    file = Path(server["token_file"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found = house.tokens.find(file.read_text().strip())
    assert found is not None
    assert found.client_id == "phone"
    assert (server["name"], server["address"], server["port"]) == ("nas", *house.address)
    assert "fingerprint" not in server
    assert "tls" not in server
    said = capsys.readouterr()
    assert file.read_text().strip() not in said.out + said.err
    assert run(["client", "pair", where(house), code]) == 6


def test_the_path_of_a_proxy_is_kept_in_the_settings(start: Start, home: Path) -> None:
    house = start(False, "/dmc")
    assert run(["client", "pair", f"{where(house)}/dmc/", code_of(house), "--name", "nas"]) == 0
    [server] = load_client(home / "client.toml").settings.list_of_servers
    assert server.url == f"{house.url}/dmc"
    assert run(["server", "ping", server.url]) == 0


def test_a_code_that_is_not_good_is_told(start: Start, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    house = start(False)
    assert run(["client", "pair", where(house), "AAAAAAAA"]) == 4
    assert "this code is not good" in capsys.readouterr().err
    assert not (home / "client.toml").exists()


def test_with_tls_the_fingerprint_is_pinned_and_a_wrong_one_stops_it(start: Start, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    house = start(True)
    assert house.tls is not None
    code = code_of(house)
    assert run(["client", "pair", where(house), code]) == 2
    assert "--fingerprint" in capsys.readouterr().err
    assert run(["client", "pair", where(house), code, "--fingerprint", "0" * 64]) == 4
    assert "another certificate" in capsys.readouterr().err
    assert run(["client", "pair", f"https://{where(house)}", code, "--fingerprint", house.tls.fingerprint.upper()]) == 0
    [server] = tomllib.loads((home / "client.toml").read_text())["list_of_servers"]
    assert server["fingerprint"] == house.tls.fingerprint
    assert server["tls"] is True
    assert run(["server", "ping", house.url, "--fingerprint", house.tls.fingerprint]) == 0
    assert run(["server", "ping", house.url]) == 7


def test_a_fingerprint_is_not_traded_for_a_way_without_tls(start: Start, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    house = start(False)
    assert run(["client", "pair", where(house), "AAAAAAAA", "--fingerprint", "0" * 64]) == 7
    assert "does not speak TLS" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["", "http://", "nas:port", "ftp://nas", "nas/a b", "nas/api"])
def test_what_is_no_address_is_a_usage_error(home: Path, address: str) -> None:
    assert run(["client", "pair", address, "ABCDEFGH"]) == 2


def test_a_link_is_made_beside_a_token(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(["server", "token", "create", "me", "--scopes", "admin", "--link"]) == 0
    assert capsys.readouterr().out.startswith("http://127.0.0.1:8770/#sign-in=")
    monkeypatch.setenv("DMC_SERVER__BASE_PATH", "/dmc")
    assert run(["server", "token", "create", "you", "--scopes", "admin", "--link"]) == 0
    assert capsys.readouterr().out.startswith("http://127.0.0.1:8770/dmc/#sign-in=")
