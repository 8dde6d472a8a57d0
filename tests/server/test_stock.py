"""Series of items and of the ledger in `/metrics`."""

import json

import aiohttp
import pytest

from dmc.broker.ledger_timed import TimedLedger
from dmc.items import Status
from dmc.jobs import ErrorNote
from tests.server.conftest import House


async def series(http: aiohttp.ClientSession) -> dict[str, str]:
    async with http.get("/metrics") as reply:
        assert reply.status == 200
        lines = (await reply.text()).splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


async def test_stored_bytes_and_finished_items(house: House) -> None:
    house.ledger = TimedLedger(house.ledger)
    await house.start(trash_days=7)
    http = house.client()
    first, second = await house.upload(http, b"12345"), await house.upload(http, b"678")
    before = await series(http)
    assert before['dmc_storage_bytes{kind="originals"}'] == "8.0"
    assert before["dmc_last_backup_timestamp_seconds"] == "0.0"
    assert float(before["dmc_ledger_write_seconds_count"]) == 2
    times = {"started_at": "2026-01-01T00:00:00.000000Z", "finished_at": "2026-01-01T00:00:30.000000Z"}
    house.finish(first, b"result!")
    house.begin(second)
    house.change(second, status=Status.FINISHED_WITH_ERRORS, errors=(ErrorNote(code="bad", message="bad."),), **times)
    (house.data / "backup.json").write_text(json.dumps({"schema": 1, "made_at": "2026-01-01T00:00:00.000000Z"}))
    for _ in range(2):  # Looking twice counts once.
        now = await series(http)
    assert (now['dmc_items_finished_total{outcome="converted"}'], now['dmc_items_finished_total{outcome="failed"}']) == ("1.0", "1.0")
    assert float(now["dmc_item_duration_seconds_sum"]) >= 30
    assert now['dmc_storage_bytes{kind="results"}'] == "7.0"
    assert float(now["dmc_last_backup_timestamp_seconds"]) == pytest.approx(1767225600)
    assert float(now["dmc_ledger_write_seconds_count"]) > 2
    assert float(now["dmc_ledger_write_seconds_sum"]) > 0
    async with http.delete(f"/api/v1/items/{first}") as reply:
        assert reply.status == 202
    assert (await series(http))['dmc_storage_bytes{kind="trashed"}'] == "12.0"
