"""Which instance answers under which server name: learnt at the first contact, kept in `servers.json`, and never changed silently.

An address may lead elsewhere one day (another network, a captive portal, a rebuilt server); files and the token go only
to the instance that was there first. `forget` is a person's way to say that another one is right.
"""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from dmc.errors import BadSettings, NotFound
from dmc.files import Disk, write_durably
from dmc.protocol import Identity

FILE_NAME = "servers.json"


class Pin(BaseModel):
    """The instance behind a name, and the last sequence number of its ledger that was told."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    instance: str
    ledger_seq: int = 0


class Pins:
    """`servers.json` in the client's state folder."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk
        self._pins = _read(path, disk)

    def instance_of(self, name: str) -> str | None:
        pin = self._pins.get(name)
        return pin.instance if pin else None

    def learn(self, name: str, identity: Identity) -> bool:
        """Remember who answered. True if its ledger is older than what it told before: it was restored from a backup."""
        before = self._pins.get(name)
        seq = identity.ledger_seq
        after = Pin(instance=identity.instance, ledger_seq=(before.ledger_seq if before else 0) if seq is None else seq)
        if before != after:
            self._pins[name] = after
            self._write()
        return before is not None and before.instance == after.instance and after.ledger_seq < before.ledger_seq

    def forget(self, name: str) -> None:
        """Trust whoever answers next under `name`."""
        if name not in self._pins:
            raise NotFound(f"no server is known as {name!r}.", f"Known are: {', '.join(sorted(self._pins)) or 'none'}.")
        del self._pins[name]
        self._write()

    def _write(self) -> None:
        pins = {name: pin.model_dump() for name, pin in sorted(self._pins.items())}
        text = json.dumps({"schema": 1, "servers": pins}, indent=1)
        write_durably(self._disk, self._path, text.encode())


def _read(path: Path, disk: Disk) -> dict[str, Pin]:
    if disk.stat(path) is None:
        return {}
    try:
        document = json.loads(disk.read(path))
        if document["schema"] != 1:
            raise BadSettings(f"{path.name} was written by a newer dmc (schema {document['schema']}).", "Update this client.")
        return {name: Pin.model_validate(pin) for name, pin in document["servers"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError):
        raise BadSettings(f"{path} is damaged.", "Remove it: the client then learns anew which server answers under which name.") from None
