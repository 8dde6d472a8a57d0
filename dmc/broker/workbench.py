"""What is being converted right now: claims, jobs, progress, and the end of each.

Between ledger and executor: a job begins after the line that claims its item, and a report becomes the line that ends it.
Every job gets exactly one end; a report that cannot be written down yet is kept and tried again.
"""

import threading
from collections.abc import Iterable
from pathlib import Path

from dmc.broker import outcomes
from dmc.broker.attempts import MOST_TRIES, Attempts
from dmc.broker.executor import Executor
from dmc.broker.keeper import Keeper
from dmc.broker.room import expected_bytes, reserved
from dmc.broker.storage import Storage
from dmc.broker.threads import Thread, ThreadIndex
from dmc.broker.twins import Twins
from dmc.clock import Clock, rfc3339
from dmc.errors import Busy, DiskFull
from dmc.items import Item, Status
from dmc.jobs import ErrorNote, Job, MadeFile, Progress, Report
from dmc.log import Log

_LOG = Log("broker")

LOOK_EVERY_S, BUSY_LOOK_S = 0.02, 0.25
"""So often the ledger is looked at while something runs: where a slot is free, and where none is, so that only a wish could matter."""

_MURMURS = 8
"""So many things of no account here (that a worker began, that it hung up) may be said in one wait."""

STOP_WAIT_S = 10.0


class Workbench:
    """See the top of this file."""

    def __init__(
        self,
        storage: Storage,
        executor: Executor,
        keeper: Keeper,
        twins: Twins,
        attempts: Attempts,
        threads: ThreadIndex,
        clock: Clock,
    ) -> None:
        self._storage = storage
        self._executor = executor
        self._keeper = keeper
        self._twins = twins
        self._attempts = attempts
        self._threads = threads
        self._clock = clock
        self._progress: dict[str, Progress] = {}
        self._said: list[Progress | Report] = []  # Said while nothing was waited for but that.
        self.running: dict[str, Item] = {}
        """Items that have a job, as they were claimed."""
        self.reports: list[Report] = []
        """Ends of jobs that have not been written down."""
        self.is_frozen = False

    def free_slots(self) -> int:
        return self._executor.free_slots()

    def promised(self) -> int:
        """Bytes that what runs may still write."""
        done = {item_id: one.fraction or 0.0 for item_id, one in self._progress.items()}
        sizes = ((item_id, expected_bytes(item.conversion_type, item.file_size)) for item_id, item in self.running.items())
        return reserved((size, done.get(item_id, 0.0)) for item_id, size in sizes)

    def freeze(self, wanted: bool) -> None:
        """Let all that runs stand still, or go on."""
        if wanted != self.is_frozen:
            self.is_frozen = wanted
            self._executor.freeze() if wanted else self._executor.thaw()
            _LOG.info("frozen" if wanted else "thawed", running=len(self.running))

    def hear(self) -> bool:
        """Take in what workers say; returns whether any said something."""
        said, self._said = [*self._said, *self._executor.poll()], []
        for one in said:
            if isinstance(one, Progress):
                self._progress[one.item_id] = one
            else:
                self.reports.append(one)
        return bool(said)

    def wait(self) -> None:
        """Until a worker tells of progress or of an end, or makes room for another, or it is time to look at the ledger."""
        now, free = self._clock.monotonic(), self._executor.free_slots()
        until = now + (LOOK_EVERY_S if free else BUSY_LOOK_S)
        for _ in range(_MURMURS):
            self._executor.wait(until - now)
            self._said += self._executor.poll()
            now = self._clock.monotonic()
            if self._said or now >= until or self._executor.free_slots() > free:
                return

    def claim(self, item_id: str) -> None:
        """Begin to convert an item that is to do: line, folder, job. What a twin has made already is taken over instead."""
        now = rfc3339(self._clock.now())
        begun = self._keeper.carry_out(item_id, lambda item: self._begun(item, now))
        if begun is None or begun.status is not Status.IN_PROGRESS:
            return
        folder = self._storage.folder(item_id)
        if folder is None or item_id in self._keeper.pending:
            self._attempts.rest(item_id)  # Or it would be claimed again at once, two lines each time.
            self.put_back(item_id)
            return
        self._storage.empty_out(item_id)
        taken_over = self._twins.take_over(begun)
        if taken_over is not None:
            self.running[item_id] = begun
            self.reports.append(taken_over)
            return
        try:
            self._executor.submit(_job(begun, folder))
        except Busy:
            self.put_back(item_id)
        else:
            self.running[item_id] = begun

    def _begun(self, item: Item, now: str) -> Item | None:
        if item.status is not Status.TO_DO or item.wish is not None or item.held_since is not None:
            return None
        size = self._storage.size_of(item.item_id, item.current_file_name)
        if size == item.file_size:
            return outcomes.claimed(item, now)
        return outcomes.failed(item, (outcomes.MISSING if size is None else outcomes.CHANGED,), now)

    def kill(self, item_id: str) -> None:
        """End the job of an item; its report says what becomes of it."""
        self._executor.cancel(item_id)

    def put_back(self, item_id: str, *errors: ErrorNote) -> None:
        """Make an item that has no job any more one to do."""
        self._keeper.carry_out(item_id, lambda item: outcomes.put_back(item, errors) if item.status is Status.IN_PROGRESS else None)
        self.let_go(item_id)

    def let_go(self, item_id: str) -> None:
        """Nothing of this item is running any more."""
        self.running.pop(item_id, None)
        self._progress.pop(item_id, None)

    def finish(self, report: Report) -> None:
        """Write down how a job ended. Raises DiskFull if not even that is possible now."""
        told = self._checked(report)
        try:
            ended = self._ended(told)
        except DiskFull as problem:  # The worker's result makes room for the line that says so.
            note = ErrorNote(code=problem.code, message=problem.message, hint=problem.hint)
            ended = self._ended(told.model_copy(update={"kind": "unavailable", "errors": (note,)}))
        self.let_go(report.item_id)
        if ended is None:
            _LOG.warning("a report that nobody expected", item=report.item_id, attempt=report.attempt, kind=report.kind)
        else:
            _LOG.info("a job ended", item=ended.item_id, kind=told.kind, status=ended.status)

    def _checked(self, report: Report) -> Report:
        """A worker that says `converted` must have left what it says."""
        facts = report.result
        if report.kind != "converted":
            return report
        if facts is not None and all(self._is_there(report.item_id, told) for told in facts.files):
            return report
        note = ErrorNote(code="WorkerDied", message="the worker reported a result that is not there.", hint="It is tried again.")
        return report.model_copy(update={"kind": "crashed", "result": None, "errors": (note,)})

    def _is_there(self, item_id: str, told: MadeFile) -> bool:
        name = told.file_name
        return Path(name).name == name and self._storage.size_of(item_id, f"out/{name}") == told.file_size

    def _ended(self, report: Report) -> Item | None:
        now = rfc3339(self._clock.now())
        if report.kind == "unavailable" and self._attempts.tries(report.item_id) >= MOST_TRIES:
            report = report.model_copy(update={"kind": "failed"})

        def change(item: Item) -> Item | None:
            mine = item.status is Status.IN_PROGRESS and item.attempt == report.attempt
            return outcomes.reported(item, report, now) if mine else None

        ended = self._keeper.carry_out(report.item_id, change)
        if ended is None or ended.status.is_finished:
            self._attempts.forget(report.item_id)
        elif report.kind in ("unavailable", "crashed"):
            self._attempts.rest(report.item_id)
        return ended

    def tell(self, *, at_once: bool = False) -> None:
        """Write the thread index."""
        self._threads.write(_threads(self.running, self._progress.values()), at_once=at_once)

    def close(self) -> None:
        """Kill every job, write down what was reported before, put the rest back. No process of the executor lives then."""
        for item_id in self.running:
            self._executor.cancel(item_id)
        deadline, never = self._clock.monotonic() + STOP_WAIT_S, threading.Event()
        try:
            while len(self.reports) < len(self.running) and self._clock.monotonic() < deadline:
                self.hear()
                if len(self.reports) < len(self.running):
                    self._clock.wait(never, LOOK_EVERY_S)
        finally:
            self._executor.close()
        for report in self.reports:
            self._write_down(report)
        for item_id in list(self.running):
            self.put_back(item_id)
        self.reports.clear()
        self.tell(at_once=True)

    def _write_down(self, report: Report) -> None:
        try:
            self.finish(report)
        except DiskFull as problem:  # It stays in progress; the next start puts it back.
            _LOG.warning("a report was lost", item=report.item_id, reason=problem)
            self.let_go(report.item_id)


def _job(item: Item, folder: Path) -> Job:
    return Job(
        item_id=item.item_id,
        attempt=item.attempt,
        original=str(folder / item.current_file_name),
        out_dir=str(folder / "out"),
        log_file=str(folder / "log.txt"),
        label=item.original_file_name,
        conversion_type=item.conversion_type,
        options=item.options,
        file_size=item.file_size,
        sha512_checksum=item.sha512_checksum,
        previews=True,
        sidecars=True,  # The server hands them out beside the result, and the client brings them home.
    )


def _threads(running: dict[str, Item], progress: Iterable[Progress]) -> list[Thread]:
    return [
        Thread(item.started_at or item.created_at, item.version, one)
        for one in progress
        if (item := running.get(one.item_id)) is not None and item.attempt == one.attempt
    ]
