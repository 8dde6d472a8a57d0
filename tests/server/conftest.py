"""A real server on a loopback port, over a memory ledger and item folders in a temporary folder."""

import io
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import ValidationError

from dmc.broker.admission import Admissions
from dmc.broker.control import Control, Mode
from dmc.broker.ledger import Ledger, Put
from dmc.broker.ledger_memory import LedgerMemory
from dmc.broker.storage import Place
from dmc.broker.storage_dirs import StorageDirs
from dmc.broker.threads import Thread, ThreadIndex
from dmc.clock import SystemClock, rfc3339
from dmc.files import RealDisk, sha512_of
from dmc.items import Item, ItemIds, Outcome, Status
from dmc.jobs import MadeFile, Progress, ResultFacts
from dmc.protocol import OFFSET_TYPE, UPLOADS, ErrorBody
from dmc.server.app import Server
from dmc.server.calls import call_of
from dmc.server.identity import load_instance_id
from dmc.server.middleware import CLIENT_LEFT
from dmc.server.notices import Notified
from dmc.server.policy import ServerLimits
from dmc.server.tls import Tls
from dmc.server.tokens import Tokens
from dmc.server.tus_headers import format_metadata
from tests.ports import Port

LIMITS = ServerLimits(max_file_size=64 * 1024 * 1024, disk_floor_bytes=0)
TUS = {"Tus-Resumable": "1.0.0"}


class SmallDisk(StorageDirs):
    """Item folders on a disk with as many free bytes as a test says; None: as many as there are."""

    free: int | None = None

    def free_bytes(self) -> int:
        return super().free_bytes() if self.free is None else self.free


class House:
    """A data folder with everything a server is handed, and the server that runs over it at the moment."""

    def __init__(self, data: Path) -> None:
        data.mkdir(parents=True)
        self.data = data
        self.disk = RealDisk()
        self.clock = SystemClock()
        self.ledger: Ledger = LedgerMemory()
        self.storage = SmallDisk(data, self.disk)
        self.storage.prepare()
        self.threads = ThreadIndex(data, self.disk, self.clock)
        self.control = Control(data, self.disk, self.clock)
        self.ids = ItemIds()
        self.tokens = Tokens(data / "tokens.json", disk=self.disk, clock=self.clock)
        self.secret = self.tokens.create("laptop")
        self.tls: Tls | None = None
        self.notified = Notified()
        self.undeclared: list[str] = []
        """Answers of the server that the API's description does not know; none, at the end of each test."""
        self.instance = load_instance_id(data, self.disk)
        self.server: Server | None = None
        self.address = ("127.0.0.1", 0)
        self._port: Port | None = None
        self._sessions: list[aiohttp.ClientSession] = []

    def make(self, limits: ServerLimits = LIMITS) -> Server:
        server = Server(
            data=self.data,
            ledger=self.ledger,
            storage=self.storage,
            admissions=Admissions(self.ledger, self.storage, self.clock, self.ids),
            tokens=self.tokens,
            threads=self.threads,
            control=self.control,
            clock=self.clock,
            disk=self.disk,
            limits=limits,
            instance_id=self.instance,
            tls=self.tls,
            notified=self.notified,
        )
        plain = server.make_app

        def watched() -> web.Application:
            app = plain()
            app.on_response_prepare.append(self._look_at)
            return app

        server.make_app = watched  # type: ignore[method-assign]
        return server

    async def _look_at(self, request: web.Request, reply: web.StreamResponse) -> None:
        """Note every answer that its call does not declare, by status or by shape."""
        call = call_of(request)
        if call is None or reply.status == CLIENT_LEFT:
            return
        shape = {call.status: call.reply, **call.also}.get(reply.status, ErrorBody if reply.status >= 400 else None)
        if reply.status not in call.codes:
            self.undeclared.append(f"{request.method} {request.path}: {reply.status}")
        elif isinstance(shape, type) and isinstance(reply, web.Response) and request.method != "HEAD":
            try:
                shape.model_validate_json(reply.body if isinstance(reply.body, bytes) else b"")
            except ValidationError as problem:
                self.undeclared.append(f"{request.method} {request.path}: {problem}")

    async def start(self, limits: ServerLimits = LIMITS, **changed: Any) -> "House":
        self.server = self.make(replace(limits, **changed))
        if self._port is None:
            self._port = Port()
        self.address = await self.server.start("127.0.0.1", self._port.number)
        return self

    async def restart(self, **changed: Any) -> None:
        assert self.server is not None
        await self.server.stop()
        await self.start(**changed)

    async def stop(self) -> None:
        for session in self._sessions:
            await session.close()
        if self.server is not None:
            await self.server.stop()
        if self._port is not None:
            self._port.close()
            self._port = None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.address[0]}:{self.address[1]}"

    def client(self, secret: str | None = "", **kwargs: Any) -> aiohttp.ClientSession:
        """A session with the default token, another one, or (None) with none."""
        headers = {} if secret is None else {"Authorization": f"Bearer {secret or self.secret}"}
        session = aiohttp.ClientSession(self.url, headers=headers, auto_decompress=False, **kwargs)
        self._sessions.append(session)
        return session

    # --- What many tests do ---

    async def create(self, http: aiohttp.ClientSession, length: int, **metadata: str) -> str:
        """A new upload; its path."""
        known = {"filename": "clip.mp4", "conversion_type": "h265"} | metadata
        headers = TUS | {"Upload-Length": str(length), "Upload-Metadata": format_metadata(known)}
        async with http.post(UPLOADS, headers=headers) as reply:
            assert reply.status == 201, await reply.text()
            return self.path_of(reply)

    def path_of(self, reply: aiohttp.ClientResponse) -> str:
        """The path in the Location of an answer, which is this server's."""
        location = reply.headers["Location"]
        assert location.startswith(self.url)
        return location.removeprefix(self.url)

    async def offset(self, http: aiohttp.ClientSession, path: str) -> int:
        async with http.head(path, headers=TUS) as reply:
            assert reply.status == 200
            return int(reply.headers["Upload-Offset"])

    async def patch(self, http: aiohttp.ClientSession, path: str, offset: int, data: Any, **headers: str) -> aiohttp.ClientResponse:
        sent = TUS | {"Upload-Offset": str(offset), "Content-Type": OFFSET_TYPE} | {k.replace("_", "-"): v for k, v in headers.items()}
        async with http.patch(path, headers=sent, data=io.BytesIO(data) if isinstance(data, bytes) else data) as reply:
            await reply.read()
            return reply

    async def upload(self, http: aiohttp.ClientSession, data: bytes, **metadata: str) -> str:
        """A whole upload; the item's id."""
        reply = await self.patch(http, await self.create(http, len(data), **metadata), 0, data)
        assert reply.status == 204
        return reply.headers["Dmc-Item"]

    def stored(self, path: str) -> bytes:
        """What stands on disk of an upload or item that `path` ends with."""
        folder = self.storage.folder(path.rpartition("/")[2])
        assert folder is not None
        return next(folder.glob("original.*")).read_bytes()

    def begin(self, item_id: str) -> None:
        """Play the broker: a worker has begun with the item."""
        self.storage.advance(item_id, Place.IN_PROGRESS)
        self.change(item_id, status=Status.IN_PROGRESS)

    def work(self, item_id: str, fraction: float) -> None:
        """Play the broker: the worker is so far."""
        progress = Progress(item_id=item_id, attempt=1, worker_pid=1, fraction=fraction, speed=2.0, eta_s=5.0)
        ThreadIndex(self.data, self.disk, self.clock).write([Thread(rfc3339(self.clock.now()), 2, progress)])

    def beat(self) -> None:
        """Play the broker: it lives."""
        self.control.beat(1, "epoch", Mode.RUN)

    def change(self, item_id: str, **fields: Any) -> Item:
        old = self.ledger.get(item_id)
        assert old is not None
        new = old.changed(**fields)
        self.ledger.change([Put(new, old.version)])
        return new

    def finish(self, item_id: str, result: bytes, ending: str = "mkv", beside: dict[str, bytes] | None = None) -> Item:
        """Play the broker: the item is converted into `result`, with files `beside` it."""
        self.begin(item_id)
        folder = self.storage.folder(item_id)
        assert folder is not None
        out = folder / "out"
        out.mkdir(exist_ok=True)
        (out / f"result.{ending}").write_bytes(result)
        (out / "receipt.json").write_text('{"kept": []}')
        (folder / "log.txt").write_text("converted\n")
        facts = ResultFacts(file_name=f"result.{ending}", file_size=len(result), sha512_checksum=sha512_of(out / f"result.{ending}"))
        for name, data in (beside or {}).items():
            (out / name).write_bytes(data)
        sidecars = [MadeFile(file_name=n, file_size=len(d), sha512_checksum=sha512_of(out / n)) for n, d in (beside or {}).items()]
        facts = facts.model_copy(update={"sidecars": tuple(sidecars)})
        self.storage.advance(item_id, Place.FINISHED)
        return self.change(
            item_id,
            status=Status.FINISHED_SUCCESSFUL,
            outcome=Outcome.CONVERTED,
            result=facts,
            finished_at=rfc3339(self.clock.now()),
        )


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Everything but a running server; what a test starts is stopped after it."""
    made = House(tmp_path / "data")
    try:
        yield made
    finally:
        await made.stop()
    assert made.undeclared == []


@pytest.fixture
async def running(house: House) -> House:
    """A house whose server runs."""
    return await house.start()


@pytest.fixture
async def http(running: House) -> aiohttp.ClientSession:
    """A client with a token of the client `laptop`."""
    return running.client()
