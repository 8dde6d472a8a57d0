"""Uploads against a server that dies: by SIGKILL in the middle, by SIGTERM, and between any two steps of the commit."""

import asyncio
import hashlib
import os
import random
import shutil
import signal
import sys
from collections.abc import Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dmc.broker.ledger import Guard, Op
from dmc.broker.ledger_memory import LedgerMemory
from dmc.clock import SystemClock
from dmc.errors import DiskFull
from dmc.files import RealDisk
from dmc.protocol import ITEMS, OFFSET_TYPE, UPLOADS
from dmc.server.tokens import Tokens
from dmc.server.tus_headers import format_metadata
from tests.patience import PATIENCE_S
from tests.server.conftest import House
from tests.server.raw import connection, request

TUS = {"Tus-Resumable": "1.0.0"}
DATA = random.Random(7).randbytes(24 * 1024 * 1024)


class Process:
    """A server in a process of its own, over `data`."""

    def __init__(self, data: Path) -> None:
        data.mkdir(parents=True, exist_ok=True)
        self.data = data
        self.secret = Tokens(data / "tokens.json", disk=RealDisk(), clock=SystemClock()).create("laptop")
        self.url = ""
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.server.serve", str(self.data), stdout=asyncio.subprocess.PIPE
        )
        assert self.process.stdout is not None
        host, port = (await self.process.stdout.readline()).decode().split()
        self.url = f"http://{host}:{port}"

    async def end(self, how: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        async with asyncio.timeout(PATIENCE_S):
            await self.process.wait()

    @asynccontextmanager
    async def client(self) -> Any:
        async with aiohttp.ClientSession(self.url, headers={"Authorization": f"Bearer {self.secret}"}) as http:
            yield http


async def send_slowly(process: Process, path: str, start: int, told: list[int]) -> None:
    """One PATCH from `start` on that takes a while; `told` hears how far it got."""

    async def body() -> Any:
        for at in range(start, len(DATA), 256 * 1024):
            yield DATA[at : at + 256 * 1024]
            await asyncio.sleep(0.004)

    headers = TUS | {"Upload-Offset": str(start), "Content-Type": OFFSET_TYPE}
    async with process.client() as http, http.patch(path, headers=headers, data=body()) as reply:
        told.append(int(reply.headers["Upload-Offset"]))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_U8_U23_a_server_ended_in_the_middle_keeps_every_promise(tmp_path: Path, how: signal.Signals) -> None:
    process = Process(tmp_path / "data")
    await process.start()
    metadata = format_metadata({"filename": "clip.mp4", "sha512": hashlib.sha512(DATA).hexdigest(), "idempotency_key": "k"})
    headers = TUS | {"Upload-Length": str(len(DATA)), "Upload-Metadata": metadata}
    async with process.client() as http, http.post(UPLOADS, headers=headers) as reply:
        path = reply.headers["Location"].removeprefix(process.url)
    promised: list[int] = [0]
    for _ in range(3):
        sending = asyncio.ensure_future(send_slowly(process, path, promised[-1], promised))
        await stored_reaches(process.data, promised[-1] + 2 * 1024 * 1024)
        await process.end(how)
        await asyncio.wait({sending})
        assert sending.exception() is None or isinstance(sending.exception(), aiohttp.ClientError)
        await process.start()
        async with process.client() as http, http.head(path, headers=TUS) as reply:
            offset = int(reply.headers["Upload-Offset"])
        assert max(promised) <= offset <= len(DATA)
        stored = next((process.data / "incoming").glob("*/original.mp4")).read_bytes()
        assert stored == DATA[:offset]
        promised.append(offset)
    assert 0 < promised[-1] < len(DATA), "the server was to be ended in the middle"
    async with process.client() as http:
        headers = TUS | {"Upload-Offset": str(promised[-1]), "Content-Type": OFFSET_TYPE}
        async with http.patch(path, headers=headers, data=DATA[promised[-1] :][: 1024 * 1024]) as reply:
            assert reply.status == 204
        at = promised[-1] + 1024 * 1024
        async with http.patch(path, headers=headers | {"Upload-Offset": str(at)}, data=iter_from(at)) as reply:
            assert reply.status == 204, await reply.text()
        async with http.get(ITEMS) as reply:
            items = (await reply.json())["items"]
    assert [item["sha512_checksum"] for item in items] == [hashlib.sha512(DATA).hexdigest()]
    await process.end(signal.SIGTERM)


async def stored_reaches(data: Path, size: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while next((data / "incoming").glob("*/original.mp4")).stat().st_size < size:
            await asyncio.sleep(0.001)


async def iter_from(start: int) -> Any:
    for at in range(start, len(DATA), 1024 * 1024):
        yield DATA[at : at + 1024 * 1024]


class FailsOnce(LedgerMemory):
    """A ledger whose next change fails: before the line is written, or after it, when nobody hears that it was."""

    def __init__(self, when: str) -> None:
        super().__init__()
        self.when: str | None = when

    def change(self, ops: Sequence[Op], guard: Guard | None = None) -> int:
        when, self.when = self.when, None
        if when == "before":
            raise DiskFull("the disk is full.")
        seq = super().change(ops, guard)
        if when == "after":
            raise DiskFull("the disk is full.")
        return seq


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("restart", [False, True])
async def test_U18_a_commit_that_fails_before_or_after_its_line_makes_one_item(house: House, when: str, restart: bool) -> None:
    house.ledger = FailsOnce(when)
    await house.start()
    http = house.client()
    path = await house.create(http, 5, idempotency_key="k")
    assert (await house.patch(http, path, 0, b"12345")).status == 507
    if restart:
        await house.restart()
    assert await house.create(http, 5, idempotency_key="k") == path
    assert await house.offset(http, path) == 5
    assert (await house.patch(http, path, 5, b"")).headers["Dmc-Item"] == path.rpartition("/")[2]
    assert [item.item_id for item in house.ledger.select()] == [path.rpartition("/")[2]]
    assert house.stored(path) == b"12345"


async def test_U18_an_upload_that_was_promised_survives_without_a_byte(house: House) -> None:
    await house.start()
    http = house.client()
    path = await house.create(http, 5)
    await house.restart()
    assert await house.offset(http, path) == 0
    assert os.listdir(house.data / "incoming") == [path.rpartition("/")[2]]


async def test_what_a_cut_one_shot_left_behind_is_gone_after_a_restart(house: House) -> None:
    await house.start()
    async with connection(house) as raw:
        await raw.send(request(house, "PUT", f"{ITEMS}/clip.mp4", content_length=10) + b"12345")
        async with asyncio.timeout(PATIENCE_S):
            while [path.read_bytes() for path in house.data.glob("incoming/*/arriving")] != [b"12345"]:
                await asyncio.sleep(0.01)
        shutil.copytree(house.data / "incoming", house.data.parent / "as_killed")
    assert house.server is not None
    await house.server.stop()
    shutil.copytree(house.data.parent / "as_killed", house.data / "incoming", dirs_exist_ok=True)
    assert len(house.storage.places()) == 1
    await house.start()
    assert house.storage.places() == []


async def test_what_an_earlier_dmc_left_of_a_cut_one_shot_is_gone_after_a_restart(house: House) -> None:
    await house.start()
    http = house.client()
    path = await house.create(http, 5)
    folder = house.storage.folder(path.rpartition("/")[2])
    assert folder is not None
    state = folder / "upload.json"
    state.write_text(state.read_text().replace('"resumable":true', '"resumable":false'))
    await house.restart()
    assert house.storage.places() == []
