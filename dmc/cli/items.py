"""`dmc add | status | download | cancel | retry | receipt`: the items of this client, wherever they are now."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dmc.cli.options import End, Options, Start, parse_options
from dmc.cli.render import DryRun, Json, Screen, bytes_text, clean, screen_of, waiting_text

if TYPE_CHECKING:
    from dmc.client.errand import Errand
    from dmc.client.records import OutboxRecord
    from dmc.protocol import ItemView

Config = Annotated[Path | None, typer.Option("--config", "-c", help="Client settings file.", exists=True, dir_okay=False)]
Ids = Annotated[list[str], typer.Argument(help="Item ids, or unique beginnings of them.", metavar="ID...")]
SHORT_ID = 13
"""Characters of an id that are shown: its time of creation to the millisecond."""


def register(app: typer.Typer) -> None:
    """Add the commands of this file to the front door."""
    for command in (add, status, download, cancel, retry, receipt):
        app.command()(command)


@contextmanager
def _errand(config: Path | None) -> "Iterator[Errand]":
    """This command's business with the outbox and the servers; the first Ctrl-C ends waiting, not the items."""
    from dmc.assemble.client import open_errand
    from dmc.cli.running import stop_on_signals
    from dmc.config import load_client

    with stop_on_signals() as stop, open_errand(load_client(config).settings, stop) as errand:
        yield errand


def record_view(record: "OutboxRecord", live: "ItemView | None" = None) -> dict[str, Any]:
    """A record as `--json` shows it; `live` is what the server says now."""
    view: dict[str, Any] = {
        "id": record.id,
        "item_id": record.item_id,
        "status": str(live.status if live else record.status),
        "file": os.fsencode(record.path).decode("utf-8", "backslashreplace"),
        "file_size": record.size,
        "conversion_type": record.conversion_type,
        "server": record.server_name,
        "created_at": record.created_at,
        "outcome": record.outcome,
        "reason": record.reason,
        "errors": [error.model_dump() for error in record.errors],
        "result": record.result.model_dump() if record.result else None,
        "result_path": _result_path(record),
    }
    if live and live.progress:
        view["progress"] = live.progress.model_dump()
    if live and live.queue_position is not None:
        view["queue_position"] = live.queue_position
    return view


def _result_path(record: "OutboxRecord") -> str | None:
    from dmc.client.records import decode_path

    return os.fsencode(decode_path(record.result_path)).decode("utf-8", "backslashreplace") if record.result_path else None


def add(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Files.")],
    to: Annotated[str | None, typer.Option("--to", "-t", help="Conversion type; default: by medium.")] = None,
    options: Options = None,
    start: Start = None,
    end: End = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until converted; shows progress.")] = False,
    no_queue: Annotated[bool, typer.Option("--no-queue", help="Fail with 7 instead of queueing when no server answers.")] = False,
    config: Config = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Put files into the outbox and try to send them at once. Example: dmc add clip.mov --to web --wait"""
    from dmc.assemble.local import conversion_for

    screen = screen_of(context)
    chosen = [(file, to or conversion_for(file)) for file in files]
    wanted = parse_options(options, start, end)
    if dry_run:
        for file, kind in chosen:
            screen.say(f"would add {file} as {kind}")
        return
    with _errand(config) as errand:
        records = [errand.add(file, kind, wanted, no_queue=no_queue) for file, kind in chosen]
        running = errand.deliver([record.id for record in records], until_done=wait, tell=lambda record, live: _tell(screen, record, live))
        ended = [errand.look(record.id) for record in records]
    for record in ended:
        if as_json:
            screen.document("record", {"record": record_view(record)})
        else:
            screen.data(f"{record.id[:SHORT_ID]}  {record.status}  {clean(record.label)}")
    if not running and any(record.is_sendable for record in ended):
        screen.say("queued: no server took it yet and no client is running here. Send later with: dmc client sync")
    _end([record for record in ended if record.errors or record.status == "parked"], len(ended))


def _end(failed: "list[OutboxRecord]", of: int) -> None:
    """Exit 0 if nothing failed, 3 if some did, else with the code of the first error."""
    from dmc.cli.convert import exit_code_of

    for record in failed:
        for error in record.errors:
            sys.stderr.write(f"error: {clean(record.label)}: {error.message}\n" + (f"       {error.hint}\n" if error.hint else ""))
    if failed:
        raise typer.Exit(3 if len(failed) < of else exit_code_of("failed", [error.code for error in failed[0].errors]))


def _tell(screen: Screen, record: "OutboxRecord", live: "ItemView | None") -> None:
    share = f" {live.progress.fraction:.0%}" if live and live.progress else ""
    screen.say(f"{clean(record.label)}: {live.status if live else record.status}{share}")


def _offline(config: Path | None) -> list[str]:
    """Watched folders that are not there, or have another folder in their place."""
    from dmc.assemble.client import folder_states
    from dmc.config import load_client

    states = folder_states(load_client(config).settings)
    return [os.fsencode(path).decode("utf-8", "backslashreplace") for path, state in states.items() if state.is_offline]


def status(
    context: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(help="Item ids, or unique beginnings of them.", metavar="[ID]...")] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on showing changes until all are done or Ctrl-C.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show the items of this client, wherever they are now. Example: dmc status --watch"""

    screen = screen_of(context)
    with _errand(config) as errand:
        if watch:
            for record, live in errand.changes(ids or []):
                if as_json:
                    screen.document("record", {"record": record_view(record, live)})
                else:
                    screen.data(_line(record, live))
            return
        found = [errand.find(one) for one in ids] if ids else errand.records()
        live_views = errand.live(found)
        waiting = errand.waiting(found)
        for problem in errand.unreachable:
            screen.say(f"{problem}")
    offline = _offline(config)
    for folder in offline:
        screen.say(f"offline: {clean(folder)}; nothing is taken from it or put into it. See: dmc client folder list")
    if as_json:
        reasons = {server: why.model_dump() for server, why in waiting.items()}
        records = [record_view(r, live_views.get(r.item_id or "")) for r in found]
        screen.document("status", {"records": records, "offline_folders": offline, "waiting": reasons})
        return
    screen.table(["ITEM", "STATUS", "TO", "SIZE", "NAME", "NOTE"], [_row(r, live_views.get(r.item_id or "")) for r in found])
    for server, why in waiting.items():
        screen.say(waiting_text(why.message, why.until, server))


def _row(record: "OutboxRecord", live: "ItemView | None") -> list[str]:
    note = record.reason or (record.errors[-1].message if record.errors else "")
    if live and live.progress:
        note = f"{live.progress.fraction:.0%}"
    elif live and live.queue_position is not None:
        note = f"number {live.queue_position} in the queue"
    return [
        (record.item_id or record.id)[:SHORT_ID],
        _state(record, live),
        record.conversion_type,
        bytes_text(record.size),
        record.label,
        note,
    ]


def _state(record: "OutboxRecord", live: "ItemView | None") -> str:
    """The status for people: for what came home, how it ended says more than that it was acknowledged."""
    if record.status == "acknowledged" and record.outcome:
        return str(record.outcome)
    return str(live.status if live else record.status)


def _line(record: "OutboxRecord", live: "ItemView | None") -> str:
    return "  ".join(clean(cell) for cell in _row(record, live) if cell)


def download(
    context: typer.Context,
    ids: Ids,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder or file; default: the current folder.")] = None,
    config: Config = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Fetch results; resumes, and checks every byte. Example: dmc download 0192f0c4-11aa -o ~/Videos"""
    from dmc.errors import UsageFault

    screen = screen_of(context)
    if output is not None and len(ids) > 1 and not output.is_dir():
        raise UsageFault(f"{output} is no folder, and there is more than one result.", "Name a folder: -o FOLDER")
    with _errand(config) as errand:
        for one in ids:
            record = errand.find(one)
            if dry_run:
                screen.say(f"would download the result of {record.label}")
                continue
            target = errand.download(record, output or Path())
            if as_json:
                screen.document("download", {"item_id": record.item_id, "target": str(target)})
            else:
                screen.data(clean(str(target)))


def cancel(context: typer.Context, ids: Ids, config: Config = None, dry_run: DryRun = False) -> None:
    """Stop items; their originals stay. Example: dmc cancel 0192f0c4-11aa"""
    _wish(context, "cancel", ids, config, dry_run)


def retry(context: typer.Context, ids: Ids, config: Config = None, dry_run: DryRun = False) -> None:
    """Try failed items again. Example: dmc retry 0192f0c4-11aa"""
    _wish(context, "retry", ids, config, dry_run)


def _wish(context: typer.Context, verb: str, ids: list[str], config: Path | None, dry_run: bool) -> None:

    screen = screen_of(context)
    with _errand(config) as errand:
        for one in ids:
            record = errand.find(one)
            if dry_run:
                screen.say(f"would {verb} {record.label}")
                continue
            screen.say(errand.cancel(record) if verb == "cancel" else errand.retry(record))


def receipt(
    context: typer.Context, one: Annotated[str, typer.Argument(metavar="ID", help="Item id.")], config: Config = None, as_json: Json = False
) -> None:
    """Show what was kept, changed and lost, and how the result was verified. Example: dmc receipt 0192f0c4-11aa"""
    import json

    from dmc.assemble.local import receipt_lines

    screen = screen_of(context)
    with _errand(config) as errand:
        content = errand.receipt(errand.find(one))
    if as_json:
        screen.data(json.dumps(content, ensure_ascii=False))
        return
    for line in receipt_lines(content):
        screen.data(clean(line))
