"""All that is known of one server, shared by the stages that deal with it: its address, the way to it, and how it stands.

Turns an error into what follows for the server (`note`); what follows for the record is the stage's business. It
belongs to the sync thread.
"""

import random

from dmc.client import reach
from dmc.client.crew import Crew
from dmc.client.model import ServerAddress, Timing
from dmc.client.pins import Pins
from dmc.client.transport import Interrupted, Transport
from dmc.client.verdict import Verdict, judge
from dmc.clock import Clock
from dmc.errors import DmcError, ServerUnreachable, StillBroken, Unavailable
from dmc.log import Log
from dmc.protocol import Identity


class Link:
    """One server as the client sees it. `instance` is set while it is up."""

    def __init__(
        self, address: ServerAddress, transport: Transport, *, pins: Pins, crew: Crew, clock: Clock, timing: Timing, draw: random.Random
    ) -> None:
        self.address = address
        self.transport = transport
        self.timing = timing
        self.draw = draw
        self.standing = reach.Standing()
        self.log = Log("client")
        self.restored = False
        self._pins = pins
        self._crew = crew
        self._clock = clock
        self._asking = False

    @property
    def name(self) -> str:
        return self.address.name

    @property
    def instance(self) -> str | None:
        return self._pins.instance_of(self.name)

    def lane(self, kind: str) -> str:
        """The name of this server's lane for jobs of a kind."""
        return f"{kind}:{self.name}"

    def step(self, now: float) -> float:
        """Ask whether the server is there if it is time; returns when it will be."""
        if now < self.standing.next_at or self._asking or not self._crew.free(self.lane("ask")):
            return self.standing.next_at if not self._asking else now + self.timing.identity_s
        self._asking = True
        self.standing = reach.asked(self.standing, now)
        pinned = self.instance
        self._crew.submit(self.lane("ask"), lambda: self.transport.reach(pinned), self._reached, self._not_reached)
        return now + self.timing.identity_s

    def hurry(self) -> None:
        """Somebody has a reason to ask now."""
        self.standing = reach.hurried(self.standing, self._clock.monotonic())

    def worked(self) -> None:
        """An exchange with the server ended well."""
        self.standing = reach.progressed(self.standing)

    def progressed(self) -> None:
        """Bytes got through."""
        self.standing = reach.progressed(self.standing)

    def note(self, problem: Exception, attempts: int = 0, what: str = "", record: str | None = None) -> Verdict:
        """Judge an error of an exchange with this server and let the server's standing follow; says so in the log."""
        told = self._as_told(problem, what, record)
        verdict = judge(told, attempts)
        now = self._clock.monotonic()
        floor = told.retry_after_s if isinstance(told, Unavailable) else None
        if verdict is Verdict.SERVER_DOWN:
            self._down(reach.silent(self.standing, now, told.message, self.draw, floor))
        elif verdict is Verdict.SERVER_PAUSED:
            self._down(reach.refused(self.standing, now, str(told), self.draw))
        elif verdict in (Verdict.SERVER_CROWDED, Verdict.SERVER_FULL):
            full = verdict is Verdict.SERVER_FULL
            self.standing = reach.crowded(self.standing, now, self.draw, full=full, retry_after_s=floor)
        return verdict

    def _as_told(self, problem: Exception, what: str, record: str | None) -> DmcError:
        if isinstance(problem, DmcError):
            if not isinstance(problem, Interrupted | ServerUnreachable):
                self.log.warning("not done", what=what, server=self.name, record=record, code=problem.code, message=problem.message)
            return problem
        self.log.error("fault", what=what, server=self.name, record=record, fault=repr(problem))
        return StillBroken(f"{what}: an unforeseen fault ({type(problem).__name__}).", "Look into the client's log.")

    def _down(self, standing: reach.Standing) -> None:
        if self.standing.up is not False:
            self.log.warning("server away", server=self.name, reason=standing.reason)
        self.standing = standing

    def _reached(self, identity: Identity) -> None:
        self._asking = False
        now = self._clock.monotonic()
        if self.standing.up is not True:
            self.log.info("server there", server=self.name, instance=identity.instance, accepting=identity.accepting)
        self.standing = reach.answered(self.standing, now, accepting=identity.accepting, again_s=self.timing.identity_s)
        if self._pins.learn(self.name, identity):
            self.log.warning("server restored", server=self.name, ledger_seq=identity.ledger_seq)
            self.restored = True

    def _not_reached(self, problem: Exception) -> None:
        self._asking = False
        verdict = self.note(problem, what="reach")
        if verdict not in (Verdict.SERVER_DOWN, Verdict.SERVER_PAUSED):
            # Whatever it said, it did not tell who it is: nothing may be sent there.
            self._down(reach.silent(self.standing, self._clock.monotonic(), str(problem), self.draw))
