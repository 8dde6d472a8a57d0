"""The client's loop: from the observed folders through the outbox to the servers and home again.

`step` does what is due and says how long nothing will be; each change is durable before what follows from it. Whatever
goes wrong inside, the loop reads the outbox anew and goes on: a fault and a restart take the same way. One thread runs all of this;
hashing and transfers run in the crew.
"""

import os
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from dmc.client import marker
from dmc.client.admit import Admit
from dmc.client.catalog import Catalog
from dmc.client.crew import Crew
from dmc.client.deliver import temp_name_of
from dmc.client.hints import Hints
from dmc.client.lanes import Lanes
from dmc.client.left import Left
from dmc.client.marker import Marks
from dmc.client.mirror import Mirror
from dmc.client.model import ObservedPath, ServerAddress, Timing
from dmc.client.outbox import Outbox
from dmc.client.pickup import Pickup
from dmc.client.pins import FILE_NAME, Pins
from dmc.client.queues import Queues
from dmc.client.reach import Standing
from dmc.client.records import OutboxStatus
from dmc.client.retire import Retire
from dmc.client.roots import Root, Roots
from dmc.client.scan import RootState
from dmc.client.sweep import sweep
from dmc.client.transport import Transport
from dmc.client.trash import TrashSweep
from dmc.clock import Clock, backoff
from dmc.errors import DiskFault
from dmc.files import Disk
from dmc.items import ItemIds
from dmc.locks import ProcessLock
from dmc.log import Log

_LOG = Log("client")

LOCK_NAME = "client.lock"
SLEPT_S = 30.0
"""Wall time running ahead of monotonic time by this much: the machine slept (or the clock was set), so the folders are walked."""


class Watch(Protocol):
    """What hears events of the file system (watch.py)."""

    def start(self, roots: Sequence[Root], hints: Hints) -> None: ...

    def tend(self) -> None:
        """See that it still hears; restart what died. Called once in a while."""
        ...

    def close(self) -> None: ...


class Sync:
    """The client. `wake` may be set by anybody to have it look at once; `state` holds outbox, lock and server identities.

    It closes the transports when it stops; the outbox belongs to whoever opened it.
    """

    def __init__(
        self,
        *,
        state: Path,
        observed: Sequence[ObservedPath],
        servers: Sequence[tuple[ServerAddress, Transport]],
        outbox: Outbox,
        disk: Disk,
        clock: Clock,
        crew: Crew,
        watcher: Watch | None = None,
        timing: Timing | None = None,
        client_name: str = os.uname().nodename,
        draw: random.Random | None = None,
    ) -> None:
        self.wake = crew.wake
        self.hints = Hints(self.wake)
        self.rounds = 0  # Counts on while the loop lives.
        self._servers = servers
        self._outbox = outbox
        self._disk = disk
        self._clock = clock
        self._crew = crew
        self._watcher = watcher
        self._timing = timing or Timing()
        self._client_name = client_name
        self._draw = draw or random.Random()  # noqa: S311 - spreads waits, guards no secret
        marks = Marks(state / marker.FILE_NAME, disk)
        self._roots = Roots(observed, marks.look, lambda root: Left(state, root, disk), _homes(observed, marks))
        self._ids = ItemIds(max(outbox.ids(), default=None))
        self._pins = Pins(state / FILE_NAME, disk)
        self._lock = ProcessLock(state / LOCK_NAME, timeout_s=0.0, holder_hint="Another dmc client works with this state folder.")
        self._looked_at = clock.monotonic()
        self._wall_offset = self._offset()
        self._build()

    def _build(self) -> None:
        """All that is only in memory, made from the outbox."""
        self._queues = Queues()
        self.catalog = Catalog(self._outbox, self._queues)
        self._retire = Retire(self.catalog, self._roots, self._crew, self._clock)
        self._trash = TrashSweep(self.catalog, self._roots, self._crew, self._clock)
        self._mirror = Mirror(self.catalog, self._roots, self._crew, self._clock, self._disk)
        self.lanes = Lanes(
            self._servers,
            catalog=self.catalog,
            roots=self._roots,
            crew=self._crew,
            clock=self._clock,
            disk=self._disk,
            timing=self._timing,
            draw=self._draw,
            pins=self._pins,
            client=self._client_name,
            look_again=self._look_again,
            came_home=self._mirror.came_home,
        )
        admit = Admit(self.catalog, self._roots, self._clock, self._ids, fresh=self.lanes.hurry)
        self.pickup = Pickup(
            roots=self._roots,
            catalog=self.catalog,
            admit=admit,
            crew=self._crew,
            clock=self._clock,
            timing=self._timing,
            draw=self._draw,
            hints=self.hints,
            passed_over=self._mirror.heard,
        )

    # --- One step --------------------------------------------------------------------------------------------------

    def step(self) -> float:
        """Do what is due; returns the seconds for which nothing will be, unless something wakes it."""
        self._crew.collect()
        now = self._clock.monotonic()
        self._look_around(now)
        times = [self.pickup.step(), *self.lanes.step(now)]
        if (mirror_at := self._mirror.step(now)) is not None:
            times.append(mirror_at)
        return max(0.0, min(times) - self._clock.monotonic())

    def _look_around(self, now: float) -> None:
        """What others did: commands that wrote into the outbox, a watcher that died, a machine that slept."""
        if now - self._looked_at < self._timing.outbox_look_s:
            return
        self._looked_at = now
        known = len(self.catalog)
        self.catalog.refresh()
        if len(self.catalog) > known:
            self.lanes.hurry()
        self._retire.step(now)
        self._trash.step(now)
        if self._watcher is not None:
            self._watcher.tend()
        offset = self._offset()
        if abs(offset - self._wall_offset) > SLEPT_S:
            self._wall_offset = offset
            self.pickup.rescan()
            self.lanes.hurry()

    def _look_again(self, record_id: str) -> None:
        self.pickup.look_again(record_id)

    def _offset(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()

    # --- The loop --------------------------------------------------------------------------------------------------

    @contextmanager
    def running(self) -> Iterator[None]:
        """Hold the client's lock and listen to the folders. Raises Locked if another client works with this state folder."""
        with self._lock.held():
            if self._watcher is not None:
                # The watcher first, the walk after it: a file that appears in between is found once, by either.
                self._watcher.start(self._roots.all, self.hints)
            self._sweep()
            try:
                yield
            finally:
                if self._watcher is not None:
                    self._watcher.close()
                self._end_jobs()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set."""
        with self.running():
            self._loop(lambda: stop.is_set())

    def run_until_idle(self, stop: threading.Event, timeout_s: float) -> bool:
        """Work until all is done, or nothing more can be since no server answers; False if that took too long."""
        deadline = self._clock.monotonic() + timeout_s
        with self.running():
            self._loop(lambda: stop.is_set() or self.idle or self.stranded or self._clock.monotonic() >= deadline)
            return self.idle or self.stranded

    def _loop(self, ended: Callable[[], bool]) -> None:
        faults = 0
        while not ended():
            self.rounds += 1
            try:
                wait = self.step()
                faults = 0
            except DiskFault:
                raise  # What was written cannot be trusted any more; a new process reads it anew.
            except Exception as problem:  # noqa: BLE001 - the last defence: whatever happened, the outbox knows where to go on
                _LOG.fault("client loop", fault=type(problem).__name__)
                self._end_jobs()
                self._build()
                wait = backoff(faults, draw=self._draw)
                faults += 1
            if self._clock.wait(self.wake, min(wait, self._timing.outbox_look_s)):
                self.wake.clear()

    def _sweep(self) -> None:
        """Once per start: remove what earlier clients left half fetched, beside this one's work."""
        folders = [root.observed.results for root in self._roots.all]
        keep = {temp_name_of(record_id) for record_id in self._outbox.ids(OutboxStatus.FINISHED_SUCCESSFUL)}
        now = self._clock.now().timestamp()
        self._crew.submit(
            "sweep",
            lambda: sweep(folders, keep, now),
            lambda count: _LOG.info("swept", parts=count) if count else None,
            lambda problem: _LOG.warning("not swept", reason=repr(problem)),
        )

    def _end_jobs(self) -> None:
        """Let running transfers stop where they are; what they would have said is forgotten. Everything may be begun again after it."""
        self._crew.stop()
        for _, transport in self._servers:
            transport.close()
        self._crew.clear()

    # --- What can be seen from outside -----------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Nothing is being looked at, nothing waits for a server, nothing is under way."""
        return self.pickup.idle and self._queues.all_done and self._mirror.idle

    @property
    def stranded(self) -> bool:
        """Every file was looked at, and every server was asked and did not answer: what is left has to wait."""
        return self.pickup.idle and self._mirror.idle and self.lanes.all_down

    def standings(self) -> dict[str, Standing]:
        """How each server stands, by name."""
        return self.lanes.standings()

    def sent(self) -> dict[str, int]:
        """Bytes that the servers have of the records being uploaded."""
        return self.lanes.sent()


def _homes(observed: Sequence[ObservedPath], marks: Marks) -> Callable[[ObservedPath], RootState]:
    """How the folder for results of an observed path stands. One that is observed itself is marked by its own looks alone."""
    paths = {each.path for each in observed}

    def see(each: ObservedPath) -> RootState:
        if each.results not in paths:
            return marks.look_home(each.results, apart=each.apart is not None)
        return RootState.PRESENT if each.results == each.path else marks.peek(each.results)

    return see
