"""`dmc client trash list | restore`: originals that were moved aside once their results were home."""

from pathlib import Path
from typing import Annotated

import typer

from dmc.cli.render import DryRun, Json, screen_of

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Originals in the trash of watched folders.")

Config = Annotated[Path | None, typer.Option("--config", "-c", help="Client settings file.", dir_okay=False)]


def register(client: typer.Typer) -> None:
    """Hang the group under `dmc client`."""
    client.add_typer(app, name="trash")


@app.command("list")
def list_originals(context: typer.Context, config: Config = None, as_json: Json = False) -> None:
    """List originals that dmc moved aside, and when each is deleted for good. Example: dmc client trash list"""
    from dmc.assemble.client_trash import originals_in_trash
    from dmc.config import load_client

    screen = screen_of(context)
    held = originals_in_trash(load_client(config).settings)
    if as_json:
        screen.document("client_trash", {"originals": [each.view() for each in held]})
        return
    views = [each.view() for each in held]
    rows = [[str(v["moved_at"]), "offline" if v["offline"] else str(v["deleted_at"] or "never"), str(v["file"])] for v in views]
    screen.table(["MOVED", "DELETED AT", "FILE"], rows)


@app.command()
def restore(
    context: typer.Context,
    paths: Annotated[list[Path] | None, typer.Argument(help="Where the originals were, or lie in the trash.", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that can be put back.")] = False,
    config: Config = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Put originals back to where they were; nothing is replaced. Example: dmc client trash restore ~/Videos/inbox/clip.mov"""
    from dmc.assemble.client_trash import choose, originals_in_trash, restore_original
    from dmc.config import load_client
    from dmc.errors import DmcError, UsageFault

    if bool(paths) == everything:
        raise UsageFault("name originals, or give --all; not both.", "See them with: dmc client trash list")
    screen = screen_of(context)
    settings = load_client(config).settings
    held = originals_in_trash(settings)
    done: list[dict[str, object]] = []
    failed: DmcError | None = None
    for each in held if everything else choose(held, paths or []):
        try:
            restore_original(settings, each, dry_run=dry_run)
        except DmcError as problem:
            if failed is not None:
                screen.say(f"not restored: {failed.message}")
            failed = problem  # The others come back all the same; the last one is told as the error.
            continue
        done.append(each.view())
        if not as_json:
            screen.say(f"{'would restore' if dry_run else 'restored'} {each.view()['file']}.")
    if as_json and failed is None:
        screen.document("client_trash_restore", {"restored": done, "dry_run": dry_run})
    if failed is not None:
        raise failed
