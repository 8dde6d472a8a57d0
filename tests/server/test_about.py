"""What the server says about itself: identity, health, metrics, types, check, and the page's files."""

import hashlib
import json

import aiohttp
import pytest

import dmc
from dmc.broker.control import Mode
from dmc.protocol import CHECK, ITEMS, SERVER, TYPES, CheckReply, Identity, WorkersView
from tests.server.conftest import House


async def test_P1_anybody_learns_who_answers_and_no_more(running: House) -> None:
    async with running.client(None).get(SERVER) as reply:
        assert reply.headers["Cache-Control"] == "no-store"
        said = await reply.json()
    assert set(said) == {"service", "protocol", "instance", "accepting"}
    assert (said["service"], said["protocol"], said["accepting"]) == ("dmc", 1, True)


async def test_P1_a_caller_with_a_token_learns_limits_and_space(running: House, http: aiohttp.ClientSession) -> None:
    await running.upload(http, b"x")
    async with http.get(SERVER) as reply:
        said = Identity.model_validate_json(await reply.text())
    assert (said.version, said.max_file_size, said.ledger_seq) == (dmc.__version__, 64 * 1024 * 1024, running.ledger.seq)
    assert said.free_bytes
    assert "h265" in (said.conversion_types or [])


async def test_a_caller_with_a_token_learns_how_many_workers_there_are(running: House, http: aiohttp.ClientSession) -> None:
    async def workers() -> WorkersView | None:
        async with http.get(SERVER) as reply:
            return Identity.model_validate_json(await reply.text()).workers

    assert await workers() is None
    running.control.beat(1, "epoch", Mode.RUN, workers={"total": 2, "wanted": 4, "bound": "memory", "busy": 1})
    assert await workers() == WorkersView(total=2, wanted=4, bound="memory", busy=1)


async def test_the_instance_stays_the_same_across_restarts(running: House) -> None:
    ids = []
    for _ in range(2):
        async with running.client(None).get(SERVER) as reply:
            ids.append((await reply.json())["instance"])
        await running.restart()
    assert ids[0] == ids[1]


async def test_a_full_disk_means_not_accepting(running: House) -> None:
    running.storage.free = 0
    async with running.client(None).get(SERVER) as reply:
        assert (await reply.json())["accepting"] is False


async def test_types_are_listed(http: aiohttp.ClientSession) -> None:
    async with http.get(TYPES) as reply:
        names = {kind["name"] for kind in (await reply.json())["types"]}
    assert {"h264", "h265", "opus", "webp"} <= names


async def test_ready_means_ledger_broker_and_disk(house: House) -> None:
    await house.start(disk_floor_bytes=1)
    http = house.client(None)

    async def ready() -> tuple[int, dict[str, str]]:
        async with http.get("/readyz") as reply:
            return reply.status, (await reply.json())["checks"]

    status, checks = await ready()
    assert (status, checks["broker"], checks["ledger"]) == (503, "has not started", "ok")
    old = {"mode": "run", "pid": 1, "broker_epoch": "e", "beat_at": "2020-01-01T00:00:00Z"}
    (house.data / "broker.json").write_text(json.dumps(old))
    status, checks = await ready()
    assert status == 503
    assert "no sign of life" in checks["broker"]
    house.beat()
    assert (await ready())[0] == 200
    house.control.beat(2, "later", house.control.mode())
    house.storage.free = 0
    status, checks = await ready()
    assert status == 503
    assert "floor" in checks["disk"]
    async with http.get("/livez") as reply:
        assert reply.status == 200


async def test_metrics_are_prometheus_text(running: House, http: aiohttp.ClientSession) -> None:
    running.beat()
    await running.upload(http, b"12345")
    await running.create(http, 10)
    async with http.get("/metrics") as reply:
        assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        lines = (await reply.text()).splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert values['dmc_items{status="to_do"}'] == "1.0"
    assert values["dmc_upload_sessions"] == "1.0"
    assert values['dmc_bytes_total{direction="in"}'] == "5.0"
    assert float(values["dmc_broker_beat_age_seconds"]) < 30
    assert values[f'dmc_build_info{{version="{dmc.__version__}"}}'] == "1.0"


async def test_requests_are_counted_by_the_pattern_of_their_path(running: House, http: aiohttp.ClientSession) -> None:
    item_id = await running.upload(http, b"12345")
    for path in (f"{ITEMS}/{item_id}", f"{ITEMS}/{item_id}", "/no/such/path", "/nor/this"):
        async with http.get(path):
            pass
    async with running.client(None).get(ITEMS) as reply:
        assert reply.status == 401
    async with http.get("/metrics") as reply:
        text = await reply.text()
    assert f'dmc_http_requests_total{{method="GET",path="{ITEMS}/{{item_id}}",status="200"}} 2.0' in text
    assert f'dmc_http_request_seconds_count{{method="GET",path="{ITEMS}/{{item_id}}"}} 2.0' in text
    assert 'dmc_http_requests_total{method="other",path="other",status="404"} 2.0' in text
    assert "dmc_auth_failures_total 1.0" in text
    assert item_id not in text and "nor" not in text


async def test_U19_check_says_have_uploading_or_want(running: House, http: aiohttp.ClientSession) -> None:
    have, coming = b"have", b"coming"
    item_id = await running.upload(http, have)
    path = await running.create(http, len(coming), sha512=hashlib.sha512(coming).hexdigest())

    def entry(data: bytes, kind: str = "h265") -> dict[str, object]:
        return {"sha512": hashlib.sha512(data).hexdigest(), "file_size": len(data), "conversion_type": kind}

    asked = {"files": [entry(have), entry(coming), entry(b"new"), entry(have, "h264")]}
    async with http.post(CHECK, json=asked) as reply:
        answers = CheckReply.model_validate_json(await reply.text()).files
    assert [answer.state for answer in answers] == ["have", "uploading", "want", "want"]
    assert answers[0].item is not None
    assert (answers[0].item.item_id, answers[1].url) == (item_id, path)
    other = running.client(running.tokens.create("phone"))
    async with other.post(CHECK, json=asked) as reply:
        assert {answer.state for answer in CheckReply.model_validate_json(await reply.text()).files} == {"want"}


@pytest.mark.parametrize("body", ["", "[]", '{"files": [{}]}', '{"files": [], "more": 1}'])
async def test_U19_a_question_that_does_not_fit_is_refused(http: aiohttp.ClientSession, body: str) -> None:
    async with http.post(CHECK, data=body) as reply:
        assert reply.status == 400


async def test_U19_at_most_a_thousand_files_at_once(http: aiohttp.ClientSession) -> None:
    entry = {"sha512": "0" * 128, "file_size": 1, "conversion_type": "h265"}
    for count, status in ((1000, 200), (1001, 400)):
        async with http.post(CHECK, json={"files": [entry] * count}) as reply:
            assert reply.status == status


async def test_an_unforeseen_fault_is_told_with_an_id_and_logged(
    running: House, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(running.ledger, "select", broken)
    async with http.get("/api/v1/items") as reply:
        assert reply.status == 500
        error = (await reply.json())["error"]
    assert error["code"] == "StillBroken"
    assert error["request_id"] in {getattr(record, "fields", {}).get("request") for record in caplog.records}
    assert "ZeroDivisionError" in caplog.text
