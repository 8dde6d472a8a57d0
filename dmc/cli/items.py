"""`dmc status | download | cancel | retry | receipt`: the items of this client, wherever they are now."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dmc.cli.complete import item_ids
from dmc.cli.render import DryRun, Json, bytes_text, clean, screen_of, short_ids, waiting_text

if TYPE_CHECKING:
    from dmc.client.errand import Errand
    from dmc.client.records import OutboxRecord
    from dmc.protocol import ItemView

Config = Annotated[Path | None, typer.Option("--config", "-c", help="Client settings file.", exists=True, dir_okay=False)]
Ids = Annotated[
    list[str],
    typer.Argument(help="Item ids, or unique beginnings of them; - reads them from stdin.", metavar="ID...", autocompletion=item_ids),
]
SomeIds = Annotated[
    list[str] | None, typer.Argument(help="Item ids, or unique beginnings of them.", metavar="[ID]...", autocompletion=item_ids)
]
OneId = Annotated[str, typer.Argument(metavar="ID", help="Item id, or a unique beginning.", autocompletion=item_ids)]
_NOTE = 24
"""Columns up to which a note stands in its row on a terminal; a longer one stands below it."""


def register(app: typer.Typer) -> None:
    """Add the commands of this file to the front door."""
    for command in (status, download, cancel, retry, receipt):
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
        "reason": record.reason or record.flaw,
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


def _offline(config: Path | None) -> list[str]:
    """Watched folders and output folders that are not there, or have another folder in their place."""
    from dmc.assemble.client import folder_states
    from dmc.config import load_client

    states = folder_states(load_client(config).settings)
    return [os.fsencode(path).decode("utf-8", "backslashreplace") for path, state in states.items() if state.is_offline]


def status(
    context: typer.Context,
    ids: Annotated[
        list[str] | None, typer.Argument(help="Item ids, or unique beginnings of them.", metavar="[ID]...", autocompletion=item_ids)
    ] = None,
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
            if errand.is_stopped:
                raise typer.Exit(130)
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
    shown = short_ids([record.item_id or record.id for record in found])
    rows = [_row(record, live_views.get(record.item_id or ""), shown) for record in found]
    below = {n: [row.pop()] for n, row in enumerate(rows) if sys.stdout.isatty() and len(row[-1]) > _NOTE}
    screen.table(["ITEM", "STATUS", "TO", "SIZE", "NAME", "NOTE"], [row if len(row) == 6 else [*row, ""] for row in rows], below)
    for server, why in waiting.items():
        screen.say(waiting_text(why.message, why.until, server))


def _row(record: "OutboxRecord", live: "ItemView | None", shown: dict[str, str]) -> list[str]:
    note = record.reason or record.flaw or (record.errors[-1].message if record.errors else "")
    if live and live.progress:
        note = f"{live.progress.fraction:.0%}"
    elif live and live.queue_position is not None:
        note = f"number {live.queue_position} in the queue"
    return [
        shown[record.item_id or record.id],
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
    name = record.item_id or record.id
    return "  ".join(clean(cell) for cell in _row(record, live, short_ids([name])) if cell)


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
        for one in _named(ids):
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


def _named(ids: list[str]) -> list[str]:
    """The ids as given; `-` stands for those on stdin, one per line."""
    from_stdin = [word.split()[0] for word in sys.stdin if word.strip()] if "-" in ids else []
    return [one for each in ids for one in (from_stdin if each == "-" else [each])]


def _wish(context: typer.Context, verb: str, ids: list[str], config: Path | None, dry_run: bool) -> None:

    screen = screen_of(context)
    with _errand(config) as errand:
        for one in _named(ids):
            record = errand.find(one)
            if dry_run:
                screen.say(f"would {verb} {record.label}")
                continue
            screen.say(errand.cancel(record) if verb == "cancel" else errand.retry(record))


def receipt(
    context: typer.Context,
    one: OneId,
    config: Config = None,
    as_json: Json = False,
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
