"""Who this server is: its lasting id, what it takes, and whether it takes anything now.

The identity is told to anybody (a client must know whom it reached before it sends a token); the rest needs one.
"""

import json
import uuid
from pathlib import Path
from typing import Literal

from aiohttp import web
from pydantic import BaseModel

import dmc
from dmc.broker.control import Control
from dmc.broker.ledger import Ledger
from dmc.broker.storage import Storage
from dmc.conversions import DEFAULT_CONVERSIONS, EXTENSIONS, MediaType, describe
from dmc.errors import BadSettings
from dmc.files import Disk, write_durably
from dmc.protocol import PROTOCOL, SERVER, SERVICE, TYPES, Identity, Waiting, WorkersView
from dmc.server.auth import CALLER
from dmc.server.calls import ANYBODY, Call, add
from dmc.server.offload import Offload
from dmc.server.policy import ServerLimits
from dmc.server.replies import json_reply
from dmc.server.tls import Tls

INSTANCE_FILE = "instance.json"


def load_instance_id(data: Path, disk: Disk) -> str:
    """The id of the server whose data folder this is; made at the first start and kept for good. Blocking."""
    path = data / INSTANCE_FILE
    if disk.stat(path) is None:
        made = {"schema": 1, "instance": uuid.uuid4().hex}
        write_durably(disk, path, json.dumps(made).encode() + b"\n")
    try:
        found = json.loads(disk.read(path))["instance"]
    except (ValueError, KeyError, TypeError) as problem:
        raise BadSettings(f"{INSTANCE_FILE} cannot be read.", "Restore it from a backup: clients know the server by it.") from problem
    return str(found)


class OptionView(BaseModel):
    """One option of a conversion type: its bounds or words by `type`, and what the type sets where nothing is asked for."""

    name: str
    summary: str
    type: Literal["number", "integer", "word", "boolean", "time"]
    default: float | str | bool | None = None
    least: float | None = None
    most: float | None = None
    words: list[str] | None = None


class TypeView(BaseModel):
    """A conversion type: which media it takes, the medium and ending of what it gives, and its options. `base`: of the server's own."""

    name: str
    media_types: list[MediaType]
    gives: MediaType
    extension: str
    summary: str
    base: str
    options: list[OptionView]


class TypeList(BaseModel):
    """`endings`: the medium of a file by its ending. `defaults`: the conversion type of each medium where none is named."""

    types: list[TypeView]
    endings: dict[str, MediaType]
    defaults: dict[MediaType, str]


class Identities:
    """`/api/v1/server` and `/api/v1/types`."""

    def __init__(
        self,
        *,
        instance_id: str,
        ledger: Ledger,
        storage: Storage,
        control: Control,
        offload: Offload,
        limits: ServerLimits,
        tls: Tls | None,
    ) -> None:
        self._instance_id = instance_id
        self._ledger = ledger
        self._storage = storage
        self._control = control
        self._offload = offload
        self._limits = limits
        self._tls = tls
        self.warnings: list[str] = []
        """What an admin should know, in sentences; complete once the server listens."""

    def add_routes(self, app: web.Application) -> None:
        add(app, "GET", SERVER, self._server, Call("Who this server is; the more with a token", ANYBODY, Identity))
        add(app, "GET", TYPES, self._types, Call("The conversion types", reply=TypeList))

    def bare(self, *, accepting: bool) -> Identity:
        """What anybody is told."""
        return Identity(service=SERVICE, protocol=PROTOCOL, instance=self._instance_id, accepting=accepting)

    async def _server(self, request: web.Request) -> web.Response:
        free = await self._offload.quick(self._storage.free_bytes)
        accepting = free > self._limits.disk_floor_bytes
        identity = self.bare(accepting=accepting)
        if CALLER not in request:
            return json_reply(identity.model_dump(exclude_none=True))
        waiting = await self._offload.quick(self._control.waiting)
        workers = await self._offload.quick(self._control.workers)
        return json_reply(
            identity.model_copy(
                update={
                    "version": dmc.__version__,
                    "max_file_size": self._limits.max_file_size,
                    "free_bytes": free,
                    "ledger_seq": self._ledger.seq,
                    "media_types": list(self._limits.media_types),
                    "conversion_types": list(self._limits.conversions),
                    "trash_days": self._limits.trash_days,
                    "waiting": None if waiting is None else Waiting.model_validate(waiting),
                    "workers": None if workers is None else WorkersView.model_validate(workers),
                    "fingerprint": self._tls.fingerprint if self._tls else None,
                    "warnings": list(self.warnings),
                }
            )
        )

    async def _types(self, _: web.Request) -> web.Response:
        """The conversion types, and which of them the page offers for a file: its medium by ending, the default of each medium."""
        endings = {ending: medium.value for ending, medium in EXTENSIONS.items()}
        defaults = {medium.value: name for medium, name in DEFAULT_CONVERSIONS.items()}
        return json_reply({"types": describe(self._limits.conversions), "endings": endings, "defaults": defaults})
