"""Statistics and grouped failures over HTTP: who sees what, how they keep up, and one retry for a group."""

import unittest.mock

import aiohttp
import pytest

from dmc.broker.ledger import Delete, Ledger
from dmc.items import Item, Status, Wish
from dmc.jobs import ErrorNote
from dmc.server import statistics
from dmc.server.statistics import FAILURES, STATISTICS, FailuresView, RetriedView, StatisticsView
from tests.server.conftest import House


async def asked(http: aiohttp.ClientSession) -> StatisticsView:
    async with http.get(STATISTICS) as reply:
        assert reply.status == 200
        return StatisticsView.model_validate_json(await reply.text())


async def failures(http: aiohttp.ClientSession) -> dict[str, int]:
    async with http.get(FAILURES) as reply:
        assert reply.status == 200
        return {group.cause.partition("-")[0]: group.count for group in FailuresView.model_validate_json(await reply.text()).groups}


async def fail(house: House, http: aiohttp.ClientSession, content: bytes, code: str) -> str:
    item_id = await house.upload(http, content)
    house.begin(item_id)
    house.change(item_id, status=Status.FINISHED_WITH_ERRORS, errors=(ErrorNote(code=code, message="it is bad."),))
    return item_id


async def test_the_counts_follow_the_ledger(running: House, http: aiohttp.ClientSession) -> None:
    assert (await asked(http)).statuses[Status.TO_DO] == 0
    first = await running.upload(http, b"12345")
    await running.upload(http, b"678")
    assert (await asked(http)).statuses[Status.TO_DO] == 2
    done = running.finish(first, b"123")
    now = await asked(http)
    assert (now.converted, now.bytes_in, now.bytes_out, now.saved_bytes) == (1, 5, 3, 2)
    assert now.hours[-1].converted + now.hours[-2].converted == 1
    running.ledger.change([Delete(first, done.version)])
    assert (await asked(http)).converted == 0


async def test_they_are_counted_anew_where_the_ledger_cannot_tell_what_changed(running: House, http: aiohttp.ClientSession) -> None:
    await running.upload(http, b"1")
    await asked(http)
    await running.upload(http, b"2")
    with unittest.mock.patch.object(running.ledger, "changes_since", lambda seq: None):
        assert (await asked(http)).statuses[Status.TO_DO] == 2


async def test_a_client_sees_its_own_numbers_and_an_admin_all(running: House, http: aiohttp.ClientSession) -> None:
    phone = running.client(running.tokens.create("phone"))
    admin = running.client(running.tokens.create("chief", ["admin"]))
    await running.upload(http, b"1")
    await fail(running, phone, b"2", "torn")
    assert (await asked(http)).clients == {"laptop": 1}
    assert (await asked(phone)).failed == 1
    assert (await asked(admin)).clients == {"laptop": 1, "phone": 1}
    assert await failures(http) == {}
    assert await failures(admin) == await failures(phone) == {"torn": 1}


async def test_one_call_begins_a_group_again_and_no_other(running: House, http: aiohttp.ClientSession) -> None:
    torn = [await fail(running, http, bytes([n]), "torn") for n in range(3)]
    silent = await fail(running, http, b"x", "silent")
    theirs = await fail(running, running.client(running.tokens.create("phone")), b"y", "torn")
    known = running.ledger.get(torn[0])
    assert known is not None
    cause = statistics.cause_of(known)
    with unittest.mock.patch.object(statistics, "RETRY_AT_ONCE", 2):
        for left in (1, 0):
            async with http.post(f"{FAILURES}/{cause}/retry") as reply:
                assert reply.status == 202
                assert RetriedView.model_validate_json(await reply.text()) == RetriedView(retried=1 + left, left=left)
    wishes = {item.item_id: item.wish for item in running.ledger.select()}
    assert [wishes[item_id] for item_id in torn] == [Wish.RETRY] * 3
    assert wishes[silent] is wishes[theirs] is None
    assert await failures(http) == {"silent": 1}


async def test_an_item_that_is_deleted_meanwhile_does_not_stop_the_retry_of_its_group(running: House, http: aiohttp.ClientSession) -> None:
    first, *others = [await fail(running, http, bytes([n]), "torn") for n in range(3)]
    known = running.ledger.get(first)
    assert known is not None
    wish = statistics.wish

    def deleted_before(ledger: Ledger, item_id: str, what: Wish) -> Item:
        if item_id == first:
            running.ledger.change([Delete(first, known.version)])
        return wish(ledger, item_id, what)

    with unittest.mock.patch.object(statistics, "wish", deleted_before):
        async with http.post(f"{FAILURES}/{statistics.cause_of(known)}/retry") as reply:
            assert reply.status == 202
    assert [item.wish for item in running.ledger.select()] == [Wish.RETRY] * len(others)


async def test_a_group_that_is_not_there_retries_nothing(http: aiohttp.ClientSession) -> None:
    async with http.post(f"{FAILURES}/nothing/retry") as reply:
        assert (reply.status, (await reply.json())["retried"]) == (202, 0)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_other_methods_are_refused(http: aiohttp.ClientSession, method: str) -> None:
    async with http.request(method, STATISTICS) as reply:
        assert reply.status == 405
