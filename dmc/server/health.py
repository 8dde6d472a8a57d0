"""Health that tells the truth: alive and ready. Numbers stand in metrics.py.

Ready means that an upload sent now would be taken and converted: the ledger answers, the broker is alive, the disk has room.
"""

import asyncio

from aiohttp import web
from pydantic import BaseModel

from dmc.broker.control import STALE_BEAT_S, Control
from dmc.broker.ledger import Ledger
from dmc.broker.storage import Storage
from dmc.errors import DmcError
from dmc.server.calls import ANYBODY, Call, add
from dmc.server.offload import Offload
from dmc.server.policy import ServerLimits
from dmc.server.replies import json_reply

LEDGER_S = 5.0


class Alive(BaseModel):
    alive: bool


class Ready(BaseModel):
    """`checks`: what each part says, `ok` or a sentence."""

    ready: bool
    checks: dict[str, str]


class Health:
    """`/livez`, `/readyz`."""

    def __init__(self, *, ledger: Ledger, storage: Storage, control: Control, offload: Offload, limits: ServerLimits) -> None:
        self._ledger = ledger
        self._storage = storage
        self._control = control
        self._offload = offload
        self._limits = limits

    def add_routes(self, app: web.Application) -> None:
        add(app, "GET", "/livez", self._live, Call("Whether the server lives", ANYBODY, Alive))
        ready = Call("Whether an upload sent now would be taken and converted", ANYBODY, Ready, also={503: Ready})
        add(app, "GET", "/readyz", self._ready, ready)

    async def _live(self, _: web.Request) -> web.Response:
        return json_reply({"alive": True})

    async def _ready(self, _: web.Request) -> web.Response:
        checks = {"ledger": await self._ledger_says(), "broker": await self._broker_says(), "disk": await self._disk_says()}
        ready = all(said == "ok" for said in checks.values())
        return json_reply({"ready": ready, "checks": checks}, status=200 if ready else 503)

    async def _ledger_says(self) -> str:
        try:
            async with asyncio.timeout(LEDGER_S):
                await self._offload.quick(self._ledger.counts)
        except TimeoutError:
            return "does not answer"
        except DmcError as problem:
            return problem.message
        return "ok"

    async def _broker_says(self) -> str:
        age = await self._offload.quick(self._control.beat_age_s)
        if age is None:
            return "has not started"
        return "ok" if age < STALE_BEAT_S else f"no sign of life for {age:.0f} s"

    async def _disk_says(self) -> str:
        try:
            free = await self._offload.quick(self._storage.free_bytes)
        except OSError as problem:
            return problem.strerror or "cannot be read"
        return "ok" if free >= self._limits.disk_floor_bytes else f"{free} bytes free, the floor is {self._limits.disk_floor_bytes}"
