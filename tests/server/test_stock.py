"""Series of items and of the ledger in `/metrics`."""

import asyncio
import json
import re
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from dmc.broker.control import Control, Mode
from dmc.broker.ledger_timed import Effort, TimedLedger
from dmc.clock import rfc3339
from dmc.items import Status
from dmc.jobs import ErrorNote
from dmc.products import FACTS_FILE, Facts, Products
from dmc.protocol import LAG_HEADER, UPLOADS
from dmc.server.metrics import recency
from dmc.server.tus_headers import format_metadata
from tests.patience import PATIENCE_S
from tests.server.conftest import TUS, House


async def series(http: aiohttp.ClientSession) -> dict[str, str]:
    async with http.get("/metrics") as reply:
        assert reply.status == 200
        lines = (await reply.text()).splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


async def test_stored_bytes_and_finished_items(house: House) -> None:
    house.ledger = TimedLedger(house.ledger).as_ledger()
    await house.start(trash_days=7)
    http = house.client()
    first, second = await house.upload(http, b"12345"), await house.upload(http, b"678")
    before = await series(http)
    assert before['dmc_storage_bytes{kind="originals"}'] == "8.0"
    assert before["dmc_last_backup_timestamp_seconds"] == "0.0"
    assert float(before['dmc_ledger_write_seconds_count{process="server"}']) == 2
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
    assert float(now['dmc_ledger_write_seconds_count{process="server"}']) > 2
    assert float(now['dmc_ledger_write_seconds_sum{process="server"}']) > 0
    async with http.delete(f"/api/v1/items/{first}") as reply:
        assert reply.status == 202
    assert (await series(http))['dmc_storage_bytes{kind="trashed"}'] == "12.0"


async def test_of_two_looks_the_earlier_may_end_later(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.start()
    http = house.client()
    free, first, goes_on = house.storage.free_bytes, asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow() -> int:
        monkeypatch.setattr(house.storage, "free_bytes", free)
        loop.call_soon_threadsafe(first.set)
        assert goes_on.wait(PATIENCE_S)
        return free()

    monkeypatch.setattr(house.storage, "free_bytes", slow)
    earlier = asyncio.create_task(series(http))
    await first.wait()
    await house.upload(http, b"12345")
    later = await series(http)
    goes_on.set()
    for told in (later, await earlier, await series(http)):
        assert float(told['dmc_bytes_total{direction="in"}']) == 5


async def test_the_table_of_the_documents_is_what_the_server_tells(house: House) -> None:
    house.ledger = TimedLedger(house.ledger).as_ledger()
    await house.start()
    async with house.client().get("/metrics") as reply:
        told = set(re.findall(r"^# TYPE (\w+) ", await reply.text(), re.M))
    table = re.findall(r"^\| `(dmc_\w+)` \|", (Path(__file__).parents[2] / "docs/operation.md").read_text(), re.M)
    assert set(table) == told
    assert len(table) == len(set(table))


async def test_seconds_of_media_are_those_of_what_was_converted_once_each(house: House) -> None:
    await house.start()
    http = house.client()
    film, song, failed = [await house.upload(http, data) for data in (b"film", b"song", b"none")]
    assert (await series(http))["dmc_media_processed_seconds_total"] == "0.0"
    for item_id, facts in ((film, Facts(duration_s=61.5)), (song, Facts())):
        house.begin(item_id)
        folder = house.storage.folder(item_id)
        assert folder is not None
        (folder / "out").mkdir(exist_ok=True)
        (folder / "out" / FACTS_FILE).write_text(Products(facts=facts).model_dump_json(by_alias=True))
        house.change(item_id, status=Status.FINISHED_SUCCESSFUL, outcome="skipped", finished_at="2026-01-01T00:00:00.000000Z")
    house.begin(failed)
    house.change(failed, status=Status.FINISHED_WITH_ERRORS, errors=(ErrorNote(code="bad", message="bad."),))
    for _ in range(2):
        assert (await series(http))["dmc_media_processed_seconds_total"] == "61.5"


async def test_a_broker_of_its_own_tells_what_the_ledger_costs_it(house: House) -> None:
    house.ledger = TimedLedger(house.ledger).as_ledger()
    await house.start()
    http = house.client()
    name = 'dmc_{}_seconds_{}{{process="broker"}}'
    assert name.format("ledger_write", "count") not in await series(http)
    other = Control(house.data, house.disk, house.clock, effort=lambda: Effort(7, 0.5, 9, 0.25))
    other.beat(1, "epoch", Mode.RUN)
    now = await series(http)
    assert (now[name.format("ledger_write", "count")], now[name.format("ledger_write", "sum")]) == ("7.0", "0.5")
    assert (now[name.format("lock_wait", "count")], now[name.format("lock_wait", "sum")]) == ("9.0", "0.25")
    house.control.hold()  # From here on the broker works in this process, whose own numbers hold its changes.
    assert name.format("ledger_write", "count") not in await series(http)
    house.control.release()
    (house.data / "broker.json").write_text((house.data / "broker.json").read_text().replace('"writes": 7', '"writes": "many"'))
    assert name.format("ledger_write", "count") not in await series(http), "another version's words break nothing"
    assert other.last_beat() is not None


@pytest.mark.parametrize(("told", "counted"), [("3.25", 1), ("0", 1), (None, 0), ("-1", 0), ("nan", 0), ("1e9", 0), ("soon", 0)])
async def test_how_late_a_client_was_is_counted_where_it_says_so(house: House, told: str | None, counted: int) -> None:
    await house.start()
    http = house.client()
    headers = TUS | {"Upload-Length": "4", "Upload-Metadata": format_metadata({"filename": "clip.mp4", "conversion_type": "h265"})}
    async with http.post(UPLOADS, headers=headers | ({LAG_HEADER: told} if told else {})) as reply:
        assert reply.status == 201
    now = await series(http)
    assert float(now["dmc_watch_lag_seconds_count"]) == counted
    assert float(now["dmc_watch_lag_seconds_sum"]) == (float(told or 0) if counted else 0)
    assert float(now['dmc_watch_lag_seconds_bucket{le="5.0"}']) == counted


async def test_clients_are_counted_by_when_they_were_here_last(house: House) -> None:
    house.tokens.create("never")
    await house.start()
    now = await series(house.client())
    assert (now['dmc_clients{seen="day"}'], now['dmc_clients{seen="never"}'], now['dmc_clients{seen="month"}']) == ("1.0", "1.0", "0.0")


def test_a_client_is_counted_in_the_shortest_time_that_holds_it() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    ages = [timedelta(days=1), timedelta(days=1, seconds=1), timedelta(days=7), timedelta(days=8), timedelta(days=30), timedelta(days=400)]
    seen = [rfc3339(now - age) for age in ages]
    assert recency([*seen, None], now) == {"day": 1, "week": 2, "month": 2, "longer": 1, "never": 1}
    assert recency([rfc3339(now + timedelta(hours=1))], now)["day"] == 1, "a clock that was set back"
