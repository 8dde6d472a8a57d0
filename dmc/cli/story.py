"""What `dmc up` tells while it runs: a line for each step of each file, and bars on a terminal.

Follows the client's outbox and the broker's thread index; both are only read.
"""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from dmc.cli.render import Screen, bytes_text, clean, short
from dmc.cli.telling import Milestones
from dmc.client.outbox import Outbox
from dmc.client.records import OutboxRecord, OutboxStatus, decode_path
from dmc.jobs import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

LOOK_S = 0.25


class Threads(Protocol):
    """What is needed of broker/threads.py."""

    def read(self) -> dict[str, Progress]: ...


class Story:
    """Tells what happens to the records of an outbox."""

    def __init__(self, outbox: Outbox, threads: Threads, screen: Screen) -> None:
        self._outbox, self._threads, self._screen = outbox, threads, screen
        self._told: dict[str, OutboxStatus] = {i: record.status for i in outbox.ids() if (record := outbox.get(i))}
        self._due = Milestones()
        self._tasks: dict[str, Any] = {}

    def records(self) -> list[OutboxRecord]:
        """All records, oldest first."""
        self._outbox.refresh()
        return [record for record_id in self._outbox.ids() if (record := self._outbox.get(record_id))]

    def follow(self, stop: threading.Event, done: Callable[[], bool], timeout_s: float | None = None) -> None:
        """Tell until `stop`, `done` or the timeout."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        with self._screen.bars() as bars:
            while not done() and (end is None or time.monotonic() < end):
                self._look(bars)
                if stop.wait(LOOK_S):
                    break
            self._look(bars)

    def _look(self, bars: "Bars") -> None:
        progress = self._threads.read()
        for record in self.records():
            before = self._told.get(record.id)
            if before != record.status:
                self._told[record.id] = record.status
                if before is None:
                    self._say(f"{clean(record.label)}: seen, {bytes_text(record.size)}, to {record.conversion_type}", bars)
                self._tell(record, bars)
            said = progress.get(record.item_id or "")
            if said is not None and record.status in (OutboxStatus.TO_DO, OutboxStatus.IN_PROGRESS):
                self._show(record, said, bars)

    def _tell(self, record: OutboxRecord, bars: "Bars") -> None:
        if record.status not in (OutboxStatus.TO_DO, OutboxStatus.IN_PROGRESS) and record.id in self._tasks:
            bars.remove_task(self._tasks.pop(record.id))
        words = _words(record)
        if words:
            # Errors name the file themselves.
            self._say(words if words.startswith(clean(record.label)) else f"{clean(record.label)}: {words}", bars)

    def _say(self, text: str, bars: "Bars") -> None:
        if self._screen.draws:
            bars.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            self._screen.say(text)

    def _show(self, record: OutboxRecord, said: Progress, bars: "Bars") -> None:
        if self._screen.draws:
            if record.id not in self._tasks:
                self._tasks[record.id] = bars.add_task(short(record.label, 30), total=1.0)
            bars.update(self._tasks[record.id], completed=said.fraction)
            return
        if self._due(record.id, said.fraction):
            self._screen.say(f"{clean(record.label)}: {said.fraction:.0%}")


def _words(record: OutboxRecord) -> str:
    """One line for a status, empty where there is nothing to say."""
    match record.status:
        case OutboxStatus.TO_DO:
            return "sent, waits for a worker"
        case OutboxStatus.IN_PROGRESS:
            return "converting"
        case OutboxStatus.FINISHED_SUCCESSFUL:
            return "converted and verified" if record.result else str(record.outcome or "finished")
        case OutboxStatus.ACKNOWLEDGED:
            return _end(record)
        case OutboxStatus.PARKED:
            return f"set aside: {record.reason or 'see dmc status'}"
        case _:
            return ""


def _end(record: OutboxRecord) -> str:
    if record.result_path and record.result:
        saved = f", {100 - 100 * record.result.file_size / record.size:.0f} % smaller" if record.result.file_size < record.size else ""
        return f"home as {_near(record)} ({bytes_text(record.result.file_size)}{saved})"
    if record.errors:
        return f"{clean(record.errors[-1].message)} {record.errors[-1].hint}".rstrip()
    return f"{record.outcome or 'done'}: {record.reason or ''}".rstrip(": ")


def _near(record: OutboxRecord) -> str:
    """Where the result lies, seen from the folder that the file was dropped into."""
    place = decode_path(record.result_path or "")
    try:
        return clean(str(place.relative_to(decode_path(record.root or "/"))))
    except ValueError:
        return clean(str(place))
