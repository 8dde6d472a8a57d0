"""What the broker and everybody else say to each other besides the ledger: the wished mode, the heartbeat, the epoch.

`broker.mode` is what an operator asked for (durable: it outlives the broker). `broker.json` is what the broker tells about
itself, at most twice a second and unsynced. `broker.epoch` names the newest broker: an older one, whose lock file somebody
deleted, finds another name there and stops before its next change.
"""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from dmc.broker.ledger_timed import Effort
from dmc.clock import Clock, rfc3339
from dmc.conversions import did_you_mean
from dmc.errors import Locked, UsageFault
from dmc.files import Disk, translate, write_durably, write_loosely
from dmc.locks import ProcessLock

BEAT_EVERY_S = 0.5
STALE_BEAT_S = 30.0
"""After so many seconds without a sign of life a broker is taken for gone."""

LOCK_WAIT_S = 2.0
"""How long a new broker waits for one that is just ending."""


class Superseded(Locked):
    """A newer broker works here; this one must not write another line."""


class Mode(StrEnum):
    """run: convert · pause: begin nothing, what runs stands still · put-back: begin nothing, what runs is put back ·
    drain: begin nothing, finish what runs."""

    RUN = "run"
    PAUSE = "pause"
    PUT_BACK = "put-back"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True)
class Wished:
    """What an operator asked for, and until when; it is over by itself then."""

    mode: Mode = Mode.RUN
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Beat:
    """The broker's last sign of life."""

    mode: str
    pid: int
    broker_epoch: str
    beat_at: datetime
    waiting: dict[str, Any] | None = None
    frozen: bool = False
    effort: Effort | None = None
    """What the ledger has cost the broker's process."""
    workers: dict[str, Any] | None = None


class Control:
    """The three files in a data folder; see the top of this file. Any process may read them.

    `effort`: what the ledger has cost this process so far; told with each sign of life, should this be the broker.
    """

    def __init__(
        self, data: Path, disk: Disk, clock: Clock, *, lock_wait_s: float = LOCK_WAIT_S, effort: Callable[[], Effort] = Effort
    ) -> None:
        self._disk = disk
        self._clock = clock
        self._mode = data / "broker.mode"
        self._state = data / "broker.json"
        self._epoch = data / "broker.epoch"
        self._lock = ProcessLock(data / "broker.lock", timeout_s=lock_wait_s)
        self._effort = effort
        self._is_held = False
        self._last_beat: tuple[float, object] | None = None
        self._seen: tuple[Beat, float] | None = None  # The last sign of life that was looked at, and when it was given.
        self._looked_at = 0.0

    def hold(self) -> None:
        """Become the only broker of this data folder; raises Locked with the pid of the one that is."""
        try:
            self._lock.acquire()
        except Locked as problem:
            beat = self.last_beat()
            who = f"process {beat.pid}" if beat else "another process"
            raise Locked(f"{who} is the broker of this data folder.", "Stop it first, or let it do the work.") from problem
        self._is_held = True

    @property
    def is_held(self) -> bool:
        """Whether the broker works in this very process, with this object."""
        return self._is_held

    def release(self) -> None:
        """Let another broker begin; does nothing if this is none."""
        if self._is_held:
            self._is_held = False
            self._lock.release()

    def mode(self) -> Mode:
        """The mode that counts now."""
        return self.wished().mode

    def wished(self) -> Wished:
        """The mode that was asked for last; run if none was, or if its time is over."""
        try:
            name, _, until = self._disk.read(self._mode).decode().strip().partition(" until ")
            wished = Wished(Mode(name), datetime.fromisoformat(until) if until else None)
            return Wished() if wished.until is not None and wished.until <= self._clock.now() else wished
        except (FileNotFoundError, ValueError, TypeError):
            return Wished()

    def ask(self, mode: str, until: datetime | None = None) -> Wished:
        """Ask for a mode, for good or `until` then; the broker, now or when it starts, goes by it."""
        if mode not in set(Mode):
            raise UsageFault(f"there is no mode {mode!r}.", did_you_mean(mode, set(Mode)))
        if until is not None and mode == Mode.RUN:
            raise UsageFault("going on has no end.", "Say until when to pause or to drain.")
        line = mode if until is None else f"{mode} until {rfc3339(until)}"
        try:
            write_durably(self._disk, self._mode, line.encode() + b"\n")
        except OSError as problem:
            raise translate(problem, "setting the broker's mode") from problem
        return Wished(Mode(mode), until)

    def beat(
        self,
        pid: int,
        epoch: str,
        mode: Mode,
        waiting: dict[str, Any] | None = None,
        *,
        frozen: bool = False,
        workers: dict[str, Any] | None = None,
    ) -> None:
        """Tell that the broker lives; writes only when the last time was half a second ago or there is news.

        `waiting`: why the queue waits. `frozen`: the workers stand still. `workers`: how many there are, and are busy.
        """
        staffed = None if workers is None else workers | {"busy": bool(workers.get("busy"))}  # Whether any is: small files change who.
        now, news = self._clock.monotonic(), (mode, waiting, frozen, staffed)
        if self._last_beat is not None and now - self._last_beat[0] < BEAT_EVERY_S and self._last_beat[1] == news:
            return
        beat_at = rfc3339(self._clock.now())
        state = {"mode": mode, "pid": pid, "broker_epoch": epoch, "beat_at": beat_at}
        state |= {"waiting": waiting, "frozen": frozen, "workers": workers, "ledger": self._effort().to_plain()}
        try:
            write_loosely(self._disk, self._state, json.dumps(state).encode() + b"\n")
        except OSError as problem:
            raise translate(problem, "writing broker.json") from problem
        self._last_beat = (now, news)

    def last_beat(self) -> Beat | None:
        """The broker's last sign of life, of whichever process; None if there never was one."""
        try:
            state = json.loads(self._disk.read(self._state))
            who = state["mode"], int(state["pid"]), str(state["broker_epoch"]), datetime.fromisoformat(state["beat_at"])
            frozen, effort = state.get("frozen") is True, Effort.from_plain(state.get("ledger"))
            return Beat(*who, state.get("waiting"), frozen, effort, state.get("workers"))
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def beat_age_s(self) -> float | None:
        """Seconds since the broker's last sign of life; None if there never was one.

        Only a first look has to believe the wall clock. From then on a sign is new when it is another one than before, and grows old by
        the clock of this process: a wall clock that jumps makes no dead broker look alive.
        """
        beat, now = self.last_beat(), self._clock.monotonic()
        if beat is None:
            return None
        if self._seen is None or self._seen[0] != beat:
            age = max(0.0, (self._clock.now() - beat.beat_at).total_seconds())
            self._seen = (beat, now - (age if self._seen is None else min(age, now - self._looked_at)))
        self._looked_at = now
        return now - self._seen[1]

    def waiting(self) -> dict[str, Any] | None:
        """Why the queue waits, as the broker said last; `broker-down` if it says nothing. Keys: code, message, until."""
        beat, age = self.last_beat(), self.beat_age_s()
        if beat is None or age is None:
            return {"code": "broker-down", "message": "no broker has worked here yet. Start one: dmc broker run", "until": None}
        if age >= STALE_BEAT_S:
            return {"code": "broker-down", "message": f"the broker gave no sign of life for {age:.0f} s.", "until": None}
        return beat.waiting

    def workers(self) -> dict[str, Any] | None:
        """How many workers there are and how many are busy, as the broker said last; None if it says nothing. Keys: Staffing's, busy."""
        beat, age = self.last_beat(), self.beat_age_s()
        return None if beat is None or age is None or age >= STALE_BEAT_S else beat.workers

    def new_epoch(self) -> str:
        """Make this the newest broker; returns its name."""
        epoch = f"{rfc3339(self._clock.now())}-{secrets.token_hex(4)}"
        try:
            write_durably(self._disk, self._epoch, epoch.encode() + b"\n")
        except OSError as problem:
            raise translate(problem, "writing broker.epoch") from problem
        return epoch

    def check_epoch(self, epoch: str) -> None:
        """Raise Superseded if a newer broker works here."""
        try:
            newest = self._disk.read(self._epoch).decode().strip()
        except OSError as problem:
            raise translate(problem, "reading broker.epoch") from problem
        if newest != epoch:
            raise Superseded("a newer broker works on this data folder; this one stops.", "Was broker.lock deleted? Run one broker only.")
