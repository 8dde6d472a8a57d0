"""Pairing by a short code, what admins see of tokens and clients, and how guessing and asking too often are bounded."""

from typing import Any

import aiohttp
import pytest

from dmc.clock import ManualClock
from dmc.fingerprints import plain_fingerprint, shown_fingerprint
from dmc.pairing import CODE_LENGTH, CODE_VALID_S, LETTERS, PAIR, PAIR_CODES
from dmc.protocol import ITEMS, TYPES
from dmc.server.pairing import MOST_CODES, MOST_TRIES, Codes
from dmc.server.peers import Peers
from dmc.server.rates import MOST_ADDRESSES, Buckets
from dmc.server.sessions import SESSION
from dmc.server.tokens import Scope
from tests.server.conftest import House

BOTH = (Scope.READ, Scope.WRITE)


@pytest.fixture
async def admin(running: House) -> aiohttp.ClientSession:
    return running.client(running.tokens.create("admin", ["read", "write", "admin"]))


async def new_code(admin: aiohttp.ClientSession, **asked: Any) -> str:
    async with admin.post(PAIR_CODES, json=asked or None) as reply:
        assert reply.status == 201, await reply.text()
        told = await reply.json()
    assert told["valid_s"] == CODE_VALID_S
    assert len(told["code"]) == CODE_LENGTH
    assert set(told["code"]) <= set(LETTERS)
    return str(told["code"])


async def pair(running: House, code: str, name: str = "phone") -> tuple[int, dict[str, Any]]:
    async with running.client(None).post(PAIR, json={"code": code, "client_name": name}) as reply:
        return reply.status, await reply.json()


async def test_a_code_is_traded_once_for_a_token_that_works(running: House, admin: aiohttp.ClientSession) -> None:
    code = await new_code(admin)
    status, told = await pair(running, f"{code[:4].lower()}-{code[4:]}")
    assert (status, told["client_id"], told["scopes"]) == (201, "phone", ["read", "write"])
    assert told["server"]["service"] == "dmc"
    async with running.client(told["token"]).get(ITEMS) as reply:
        assert reply.status == 200
    assert (await pair(running, code))[0] == 401
    assert told["token"] not in (running.data / "tokens.json").read_text()


async def test_a_code_gives_the_scopes_it_was_made_for(running: House, admin: aiohttp.ClientSession) -> None:
    _, told = await pair(running, await new_code(admin, scopes=["read"]))
    assert told["scopes"] == ["read"]
    for scopes in ([], ["everything"]):
        async with admin.post(PAIR_CODES, json={"scopes": scopes}) as reply:
            assert reply.status == 400


async def test_a_second_client_of_the_same_name_does_not_own_the_items_of_the_first(running: House, admin: aiohttp.ClientSession) -> None:
    names = [(await pair(running, await new_code(admin), "laptop"))[1]["client_id"] for _ in range(2)]
    assert names == ["laptop-2", "laptop-3"]


@pytest.mark.parametrize("body", [{}, {"code": "ABCDEFGH"}, {"code": 1, "client_name": "x"}, {"code": "A" * 41, "client_name": "x"}])
async def test_a_request_that_does_not_fit_is_400(running: House, body: dict[str, Any]) -> None:
    async with running.client(None).post(PAIR, json=body) as reply:
        assert reply.status == 400


@pytest.mark.parametrize("name", ["new\nline", " ", "\u202eevil"])
async def test_a_name_that_cannot_be_shown_is_refused(running: House, admin: aiohttp.ClientSession, name: str) -> None:
    assert (await pair(running, await new_code(admin), name))[0] == 400


async def test_guessing_ends_with_429_for_the_address(running: House, admin: aiohttp.ClientSession) -> None:
    code = await new_code(admin)
    statuses = [(await pair(running, "AAAAAAAA"))[0] for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    async with running.client(None).post(PAIR, json={"code": code, "client_name": "phone"}) as reply:
        assert reply.status == 429
        assert 1 <= int(reply.headers["Retry-After"]) <= 60
    # Who has a token is not kept out by a neighbour that guesses.
    async with admin.get(ITEMS) as reply:
        assert reply.status == 200
    async with running.client("dmc_nonsense").get(ITEMS) as reply:
        assert reply.status == 429
    async with running.client(None).post(SESSION, json={"token": running.secret}) as reply:
        assert reply.status == 429


def test_a_code_is_void_after_a_few_wrong_tries_of_whomever() -> None:
    codes = Codes(ManualClock())
    code, _ = codes.make(BOTH)
    for _ in range(MOST_TRIES):
        assert codes.use("AAAAAAAA") is None
    assert codes.use(code) is None
    code, _ = codes.make(BOTH)
    assert codes.use("AAAAAAAA") is None
    assert codes.use(code) == BOTH


def test_a_code_ends_by_itself_and_there_are_only_so_many() -> None:
    clock = ManualClock()
    codes = Codes(clock)
    code, _ = codes.make(BOTH)
    clock.advance(CODE_VALID_S)
    assert codes.use(code) is None
    for _ in range(MOST_CODES):
        codes.make(BOTH)
    with pytest.raises(Exception, match="already"):
        codes.make(BOTH)


async def test_admins_see_tokens_and_clients_and_revoke_them(running: House, admin: aiohttp.ClientSession) -> None:
    async with running.client().get(ITEMS) as reply:
        assert reply.status == 200
    async with admin.get("/api/v1/tokens") as reply:
        told = await reply.json()
    assert [token["name"] for token in told["tokens"]] == ["laptop", "admin"]
    assert "sha256" not in told["tokens"][0]
    async with admin.get("/api/v1/clients") as reply:
        clients = {client["client_id"]: client for client in (await reply.json())["clients"]}
    assert clients["laptop"]["last_seen_at"] >= running.tokens.list()[0].last_used_at
    assert clients["laptop"]["tokens"] == ["laptop"]
    for status in (204, 404):
        async with admin.delete("/api/v1/tokens/laptop") as reply:
            assert reply.status == status
    async with running.client().get(ITEMS) as reply:
        assert reply.status == 401


async def test_an_address_that_asks_too_often_waits(house: House) -> None:
    await house.start(requests_per_minute=3)
    http = house.client()
    for status in (200, 200, 200, 429):
        async with http.get(TYPES) as reply:
            assert reply.status == status
    assert reply.headers["Retry-After"] == "20"
    assert reply.headers["X-Request-Id"]


def test_a_bucket_fills_with_time_and_forgets_the_quiet_ones() -> None:
    clock = ManualClock()
    buckets = Buckets(2, clock)
    assert [buckets.take("a") for _ in range(3)] == [0, 0, 30]
    assert buckets.take("b") == 0
    clock.advance(30)
    assert [buckets.take("a"), buckets.take("a")] == [0, 30]
    for number in range(MOST_ADDRESSES):
        buckets.take(str(number))
    assert buckets.take("a") == 0
    assert [Buckets(0, clock).take("a") for _ in range(9)] == [0] * 9


class FakeRequest:
    def __init__(self, remote: str, forwarded: list[str], proto: str = "") -> None:
        from multidict import CIMultiDict

        self.remote, self.scheme = remote, "http"
        self.headers = CIMultiDict([("X-Forwarded-For", each) for each in forwarded])
        if proto:
            self.headers["X-Forwarded-Proto"] = proto


@pytest.mark.parametrize(
    ("remote", "forwarded", "address"),
    [
        ("10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["6.6.6.6", "1.2.3.4, 10.0.0.2"], "1.2.3.4"),
        ("::ffff:10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("9.9.9.9", ["1.2.3.4"], "9.9.9.9"),
        ("10.0.0.1", ["nonsense"], "nonsense"),
    ],
)
def test_only_a_declared_proxy_says_who_asks(remote: str, forwarded: list[str], address: str) -> None:
    peers = Peers(["10.0.0.0/8"])
    request: Any = FakeRequest(remote, forwarded, "https")
    assert peers.address_of(request) == address
    assert peers.is_tls(request) is (remote != "9.9.9.9")


def test_fingerprints_are_read_as_people_write_them() -> None:
    plain = "0f" * 32
    assert plain_fingerprint(shown_fingerprint(plain)) == plain
    assert plain_fingerprint(f"SHA256:{plain.upper()}") == plain
    with pytest.raises(Exception, match="64 hex"):
        plain_fingerprint("0f:1a")
