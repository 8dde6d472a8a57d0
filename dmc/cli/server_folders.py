"""`dmc server folder add | list | remove`: folders on other disks that the server's service needs."""

import os
from pathlib import Path
from typing import Annotated

import typer

from dmc.cli.render import DryRun, Json, screen_of

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Folders on other disks that the service needs and may write.")

UNITS = ("dmc-server.service", "dmc-broker.service")
"""Both, also where the broker works inside the server: it may work alone tomorrow."""
Where = Annotated[Path, typer.Argument(help="The folder.", file_okay=False)]
Units = Annotated[Path | None, typer.Option("--units", help="Folder of unit files; default: the system's, or yours.", file_okay=False)]


@app.command("add")
def add(context: typer.Context, path: Where, units: Units = None, dry_run: DryRun = False) -> None:
    """Let the service write into a folder, and run only while its disk is mounted. Example: dmc server folder add /mnt/big/dmc"""
    from dmc.cli.guards import drop_in, required
    from dmc.errors import NotFound, WrongStatus

    path = Path(os.path.abspath(path.expanduser()))
    if not path.is_dir():
        raise NotFound(f"there is no folder {path}.", "Mount its disk, or make it, first.")
    units = _units(units)
    before = required(drop_in(units, UNITS[0]))
    if path in before:
        raise WrongStatus(f"{path} is a folder of the service already.", "See: dmc server folder list")
    _store(context, units, (*before, path), f"the service may write into {path} and needs its mount", dry_run=dry_run)


@app.command("list")
def list_(context: typer.Context, units: Units = None, as_json: Json = False) -> None:
    """List the folders of the service. Example: dmc server folder list"""
    from dmc.cli.guards import drop_in, mount_point, required

    screen = screen_of(context)
    rows = [(str(path), str(mount_point(path)), path.is_dir()) for path in required(drop_in(_units(units), UNITS[0]))]
    if as_json:
        screen.document("server_folders", {"folders": [{"path": path, "mount": mount, "there": there} for path, mount, there in rows]})
        return
    screen.table(["FOLDER", "MOUNT", "STATE"], [[path, mount, "there" if there else "missing"] for path, mount, there in rows])


@app.command("remove")
def remove(context: typer.Context, path: Where, units: Units = None, dry_run: DryRun = False) -> None:
    """The service needs a folder no longer; nothing in it is touched. Example: dmc server folder remove /mnt/big/dmc"""
    from dmc.cli.guards import drop_in, required
    from dmc.errors import NotFound

    path = Path(os.path.abspath(path.expanduser()))
    units = _units(units)
    before = required(drop_in(units, UNITS[0]))
    if path not in before:
        raise NotFound(f"{path} is no folder of the service.", "See: dmc server folder list")
    _store(context, units, tuple(one for one in before if one != path), f"the service needs {path} no longer", dry_run=dry_run)


def _units(named: Path | None) -> Path:
    from dmc.cli.guards import SYSTEM_UNITS
    from dmc.homes import user_units

    return named or (SYSTEM_UNITS if os.geteuid() == 0 else user_units())


def _store(context: typer.Context, units: Path, folders: tuple[Path, ...], words: str, *, dry_run: bool) -> None:
    from dmc.cli.guards import drop_in, requiring, store
    from dmc.homes import user_units

    screen = screen_of(context)
    mine = user_units() == units
    for unit in UNITS:
        file = drop_in(units, unit)
        if dry_run:
            screen.say(f"would write {file}: {words}")
            continue
        known = file.read_text(encoding="utf-8") if file.exists() else ""
        store(file, requiring(folders, writable=not mine, known=known))
    if not dry_run:
        again = "systemctl --user" if mine else "systemctl"
        active = " ".join(UNITS if _separate_broker() else UNITS[:1])
        # Enabled anew: it also starts with its disks from now on.
        screen.say(f"{words} ({drop_in(units, UNITS[0])}). Now: {again} reenable {active} && {again} restart {active}")


def _separate_broker() -> bool:
    from dmc.config import load_server

    return load_server().settings.broker == "separate"
