"""Worker processes and the watch over their lives: one child per item, exactly one report per job, whatever the child does.

Fits the broker's Executor by shape. All methods belong to one thread (the broker's) but `wake`, which any thread may call. A job
ends when its process is dead and reaped and all it said was read; only then its report is polled and its out/ looked at.
Never blocks but in `wait` and `close`, never reads media, never trusts a worker's word without checking it.
"""

import select
import socket
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from dmc.clock import Clock, rfc3339
from dmc.conversions import CONVERSION_TYPES, ConversionType, built_in
from dmc.convert import sandbox
from dmc.convert.conversation import Conversation, death_of, doubt, report_of
from dmc.convert.handover import take_back
from dmc.convert.launch import ENGINE, Born, Died, FreshProcess, Launcher, Method, launcher
from dmc.convert.limits import Limits
from dmc.convert.runs import Run, WorkerInfo, at_work
from dmc.convert.threads import cores_here, share_of_cores
from dmc.convert.wire import LINE_LIMIT, Order, Rubbish, SandboxMode, Walls, encode
from dmc.errors import BadSettings, Busy, UsageFault
from dmc.jobs import Job, Progress, Report
from dmc.log import Log

_READ_AT_ONCE = 256 * 1024
_UNHEEDED_S = 10.0
"""How long a kill may go without effect before the fork server itself is ended; a worker without walls could have stopped it."""

_LINGER_S = 1.0
"""How long a worker may take to end after its report or its hanging up, and its channel to close after its death."""


class WorkerPool:
    """At most `slots` workers at work at a time. As many more may be leaving: they have said their report, and end.

    `stall_limit_s`: a worker silent for longer is killed (default: the limits'). `run_as` is the (uid, gid) that workers change to when
    started as root. `method` is how they begin; by default what fits the system. `entry` names the engine, for tests;
    `warming` is its launcher, if that was begun already. Workers know built-in types: own ones of `types` are translated here.
    `defaults`: options that count where neither job nor type says otherwise.
    """

    def __init__(
        self,
        slots: int,
        limits: Limits,
        clock: Clock,
        *,
        stall_limit_s: float | None = None,
        sandbox: SandboxMode = "best-effort",
        run_as: tuple[int, int] | None = None,
        method: Method | None = None,
        entry: str = ENGINE,
        warming: Launcher | None = None,
        types: Mapping[str, ConversionType] = CONVERSION_TYPES,
        defaults: Mapping[str, Any] = MappingProxyType({}),
        nice: int = 10,
    ) -> None:
        self._slots = slots
        self._limits = limits
        self._clock = clock
        self._stall_s = limits.stall_s if stall_limit_s is None else stall_limit_s
        self._mode = sandbox
        self._run_as = run_as
        self._entry = entry
        self._types, self._defaults, self._nice = types, defaults, nice
        self._launcher: Launcher = warming or launcher(entry, method)
        self._runs: dict[int, Run] = {}
        self._last_number = 0
        self._walls: Walls | None = None
        self._bell, self._bell_rope = socket.socketpair()
        self._bell.setblocking(False)
        self._bell_rope.setblocking(False)
        self._open, self._frozen = True, False
        self._log = Log("convert")

    def start(self) -> None:
        """Make workers ready; returns at once. Best called before locks and sockets are open.

        Raises BadSettings when the sandbox is required and this machine cannot build it.
        """
        walls = sandbox.status(self._mode)
        if self._mode == "required" and walls.missing:
            raise BadSettings(
                f"sandbox = required, but: {'; '.join(walls.missing)}.", 'Set sandbox = "best-effort", or use a newer kernel.'
            )
        self._log.info(
            "workers are ready", slots=self._slots, sandbox=self._mode, walls=", ".join(walls.active), missing="; ".join(walls.missing)
        )
        self._launcher.start()

    def submit(self, job: Job) -> None:
        """Begin a job; raises Busy when no slot is free."""
        if not self._open:
            raise UsageFault("the workers are closed.")
        if self.free_slots() == 0:
            raise Busy("every worker is busy.")
        kind, options = built_in(job.conversion_type, job.options, self._types)
        job = job.model_copy(update={"conversion_type": kind, "options": {**self._defaults, **options}})
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._last_number += 1
        run = Run(Conversation(job, self._clock.monotonic()), ours, rfc3339(self._clock.now()))
        self._runs[self._last_number] = run
        with theirs:
            if self._give_order(run):
                self._launcher.launch(self._last_number, theirs.fileno())
            else:
                self._condemn(self._last_number, run, "OrderTooLarge", "the job is too large to be given to a worker.")
                run.died = Died(self._last_number, None)

    def _give_order(self, run: Run) -> bool:
        threads = self._limits.encoder_threads or share_of_cores(cores_here(), at_work(self._runs.values()))
        order = Order(
            job=run.talk.job,
            limits={**self._limits.to_plain(), "encoder_threads": threads},
            entry=self._entry,
            sandbox=self._mode,
            run_as=self._run_as,
            watch_channel=isinstance(self._launcher, FreshProcess),
            nice=self._nice,
        )
        line = encode("order", order)
        if len(line) > LINE_LIMIT:
            return False
        run.channel.sendall(line)  # fits the empty buffer of a new socket
        return True

    def poll(self) -> list[Progress | Report]:
        """What happened since the last poll."""
        self._quiet_bell()
        said: list[Progress | Report] = []
        for event in self._launcher.happened():
            self._note(event)
        now = self._clock.monotonic()
        for number, run in list(self._runs.items()):
            said.extend(self._listen(number, run, now))
            self._hold_still(number, run)
            self._watch(number, run, now)
            if self._is_over(run, now):
                said.append(self._end(number, run))
        return said

    def cancel(self, item_id: str) -> None:
        """Kill the job of an item; its report says `cancelled`, unless the worker's own has been heard before."""
        for number, run in self._runs.items():
            if run.talk.job.item_id != item_id:
                continue
            if run.talk.report is None and run.verdict is None:
                run.verdict = report_of(run.talk.job, "cancelled", "cancelled", "cancelled on request.")
                run.verdict_at = self._clock.monotonic()
            self._launcher.kill(number)

    def freeze(self) -> None:
        """Stop every worker where it is; one that is just beginning, as soon as its walls stand."""
        self._frozen = True
        for number, run in self._runs.items():
            self._hold_still(number, run)

    def thaw(self) -> None:
        """Let the workers go on."""
        self._frozen = False
        for number, run in self._runs.items():
            if run.frozen_at is not None:
                run.thaw(self._clock.monotonic())
                self._launcher.thaw(number)

    def _hold_still(self, number: int, run: Run) -> None:
        if self._frozen and run.may_be_frozen:
            run.frozen_at = self._clock.monotonic()
            self._launcher.freeze(number)

    def free_slots(self) -> int:
        return 0 if self._frozen else max(0, min(self._slots - at_work(self._runs.values()), 2 * self._slots - len(self._runs)))

    def workers(self) -> list[WorkerInfo]:
        """What runs now, oldest first."""
        return [run.info() for run in self._runs.values()]

    def walls(self) -> Walls:
        """Which walls the latest worker said it has built; before any has: which ones this machine can build."""
        return self._walls or sandbox.status(self._mode)

    def wait(self, timeout_s: float) -> None:
        """Return when `poll` has something to do, when `wake` is called, or after `timeout_s`."""
        watched = select.poll()
        for fd in (self._bell.fileno(), *self._launcher.descriptors()):
            watched.register(fd, select.POLLIN)
        now = self._clock.monotonic()
        for run in self._runs.values():
            if run.at_end or run.died is not None:
                timeout_s = min(timeout_s, 0.01)  # dead, and about to be reaped
            if not run.at_end:
                watched.register(run.channel.fileno(), select.POLLIN)
            if run.frozen_at is None:
                timeout_s = min(timeout_s, max(0.0, run.talk.heard_at + self._stall_s - now))
        watched.poll(max(0.0, timeout_s) * 1000.0)

    def wake(self) -> None:
        """Let `wait` return at once; from any thread."""
        try:
            self._bell_rope.send(b"!")
        except (BlockingIOError, BrokenPipeError, OSError):
            pass  # it is ringing already, or nobody waits any more

    def close(self) -> None:
        """Kill and reap every worker; nothing of them lives or writes when this returns. No reports follow."""
        if not self._open:
            return
        self._open = False
        self._launcher.close()
        for run in self._runs.values():
            run.channel.close()
        self._runs.clear()
        self._bell_rope.close()
        self._bell.close()

    # --- the life of a run ---------------------------------------------------------------------------------------

    def _note(self, event: Born | Died) -> None:
        run = self._runs.get(event.number)
        if run is not None and isinstance(event, Born):
            run.pid = event.pid
        elif run is not None and isinstance(event, Died) and run.died is None:
            run.died, run.died_at = event, self._clock.monotonic()

    def _listen(self, number: int, run: Run, now: float) -> list[Progress]:
        """Read what there is, but not more than a busy worker could say: a flood must not hold up the others."""
        told: list[Progress] = []
        budget = _READ_AT_ONCE
        while not run.at_end and (budget > 0 or run.died is not None):
            try:
                data = run.channel.recv(64 * 1024)
            except BlockingIOError:
                break
            except ConnectionResetError:
                data = b""
            if not data:
                run.at_end, run.ended_at = True, now
                break
            budget -= len(data)
            if run.verdict is not None:
                continue
            try:
                told += run.talk.hear(data, now)
            except Rubbish as rubbish:
                run.talk.report = None
                self._condemn(number, run, "BadReport", f"the worker broke the rules: {rubbish}.")
        if told:
            run.progress = run.told(told[-1], now)
        return [run.progress] if told and run.progress is not None else []

    def _watch(self, number: int, run: Run, now: float) -> None:
        """Kill what hangs: silent for too long, or lingering after its report or after it hung up."""
        if run.died is not None:
            return
        if run.verdict is not None:
            if now - run.verdict_at > _UNHEEDED_S:
                self._launcher.give_up()
        elif run.talk.report is not None:
            if now - run.talk.heard_at > _LINGER_S:
                self._launcher.kill(number)
            if now - run.talk.heard_at > _LINGER_S + _UNHEEDED_S:
                self._launcher.give_up()
        elif run.at_end and now - run.ended_at > _LINGER_S:
            self._condemn(number, run, "WorkerDied", "the worker hung up without a report and was ended.")
        elif run.frozen_at is None and now - run.talk.heard_at > self._stall_s:
            message = f"the worker said nothing for {self._stall_s:.0f} s and was ended."
            self._condemn(number, run, "Stalled", message, "Try again; if it stalls each time, the file may be built to do that.")

    def _condemn(self, number: int, run: Run, code: str, message: str, hint: str = "The item's log may say more.") -> None:
        run.verdict = report_of(run.talk.job, "crashed", code, message, hint)
        run.verdict_at = self._clock.monotonic()
        self._launcher.kill(number)

    def _is_over(self, run: Run, now: float) -> bool:
        return run.died is not None and (run.at_end or now - run.died_at > _LINGER_S)

    def _end(self, number: int, run: Run) -> Report:
        del self._runs[number]
        run.channel.close()
        self._walls = run.talk.walls or self._walls
        job, report = run.talk.job, run.verdict or run.talk.report
        code = run.died.code if run.died is not None else None
        lent = None if self._run_as is None else take_back(job)
        if report is None:
            report = death_of(job, code)
        elif run.verdict is None and (why := lent or doubt(job, report)) is not None:
            report = report_of(job, "crashed", "BadReport", f"the worker's report cannot be believed: {why}.")
        self._log.info("a worker ended a job", item=job.item_id, attempt=job.attempt, kind=report.kind, exit_code=code)
        return report

    def _quiet_bell(self) -> None:
        try:
            while self._bell.recv(4096):
                pass
        except BlockingIOError:
            pass  # it is quiet
