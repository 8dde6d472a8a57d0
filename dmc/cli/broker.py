"""`dmc broker run | add | list | verify | pause | drain | resume`: the queue, on the machine where it lives."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dmc.cli.options import End, Options, Start, parse_options
from dmc.cli.render import DryRun, Json, bytes_text, screen_of, short_ids, waiting_text

if TYPE_CHECKING:
    from dmc.items import Item, Status

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The broker: moves items from to_do to finished.")

Config = Annotated[Path | None, typer.Option("--config", "-c", help="Server settings file.", exists=True, dir_okay=False)]
Data = Annotated[Path | None, typer.Option("--data-folder", help="Where items and the ledger live.")]


@app.command()
def run(context: typer.Context, config: Config = None, data_folder: Data = None) -> None:
    """Run the broker as a process of its own (settings: broker = "separate"). Example: dmc broker run"""
    from dmc.cli.running import work
    from dmc.config import load_server

    work(load_server(config, {"data_folder": data_folder}).settings, screen_of(context))


@app.command()
def add(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Files.")],
    to: Annotated[str | None, typer.Option("--to", "-t", help="Conversion type; default: by medium.")] = None,
    options: Options = None,
    start: Start = None,
    end: End = None,
    ignore_quota: Annotated[bool, typer.Option("--ignore-quota", help="Also beyond the bytes that the settings allow.")] = False,
    config: Config = None,
    data_folder: Data = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Admit files straight into the queue of this machine. Example: dmc broker add clip.mov --to h265"""
    from dmc.assemble.admitting import admit_file
    from dmc.assemble.local import conversion_for
    from dmc.assemble.server import open_parts
    from dmc.config import load_server
    from dmc.errors import NotFound

    screen = screen_of(context)
    settings = load_server(config, {"data_folder": data_folder}).settings
    for file in files:
        if not file.is_file():
            raise NotFound(f"there is no file {file}.", "Nothing was added." if file == files[0] else "")
    if dry_run:
        for file in files:
            screen.say(f"would add {file} as {to or conversion_for(file)}")
        return
    with open_parts(settings, recover=False) as parts:
        for file in files:
            kind = to or conversion_for(file)
            item = admit_file(parts, settings, file, kind, parse_options(options, start, end), ignore_quota=ignore_quota)
            if as_json:
                screen.document("item", {"item": item.model_dump(mode="json", exclude_none=True)})
            else:
                screen.data(item.item_id)


@app.command("list")
def list_items(
    context: typer.Context,
    status: Annotated[str | None, typer.Option("--status", help="to_do, in_progress, finished_successful or finished_with_errors.")] = None,
    client: Annotated[str | None, typer.Option("--client", help="Only items of this client.")] = None,
    after: Annotated[str, typer.Option("--after", help="Only items after this id, for paging.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=10000, help="At most so many.")] = 200,
    config: Config = None,
    data_folder: Data = None,
    as_json: Json = False,
) -> None:
    """List items in order of creation. Example: dmc broker list --status to_do"""
    from dmc.assemble.server import list_items as page_of
    from dmc.assemble.server import open_control
    from dmc.config import load_server

    screen = screen_of(context)
    settings = load_server(config, {"data_folder": data_folder}).settings
    items, counts = page_of(settings, _status(status), client, after, limit)
    waiting = open_control(settings).waiting()
    if as_json:
        rows = [item.model_dump(mode="json", exclude_none=True) for item in items]
        screen.document("items", {"items": rows, "counts": {str(key): number for key, number in counts.items()}, "waiting": waiting})
        return
    shown = short_ids([item.item_id for item in items])
    lines = [[shown[i.item_id], _standing(i), i.conversion_type, bytes_text(i.file_size), i.original_file_name] for i in items]
    screen.table(["ITEM", "STATUS", "TO", "SIZE", "NAME"], lines)
    screen.say(", ".join(f"{number} {key}" for key, number in counts.items()))
    if waiting is not None:
        screen.say(waiting_text(waiting["message"], waiting["until"]))


def _standing(item: "Item") -> str:
    return f"{item.status} (held)" if item.held_since else item.status


def _status(name: str | None) -> "Status | None":
    from dmc.conversions import did_you_mean
    from dmc.errors import UsageFault
    from dmc.items import Status

    if name is None:
        return None
    if name not in set(Status):
        raise UsageFault(f"there is no status {name!r}.", did_you_mean(name, set(Status)))
    return Status(name)


@app.command()
def verify(
    context: typer.Context,
    quick: Annotated[bool, typer.Option("--quick", help="Sizes only; do not read every byte again.")] = False,
    config: Config = None,
    data_folder: Data = None,
    as_json: Json = False,
) -> None:
    """Check index, journal, folders and digests; changes nothing; exit code 1 if something is wrong. Example: dmc broker verify"""
    from dmc.assemble.server import open_parts, verify_data
    from dmc.config import load_server

    screen = screen_of(context)
    with open_parts(load_server(config, {"data_folder": data_folder}).settings, recover=False) as parts:
        report = verify_data(parts, digests=not quick)
    if as_json:
        findings = [{"kind": f.kind, "item_id": f.item_id, "detail": f.detail} for f in report.findings]
        screen.document("verify", {"ok": not findings, "records": report.records, "seq": report.seq, "findings": findings})
    else:
        for finding in report.findings:
            screen.data(f"{finding.kind}  {finding.item_id}  {finding.detail}")
        screen.say(f"{report.records} items, {len(report.findings)} findings.")
    raise typer.Exit(1 if report.findings else 0)


Until = Annotated[str | None, typer.Option("--until", help="Go on by itself then: 07:00 (the next one) or RFC 3339.")]


@app.command()
def pause(
    context: typer.Context,
    until: Until = None,
    put_back: Annotated[bool, typer.Option("--put-back", help="Put running conversions back instead of freezing them.")] = False,
    config: Config = None,
    data_folder: Data = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Begin nothing new; what runs stands still and goes on later. Example: dmc broker pause --until 07:00"""
    _set_mode(context, "put-back" if put_back else "pause", config, data_folder, as_json, dry_run, until)


@app.command()
def drain(
    context: typer.Context,
    until: Until = None,
    config: Config = None,
    data_folder: Data = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Finish what is running, begin nothing new. Example: dmc broker drain"""
    _set_mode(context, "drain", config, data_folder, as_json, dry_run, until)


@app.command()
def resume(context: typer.Context, config: Config = None, data_folder: Data = None, as_json: Json = False, dry_run: DryRun = False) -> None:
    """Go on after pause or drain. Example: dmc broker resume"""
    _set_mode(context, "run", config, data_folder, as_json, dry_run)


def _set_mode(
    context: typer.Context, mode: str, config: Path | None, data_folder: Path | None, as_json: bool, dry_run: bool, until: str | None = None
) -> None:
    from dmc.assemble.operators import ask_broker
    from dmc.config import load_server

    screen = screen_of(context)
    end = ask_broker(load_server(config, {"data_folder": data_folder}).settings, mode, until, dry_run=dry_run)
    if as_json:
        screen.document("broker_mode", {"mode": mode, "until": end, "dry_run": dry_run})
        return
    screen.say(f"{'would set the broker to' if dry_run else 'the broker is asked to'} {mode}{f' until {end}' if end else ''}.")


@app.command()
def rebuild(
    context: typer.Context, config: Config = None, data_folder: Data = None, as_json: Json = False, dry_run: DryRun = False
) -> None:
    """Make a lost index anew from the item folders; the server must be off. Example: dmc broker rebuild --dry-run"""
    from dmc.assemble.operators import rebuild_ledger
    from dmc.config import load_server

    screen = screen_of(context)
    found = rebuild_ledger(load_server(config, {"data_folder": data_folder}).settings, dry_run=dry_run)
    unknown = [one.item_id for one in found.unknown]
    if as_json:
        screen.document("rebuild", {"items": len(found.items), "held": found.held, "unknown": unknown, "dry_run": dry_run})
        return
    screen.say(
        f"{'would rebuild' if dry_run else 'rebuilt'} the ledger with {len(found.items)} items; {len(unknown)} folders say too little."
    )
    if found.held:
        screen.say(f"{found.held} of them are not finished and wait: look with dmc broker list, then say dmc broker adopt")
    for item_id in unknown:
        screen.data(item_id)


@app.command()
def adopt(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="The index; default: that of the data folder, or what a rebuild holds.")] = None,
    config: Config = None,
    data_folder: Data = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Let go what a rebuild holds; or, with the server off, take an index that you edited or restored. Example: dmc broker adopt"""
    from dmc.assemble.operators import adopt_index
    from dmc.config import load_server

    screen = screen_of(context)
    items = adopt_index(load_server(config, {"data_folder": data_folder}).settings, file, dry_run=dry_run)
    if as_json:
        screen.document("adopt", {"items": len(items), "dry_run": dry_run})
        return
    screen.say(f"{'would adopt' if dry_run else 'adopted'} {len(items)} items.")


@app.command("migrate-ledger")
def migrate(
    context: typer.Context,
    to: Annotated[str, typer.Option("--to", help="json or sqlite.")],
    config: Config = None,
    data_folder: Data = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Carry all records over to the other kind of ledger; the server must be off. Example: dmc broker migrate-ledger --to sqlite"""
    from dmc.assemble.operators import migrate_ledger
    from dmc.config import load_server
    from dmc.errors import UsageFault

    screen = screen_of(context)
    if to not in ("json", "sqlite"):
        raise UsageFault(f"there is no kind of ledger called {to!r}.", "Take json or sqlite.")
    number = migrate_ledger(load_server(config, {"data_folder": data_folder}).settings, to, dry_run=dry_run)
    if as_json:
        screen.document("migrate_ledger", {"to": to, "items": number, "dry_run": dry_run})
        return
    screen.say(f'{"would carry over" if dry_run else "carried over"} {number} items. Settings must say: ledger = "{to}"')
