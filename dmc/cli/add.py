"""`dmc add`: files into the outbox, and on to a server; with `--wait` followed to their end.

Waiting can be left at any time: the first Ctrl-C, or the end of `--timeout`, leaves the items to the running client and says how
to come back to them; a second Ctrl-C soon after cancels them.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dmc.cli.complete import conversion_types
from dmc.cli.items import record_view
from dmc.cli.options import End, Files, FilesFrom, Null, Options, Start, named_files, parse_options
from dmc.cli.render import DryRun, Json, Screen, clean, screen_of, short_ids
from dmc.cli.telling import Milestones

if TYPE_CHECKING:
    from dmc.client.errand import Errand
    from dmc.client.records import OutboxRecord
    from dmc.protocol import ItemView

CANCEL_S = 2.0
"""After a first Ctrl-C, how long a second one still cancels the items."""

Config = Annotated[Path | None, typer.Option("--config", "-c", help="Client settings file.", exists=True, dir_okay=False)]
Timeout = Annotated[float | None, typer.Option("--timeout", min=0, help="With --wait: wait no longer than so many seconds.")]
To = Annotated[str | None, typer.Option("--to", "-t", help="Conversion type; default: by medium.", autocompletion=conversion_types)]


def register(app: typer.Typer) -> None:
    """Add the command of this file to the front door."""
    app.command()(add)


def add(
    context: typer.Context,
    files: Files = None,
    to: To = None,
    options: Options = None,
    start: Start = None,
    end: End = None,
    files_from: FilesFrom = None,
    null: Null = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until converted; shows progress. Ctrl-C leaves them running.")] = False,
    timeout: Timeout = None,
    no_queue: Annotated[
        bool, typer.Option("--no-queue", help="Do not queue: fail with 7 if no server answers, 8 if none has room.")
    ] = False,
    config: Config = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Put files into the outbox and try to send them at once. Example: dmc add clip.mov --to web --wait"""
    from dmc.assemble.client import open_errand
    from dmc.assemble.local import conversion_for
    from dmc.cli.running import stop_on_signals
    from dmc.config import load_client

    screen = screen_of(context)
    chosen = [(file, to or conversion_for(file)) for file in named_files(files, files_from, null=null)]
    wanted = parse_options(options, start, end)
    if dry_run:
        for file, kind in chosen:
            screen.say(f"would add {file} as {kind}")
        return
    told, twice = _Told(screen, as_json=as_json and wait), threading.Event()
    with (
        stop_on_signals(twice) as stop,
        open_errand(load_client(config).settings, stop) as errand,
        _no_longer_than(timeout if wait else None, stop) as late,
    ):
        records = [errand.add(file, kind, wanted, no_queue=no_queue) for file, kind in chosen]
        running = errand.deliver([record.id for record in records], until_done=wait, tell=told)
        ended = [errand.look(record.id) for record in records]
        left = [record for record in ended if not record.has_ended] if wait and stop.is_set() else []
        if left:
            _leave(screen, errand, left, twice, running=running, late=late.is_set(), timeout=timeout)
    _show(screen, ended, as_json=as_json)
    if not running and any(record.is_sendable for record in ended):
        for reason in dict.fromkeys(str(errand.put_off[record.id]) for record in ended if record.id in errand.put_off):
            screen.say(reason)
        screen.say("queued: no server took it yet and no client is running here. Send later with: dmc client sync")
    _end([record for record in ended if record.errors or record.status == "parked"], len(ended))


@contextmanager
def _no_longer_than(seconds: float | None, stop: threading.Event) -> Iterator[threading.Event]:
    """Sets `stop` after so many seconds, and the event that is yielded before it."""
    late = threading.Event()

    def end() -> None:
        late.set()
        stop.set()

    timer = None if seconds is None else threading.Timer(seconds, end)
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        yield late
    finally:
        if timer is not None:
            timer.cancel()


def _leave(
    screen: Screen,
    errand: "Errand",
    left: "list[OutboxRecord]",
    twice: threading.Event,
    *,
    running: bool,
    late: bool,
    timeout: float | None,
) -> None:
    """Say how to come back to items that go on by themselves; a second Ctrl-C soon after cancels them. Never returns."""
    from dmc.errors import Cancelled, TimedOut

    names = " ".join(short_ids([record.id for record in left]).values())
    waits = any(record.is_sendable for record in left) and not running
    screen.say(f"{'waits in the outbox; send it with: dmc client sync' if waits else 'goes on by itself.'}")
    screen.say(f"come back with: dmc status --watch {names}")
    if late:
        raise TimedOut(f"not done within {timeout:g} s.", f"See: dmc status {names}")
    screen.say("Ctrl-C once more cancels.")
    if not twice.wait(CANCEL_S):
        raise typer.Exit(130)
    for record in left:
        screen.say(errand.cancel(errand.look(record.id)))
    raise Cancelled


class _Told:
    """What is told while a command waits: NDJSON on stdout, or lines at each new status and each tenth."""

    def __init__(self, screen: Screen, *, as_json: bool) -> None:
        self._screen, self._as_json, self._due = screen, as_json, Milestones()
        self._status: dict[str, Any] = {}

    def __call__(self, record: "OutboxRecord", live: "ItemView | None") -> None:
        if self._as_json:
            self._screen.document("record", {"record": record_view(record, live)})
            return
        status = str(live.status if live else record.status)
        share = live.progress.fraction if live and live.progress else None
        due = share is not None and self._due(record.id, share)
        if self._status.get(record.id) != status or due:
            self._status[record.id] = status
            self._screen.say(f"{clean(record.label)}: {status}{f' {share:.0%}' if share is not None else ''}")


def _show(screen: Screen, ended: "list[OutboxRecord]", *, as_json: bool) -> None:
    """The records as they are now, also at the end of a stream: its last lines are how things stand."""
    shown = short_ids([record.id for record in ended])
    for record in ended:
        if as_json:
            screen.document("record", {"record": record_view(record)})
        else:
            screen.data(f"{shown[record.id]}  {record.status}  {clean(record.label)}")


def _end(failed: "list[OutboxRecord]", of: int) -> None:
    """Exit 0 if nothing failed, 3 if some did, else with the code of the first error."""
    from dmc.cli.convert import exit_code_of

    for record in failed:
        for error in record.errors:
            sys.stderr.write(f"error: {clean(record.label)}: {error.message}\n" + (f"       {error.hint}\n" if error.hint else ""))
    if failed:
        raise typer.Exit(3 if len(failed) < of else exit_code_of("failed", [error.code for error in failed[0].errors]))
