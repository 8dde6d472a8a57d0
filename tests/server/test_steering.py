"""Pause, drain and resume over HTTP, and the queue's own word on why it waits."""

import aiohttp
import pytest

from dmc.broker.control import Mode
from dmc.protocol import SERVER, Identity
from tests.server.conftest import House


@pytest.fixture
async def admin(running: House) -> aiohttp.ClientSession:
    return running.client(running.tokens.create("boss", ("read", "write", "admin")))


async def test_an_admin_pauses_drains_and_resumes(running: House, admin: aiohttp.ClientSession) -> None:
    for verb, mode in (("pause", Mode.PAUSE), ("drain", Mode.DRAIN), ("resume", Mode.RUN)):
        async with admin.post(f"{SERVER}/{verb}") as reply:
            assert (reply.status, await reply.json()) == (202, {"mode": mode, "until": None})
        assert running.control.mode() is mode


async def test_a_pause_has_an_end_where_one_is_named(running: House, admin: aiohttp.ClientSession) -> None:
    async with admin.post(f"{SERVER}/pause", json={"until": "2099-01-01T07:00:00+01:00", "put_back": True}) as reply:
        assert (await reply.json()) == {"mode": "put-back", "until": "2099-01-01T06:00:00.000000Z"}
    assert running.control.mode() is Mode.PUT_BACK


@pytest.mark.parametrize(
    ("verb", "body"),
    [("pause", "{"), ("pause", '{"until": "soon"}'), ("pause", '{"until": "1999-01-01T00:00:00Z"}'), ("resume", '{"put_back": true}')],
)
async def test_what_makes_no_sense_changes_nothing(running: House, admin: aiohttp.ClientSession, verb: str, body: str) -> None:
    async with admin.post(f"{SERVER}/{verb}", data=body) as reply:
        assert (reply.status, (await reply.json())["error"]["code"]) == (400, "BadRequest")
    assert running.control.mode() is Mode.RUN


async def test_only_an_admin_steers(running: House, http: aiohttp.ClientSession) -> None:
    async with http.post(f"{SERVER}/pause") as reply:
        assert reply.status == 403
    async with running.client(None).post(f"{SERVER}/pause") as reply:
        assert reply.status == 401
    assert running.control.mode() is Mode.RUN


async def test_the_server_says_why_its_queue_waits(running: House, http: aiohttp.ClientSession) -> None:
    async with http.get(SERVER) as reply:
        said = Identity.model_validate_json(await reply.text()).waiting
    assert said is not None and said.code == "broker-down"
    running.control.beat(1, "epoch", Mode.PAUSE, {"code": "paused", "message": "paused.", "until": "2099-01-01T00:00:00Z"}, frozen=True)
    async with http.get(SERVER) as reply:
        said = Identity.model_validate_json(await reply.text()).waiting
    assert said is not None and (said.code, said.until) == ("paused", "2099-01-01T00:00:00Z")
