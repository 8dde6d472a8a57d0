"""A small world around the client: a folder, servers in memory, a clock that the test moves, and an outbox that outlives the client."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from dmc.client.crew import InlineCrew
from dmc.client.model import ObservedPath, ServerAddress, Timing
from dmc.client.outbox import Outbox
from dmc.client.outbox_memory import MemoryOutbox
from dmc.client.records import OutboxRecord
from dmc.client.sync import Sync
from dmc.client.transport import Transport
from dmc.client.transport_memory import MemoryServer, MemoryTransport
from dmc.clock import ManualClock
from dmc.files import Disk, RealDisk

RESULT = b"the converted bytes of "


class World:
    """One client in one state folder. `restart` is what kill -9 and a new start leave: only disk and outbox stay."""

    def __init__(
        self,
        home: Path,
        *,
        observed: Sequence[ObservedPath] | None = None,
        addresses: Sequence[ServerAddress] | None = None,
        timing: Timing | None = None,
        disk: Disk | None = None,
    ) -> None:
        self.home = home
        self.state = home / "state"
        self.folder = home / "drop"
        for path in (self.state, self.folder):
            path.mkdir(exist_ok=True)
        self.observed = list(observed or [ObservedPath(self.folder)])
        self.addresses = list(addresses or [ServerAddress("nas", "http://nas")])
        self.servers = {address.name: MemoryServer(f"instance-of-{address.name}") for address in self.addresses}
        self.clock = ManualClock()
        self.timing = timing or Timing()
        self.disk = disk or RealDisk()
        self.stored: dict[str, OutboxRecord] = {}
        self.beside: dict[str, bytes] = {}
        self.wrap_outbox: Callable[[Outbox], Outbox] = lambda outbox: outbox
        self.wrap_transport: Callable[[Transport], Transport] = lambda transport: transport
        self.sync = self.restart()

    @property
    def server(self) -> MemoryServer:
        return next(iter(self.servers.values()))

    def restart(self) -> Sync:
        self.crew = InlineCrew()
        self.sync = Sync(
            state=self.state,
            observed=self.observed,
            servers=[(address, self.wrap_transport(MemoryTransport(self.servers[address.name]))) for address in self.addresses],
            outbox=self.wrap_outbox(MemoryOutbox(self.stored)),
            disk=self.disk,
            clock=self.clock,
            crew=self.crew,
            timing=self.timing,
            client_name="laptop",
            draw=random.Random(7),
        )
        return self.sync

    def drop(self, name: str, content: bytes = b"moving pictures") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def records(self) -> list[OutboxRecord]:
        return [self.stored[known] for known in sorted(self.stored)]

    def statuses(self) -> list[str]:
        return [record.status.value for record in self.records()]

    def convert_all(self) -> None:
        """The servers convert whatever waits there."""
        for server in self.servers.values():
            for item in server.waiting():
                server.finish(item.item_id, RESULT + server.originals[item.item_id], beside=self.beside)

    def run(self, seconds: float = 60.0, *, converting: bool = True, until: Callable[[], bool] | None = None, longest: float = 1.0) -> None:
        """Let the client live for `seconds` of its clock, or until something is true; it looks around every `longest` seconds."""
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            if until is not None and until():
                return
            wait = self.sync.step()
            if converting:
                self.convert_all()
            self.clock.advance(0.01 if self.crew.has_jobs else min(max(wait, 0.01), longest))
        if until is not None and not until():
            raise AssertionError(f"it did not come to be within {seconds} s; records: {self.statuses()}")

    def all_done(self) -> bool:
        return bool(self.stored) and all(record.status.is_done for record in self.records())

    def live_longer(self, seconds: float = 900.0) -> None:
        """Long enough for two full walks."""
        self.run(seconds, longest=10.0)

    def results(self) -> dict[str, bytes]:
        """What lies in the folder for results, by relative name."""
        folder = self.folder / "converted"
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
