"""The broker: one thread, the only one that changes statuses and moves folders. One step decides, commits, applies.

It hears what workers report, follows what others write into the ledger, and does what decide.py says. It never converts,
never speaks HTTP, and never touches an item but through its keeper.
"""

import contextlib
import os
import threading
from dataclasses import dataclass, field

from dmc.broker import outcomes
from dmc.broker.attempts import Attempts
from dmc.broker.control import Control, Mode, Superseded
from dmc.broker.decide import Action, Standing, decide
from dmc.broker.executor import Executor
from dmc.broker.keeper import Keeper
from dmc.broker.ledger import Ledger
from dmc.broker.queue import Queue
from dmc.broker.recovery import Recovery, every
from dmc.broker.retention import Retention, Rules
from dmc.broker.room import Room
from dmc.broker.stance import Stance, Stances, Waiting, why_waiting
from dmc.broker.storage import Place, Storage
from dmc.broker.threads import ThreadIndex
from dmc.broker.twins import Twins
from dmc.broker.workbench import LOOK_EVERY_S, Workbench
from dmc.clock import Clock, rfc3339
from dmc.errors import DiskFault, DiskFull, TornLedger, Unavailable
from dmc.items import Item, Status
from dmc.jobs import Report, Staffing
from dmc.log import Log
from dmc.quiet_hours import QuietHours

_LOG = Log("broker")

IDLE_LOOK_S = 0.25
_ROOM_STEP = 64 * 1024**2
"""Bytes by which the room on the disk must change for the queue to be looked at again."""

FOLD_EVERY_S = 60.0
"""So often the ledger's journal is folded while something is converted; at rest it is folded at once."""
MOST_FAULTS = 5
"""So many steps in a row may fail in a way that nobody foresaw, before the process ends for its supervisor to start it anew."""


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """`disk_floor`: bytes that stay free. `retention`: how long finished items are kept. `upload_expiry_s`: how long an
    upload that nobody goes on with may lie in incoming/, should its server not have tidied it up before. `quiet_hours`: when nothing
    is begun. `staffing`: how many workers the executor has, to be told."""

    disk_floor: int = 1024**3
    retention: Rules = field(default_factory=Rules)
    upload_expiry_s: float = 7 * 86400.0
    quiet_hours: QuietHours = field(default_factory=QuietHours)
    staffing: Staffing | None = None


class Broker:
    """See the top of this file. `start_up`, then `run` (or `step` by step), then `stop`; all from one thread."""

    def __init__(
        self,
        ledger: Ledger,
        storage: Storage,
        executor: Executor,
        clock: Clock,
        control: Control,
        threads: ThreadIndex,
        settings: BrokerSettings,
    ) -> None:
        self._ledger = ledger
        self._storage = storage
        self._clock = clock
        self._control = control
        self._settings = settings
        self._epoch = ""
        self._keeper = Keeper(ledger, storage, self._check_epoch)
        self._retention = Retention(ledger, clock, self._check_epoch, settings.retention, self._keeper.drop_original)
        self._attempts = Attempts(clock)
        self._bench = Workbench(storage, executor, self._keeper, Twins(ledger, storage), self._attempts, threads, clock)
        self._queue = Queue()
        self._seq: int | None = None
        self._decided_for: object = None
        self._is_short = False
        self._stances = Stances(control, settings.quiet_hours, clock)
        self._waiting: Waiting | None = None
        self._folded_at, self._fold_again_at = -1, 0.0
        self.rounds = 0  # Counts on while the loop lives.

    def _check_epoch(self) -> None:
        self._control.check_epoch(self._epoch)

    # --- Life ------------------------------------------------------------------------------------------------------

    def start_up(self) -> None:
        """Become the broker of this data folder and put right what was cut short. Raises Locked if there is one."""
        self._control.hold()
        try:
            self._epoch = self._control.new_epoch()
            self._ledger.checkpoint()  # Under the ledger's lock: whatever an older broker commits from here on, it is refused.
            beat = self._control.last_beat()
            was_frozen = beat is not None and beat.frozen
            expiry_s = self._settings.upload_expiry_s
            Recovery(self._ledger, self._storage, self._keeper, self._clock, expiry_s=expiry_s, was_frozen=was_frozen).run()
            self._tell(*self._stances.now())
        except BaseException:
            self._control.release()
            raise

    def run(self, stop: threading.Event) -> None:
        """Step until `stop` is set. Raises what no waiting can heal: the process should end and be started anew."""
        faults = 0
        while not stop.is_set():
            self.rounds += 1
            try:
                if not self.step():
                    self._wait()
                faults = 0
            except (DiskFault, TornLedger, Superseded):
                raise
            except Unavailable as problem:
                _LOG.warning("a step was put off", reason=problem)
                self._clock.wait(stop, IDLE_LOOK_S)
            except Exception:
                faults += 1
                _LOG.fault("a step failed", faults=faults)
                if faults >= MOST_FAULTS:
                    raise
                self._clock.wait(stop, IDLE_LOOK_S)

    def _wait(self) -> None:
        """Until a worker says something or somebody changes the ledger. An idle moment folds the journal, one between two looks at the
        workers only once a minute.

        While something runs, the workers are waited for and the ledger is looked at often: the slots must not stand empty.
        """
        seen = self._seq or 0
        if self._bench.reports:
            self._ledger.watch(seen, LOOK_EVERY_S)
        elif self._bench.running and not self._bench.is_frozen:
            self._bench.wait()
            if self._clock.monotonic() >= self._fold_again_at:
                self._fold(seen)
        elif self._ledger.watch(seen, IDLE_LOOK_S) == seen:
            self._fold(seen)

    def _fold(self, seen: int) -> None:
        if seen != self._folded_at:
            self._fold_again_at = self._clock.monotonic() + FOLD_EVERY_S
            self._ledger.checkpoint()
            self._folded_at = seen

    def stop(self) -> None:
        """Kill what runs, put it back, and let another broker begin. No process of the executor lives when this returns."""
        try:
            self._bench.close()
            with contextlib.suppress(Unavailable):  # Every change is durable already; this is for people who read with cat and jq.
                self._ledger.checkpoint()
        except (Superseded, DiskFault, TornLedger) as problem:  # The next start, or the newer broker, puts back what ran.
            _LOG.error("stopped without putting back what ran", reason=problem)
        finally:
            self._control.release()

    # --- One step --------------------------------------------------------------------------------------------------

    def step(self) -> bool:
        """Hear, follow, decide, do. Returns whether anything was done. Never blocks longer than the disk does.

        A free slot is filled before the ends are written down: processors do not wait for that. But an end that could not be written
        down at the last step comes first.
        """
        self._keeper.catch_up()
        finished = self._finish_all()
        self._bench.hear()
        followed = self._follow()
        mode, stance = self._stances.now()
        acted = self._act(stance)
        finished = self._finish_all() or finished
        aged = self._retention.step(is_short=self._is_short)
        self._tell(mode, stance)
        return finished or followed or acted or aged

    def _finish_all(self) -> bool:
        """Write down how jobs ended; whether any did. A report that cannot be written down for lack of room is kept."""
        finished = bool(self._bench.reports)
        while self._bench.reports:
            self._finish(self._bench.reports[0])
            self._bench.reports.pop(0)
        return finished

    def _finish(self, report: Report) -> None:
        try:
            self._bench.finish(report)
        except (Unavailable, DiskFault, TornLedger):
            raise
        except Exception:  # noqa: BLE001 - a last line of defence: one odd report must not stop the queue
            self._attempts.rest(report.item_id)
            self._bench.let_go(report.item_id)  # In progress without a job: it is put back, and rests.
            _LOG.fault("a report could not be taken in", item=report.item_id, kind=report.kind)

    def _follow(self) -> bool:
        """Take in what anybody changed in the ledger."""
        seq = self._ledger.seq
        if seq == self._seq:
            return False
        changes = None if self._seq is None else self._ledger.changes_since(self._seq)
        if changes is None:
            self._take_stock()
        for change in changes or ():
            self._note(change.item_id, change.item)
        self._seq = changes[-1].seq if changes else seq
        return True

    def _take_stock(self) -> None:
        self._queue.clear()
        for status in (Status.TO_DO, Status.IN_PROGRESS):
            for item in every(self._ledger, status):
                self._note(item.item_id, item)
        for item in self._ledger.wished():
            self._note(item.item_id, item)

    def _note(self, item_id: str, item: Item | None) -> None:
        if item is not None and item.status is Status.TO_DO and self._storage.place_of(item_id) is Place.INCOMING:
            self._keeper.apply(item)
        if item is None or not self._queue.note(Standing.of(item)):
            self._queue.forget(item_id)
            self._attempts.forget(item_id)

    def _act(self, stance: Stance) -> bool:
        """Do what is decided, unless nothing has changed since it was decided last."""
        self._bench.freeze(stance.running == "freeze")
        room = Room(self._storage.free_bytes(), self._settings.disk_floor, self._bench.promised())
        self._is_short = not room.above_floor
        resting, free, running = self._attempts.resting(), self._bench.free_slots(), frozenset(self._bench.running)
        first = next((one for one in self._queue.waiting() if one.item_id not in resting), None)
        no_room = None if first is None or first.needs <= room.left else room.waiting_for(first.needs)
        basis = (self._seq, stance, room.above_floor, no_room is None, room.left // _ROOM_STEP, resting, free, running)
        if basis == self._decided_for:
            return False
        pressing, waiting = self._queue.pressing(), self._queue.waiting()
        actions = decide(pressing, waiting, running=running, resting=resting, free_slots=free, stance=stance, room=room)
        for action in actions:
            self._do(action)
        self._decided_for = basis
        if not actions:  # Else it is told with the next step: between two small files nobody waits for anything else than before.
            self._waiting = why_waiting(
                stance,
                to_do=self._queue.to_do,
                resting=len(resting),
                running=len(running),
                free_slots=free,
                has_room=room.above_floor,
                no_room=no_room,
            )
        return bool(actions)

    def _do(self, action: Action) -> None:
        """One action. One that fails in a way nobody foresaw lets its item rest, so that the others' turn comes."""
        try:
            self._carry_out(action)
        except (Unavailable, DiskFault, TornLedger):
            raise
        except Exception:  # noqa: BLE001 - a last line of defence: one odd item must not stop the queue
            tries = self._attempts.rest(action.item_id)
            _LOG.fault("an action failed", item=action.item_id, verb=action.verb, tries=tries)

    def _carry_out(self, action: Action) -> None:
        item_id, now = action.item_id, rfc3339(self._clock.now())
        match action.verb:
            case "claim":
                self._bench.claim(item_id)
            case "kill":
                self._bench.kill(item_id)
            case "put-back":
                self._bench.put_back(item_id)
            case "cancel":
                self._keeper.carry_out(item_id, lambda item: outcomes.cancelled(item, now) if item.status is Status.TO_DO else None)
            case "retry":
                self._keeper.carry_out(item_id, lambda item: outcomes.retried(item) if item.status is Status.FINISHED_WITH_ERRORS else None)
            case "remove":
                item = self._ledger.get(item_id)
                if item is not None:
                    self._keeper.remove(item)

    def _tell(self, mode: Mode, stance: Stance) -> None:
        """Sign of life and thread index; without room for them the work goes on all the same."""
        try:
            waiting = stance.waiting or self._waiting
            said = None if waiting is None else waiting.to_plain()
            staffing = self._settings.staffing
            workers = None if staffing is None else staffing.model_dump() | {"busy": min(len(self._bench.running), staffing.total)}
            self._control.beat(os.getpid(), self._epoch, mode, said, frozen=self._bench.is_frozen, workers=workers)
            self._bench.tell()
        except DiskFull as problem:
            _LOG.warning("no room for the sign of life", reason=problem)
