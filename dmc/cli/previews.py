"""`dmc broker previews`: posters, sprites and waveforms of items that have none."""

from typing import Annotated

import typer

from dmc.cli.broker import Config, Data
from dmc.cli.render import DryRun, Json, screen_of


def register(broker: typer.Typer) -> None:
    """Hang the command under `dmc broker`."""
    broker.command()(previews)


def previews(
    context: typer.Context,
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids, or their unique beginnings; none: all finished items that lack some.")
    ] = None,
    config: Config = None,
    data_folder: Data = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Make lost or missing posters, sprites and waveforms anew; results stay as they are. Example: dmc broker previews"""
    from dmc.assemble.previews import items_to_show, make_previews
    from dmc.config import load_server

    screen = screen_of(context)
    settings = load_server(config, {"data_folder": data_folder}).settings
    items = items_to_show(settings, ids or [])
    failed: dict[str, str] = {}

    def on_end(item_id: str, problem: str) -> None:
        if problem:
            failed[item_id] = problem
            screen.say(f"{item_id}: {problem}")

    if not dry_run:
        make_previews(settings, items, on_end)
    made = [] if dry_run else [item.item_id for item in items if item.item_id not in failed]
    if as_json:
        told = {"items": [item.item_id for item in items], "made": made, "failed": failed, "dry_run": dry_run}
        screen.document("previews", told)
    else:
        said = f"would make previews of {len(items)} items." if dry_run else f"made previews of {len(made)} of {len(items)} items."
        screen.say(said)
    raise typer.Exit(3 if failed else 0)
