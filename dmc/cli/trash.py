"""`dmc broker trash list | restore | empty`: what was deleted lately, on the machine where it lies."""

from typing import Annotated

import typer

from dmc.cli.broker import Config, Data
from dmc.cli.render import DryRun, Json, screen_of

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What was deleted lately, and can come back.")


def register(broker: typer.Typer) -> None:
    """Hang the group under `dmc broker`."""
    broker.add_typer(app, name="trash")


@app.command("list")
def list_items(context: typer.Context, config: Config = None, data_folder: Data = None, as_json: Json = False) -> None:
    """List what lies in the trash, the oldest item first. Example: dmc broker trash list"""
    from dmc.assemble.operators import in_trash
    from dmc.config import load_server

    screen = screen_of(context)
    items = in_trash(load_server(config, {"data_folder": data_folder}).settings)
    if as_json:
        screen.document("trash", {"items": [item.model_dump(mode="json", exclude_none=True) for item in items]})
        return
    rows = [[item.item_id, item.trashed_at or "", item.client_id, item.original_file_name] for item in items]
    screen.table(["ID", "DELETED", "CLIENT", "FILE"], rows)


@app.command()
def restore(
    context: typer.Context,
    ids: Annotated[list[str], typer.Argument(help="Ids, or their unique beginnings.")],
    config: Config = None,
    data_folder: Data = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Take items out of the trash. Example: dmc broker trash restore 0197e0"""
    from dmc.assemble.operators import out_of_trash
    from dmc.config import load_server

    screen = screen_of(context)
    items = out_of_trash(load_server(config, {"data_folder": data_folder}).settings, ids, dry_run=dry_run)
    if as_json:
        screen.document("trash_restore", {"restored": [item.item_id for item in items], "dry_run": dry_run})
        return
    for item in items:
        screen.say(f"{'would restore' if dry_run else 'restored'} {item.original_file_name} ({item.item_id}).")


@app.command()
def empty(context: typer.Context, config: Config = None, data_folder: Data = None, as_json: Json = False, dry_run: DryRun = False) -> None:
    """Delete for good what lies in the trash; the broker does it. Example: dmc broker trash empty"""
    from dmc.assemble.operators import empty_trash
    from dmc.config import load_server

    screen = screen_of(context)
    items = empty_trash(load_server(config, {"data_folder": data_folder}).settings, dry_run=dry_run)
    if as_json:
        screen.document("trash_empty", {"deleted": [item.item_id for item in items], "dry_run": dry_run})
        return
    screen.say(f"{'would delete' if dry_run else 'deleted'} {len(items)} items for good.")
