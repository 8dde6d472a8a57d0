"""`dmc client run | sync | folder …`: the watched folders of this machine."""

import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dmc.cli import client_trash, pairing
from dmc.cli.render import DryRun, Json, Screen, screen_of

if TYPE_CHECKING:
    from dmc.client.scan import RootState
    from dmc.client_settings import ObservedPath

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The client: watches folders, brings results home.")
folder = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Watched folders.")
app.add_typer(folder, name="folder")
pairing.register(app)
client_trash.register(app)

Config = Annotated[Path | None, typer.Option("--config", "-c", help="Client settings file.", dir_okay=False)]
Where = Annotated[Path, typer.Argument(help="The folder.", file_okay=False)]


_UNIT = "dmc-client.service"
_STATES = {
    "present": "there",
    "empty": "empty",
    "away": "offline: not there",
    "strange": "offline: another folder stands there; if it is right: dmc client folder trust",
    "unsure": "there, made anew",
}


@app.command()
def run(context: typer.Context, config: Config = None) -> None:
    """Watch, send and fetch until SIGTERM or Ctrl-C. Example: dmc client run"""
    from dmc.cli.running import sync
    from dmc.config import load_client

    sync(load_client(config).settings, screen_of(context))


@app.command("sync")
def sync_once(
    context: typer.Context,
    config: Config = None,
    timeout: Annotated[float, typer.Option("--timeout", min=0, help="Give up after so many seconds.")] = 3600.0,
    as_json: Json = False,
) -> None:
    """Look once, send and fetch what is due, and end; what no server took stays queued. Example: dmc client sync"""
    from dmc.assemble.client import open_client, open_errand
    from dmc.cli.items import record_view
    from dmc.cli.running import stop_on_signals
    from dmc.config import load_client
    from dmc.errors import TimedOut
    from dmc.log import start_logging

    screen = screen_of(context)
    settings = load_client(config).settings
    start_logging("warning")
    with stop_on_signals() as stop, open_client(settings) as client:
        idle = client.run_until_idle(stop, timeout)
    with open_errand(settings, stop) as errand:
        records = errand.records()
    if as_json:
        screen.document("sync", {"idle": idle, "records": [record_view(record) for record in records]})
    left = sum(not record.status.is_done for record in records)
    if idle and left:
        screen.say(f"no server answers; {'1 file waits' if left == 1 else f'{left} files wait'} in the outbox.")
    if stop.is_set():
        raise KeyboardInterrupt
    if not idle:
        raise TimedOut(f"not everything was done within {timeout:g} s.", "It is all in the outbox; run it again.")


@app.command()
def trust(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The server's name in the settings, or its address and port.")],
    config: Config = None,
    dry_run: DryRun = False,
) -> None:
    """Accept that another dmc answers at a known address, e.g. after a new installation. Example: dmc client trust nas"""
    from dmc.assemble.client import forget_server
    from dmc.config import load_client
    from dmc.errors import NotFound

    screen = screen_of(context)
    settings = load_client(config).settings
    if all(server.label != name for server in settings.list_of_servers):
        raise NotFound(f"there is no server {name!r} in the settings.", "See them with: dmc config show")
    if not dry_run:
        forget_server(settings, name)
    screen.say(
        f"{'would accept' if dry_run else 'the client accepts'} whichever dmc answers as {name} next. A running client wants a restart."
    )


@folder.command("add")
def folder_add(
    context: typer.Context,
    path: Where,
    to: Annotated[list[str] | None, typer.Option("--to", "-t", help="Conversion type for its medium; may be given per medium.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where results go; default: `converted` inside.")] = None,
    only_new: Annotated[
        bool | None,
        typer.Option("--only-new/--all", help="Leave alone, or convert, what is there already; default: asks."),
    ] = None,
    sidecars: Annotated[
        bool, typer.Option("--sidecars/--no-sidecars", help="Copy what belongs to a file by its name, e.g. film.srt, beside its result.")
    ] = True,
    require_mount: Annotated[
        bool,
        typer.Option("--require-mount", help="As a service, start only while its share is mounted; default: it is offline meanwhile."),
    ] = False,
    config: Config = None,
    dry_run: DryRun = False,
) -> None:
    """Watch a folder: writes it into client.toml. Example: dmc client folder add ~/Videos/inbox --to web"""
    from dmc.assemble.client import leave_existing
    from dmc.cli.settings_file import add_folder
    from dmc.config import load_client

    screen, here = screen_of(context), Path(os.path.abspath(path.expanduser()))
    if only_new is None:
        only_new = _ask_only_new(screen, here, config)
    required = _required_mounts(here, output) if require_mount else []
    add = partial(add_folder, config, path, to or [], output, only_new=only_new, sidecars=sidecars)
    words = add(dry_run=True)  # All that may be wrong with it is told first.
    if not dry_run:
        if only_new:
            # Before the settings say so: a client that starts in between would make the list itself, later.
            leave_existing(load_client(config if config and config.exists() else None).settings, here)
        words = add(dry_run=False)
        _follow_mounts(config, required)
    screen.say(words)


def _ask_only_new(screen: Screen, folder: Path, config: Path | None) -> bool:
    """The one question of adding a folder; nobody is asked, and all is converted, without a terminal or where nothing is yet."""
    from dmc.assemble.client import would_take
    from dmc.config import load_client

    if not sys.stdin.isatty() or not folder.is_dir():
        return False
    there = len(would_take(load_client(config if config and config.exists() else None).settings, folder))
    if there == 0:
        return False
    screen.say(f"{'1 file is' if there == 1 else f'{there} files are'} here already.")
    return not typer.confirm("Convert what is here too? (no: only what comes from now on)", default=True, err=True)


def _required_mounts(folder: Path, output: Path | None) -> list[Path]:
    """The folders among these two that lie on a mount. Raises WrongStatus if none does, or nobody would look at it."""
    from dmc.cli.guards import mount_point
    from dmc.errors import WrongStatus

    if not _is_service():
        raise WrongStatus("the client is no service of systemd here, so nothing could require a mount.", "Install it first: install/client")
    places = [folder] if output is None else [folder, Path(os.path.abspath(output.expanduser()))]
    found = [place for place in places if mount_point(place) != Path("/")]
    if not found:
        raise WrongStatus(f"{folder} lies on no mount of its own now.", "Mount its share first, or leave out --require-mount.")
    return found


def _is_service() -> bool:
    from dmc.cli.guards import EVERYBODYS_UNITS
    from dmc.homes import user_units

    return any((units / _UNIT).exists() for units in (user_units(), EVERYBODYS_UNITS))


def _follow_mounts(config: Path | None, require: Sequence[Path] = ()) -> None:
    """Where the client is a service of systemd: let it start after the mounts of its folders, and only with those it requires."""
    from dmc.cli.guards import drop_in, follow
    from dmc.config import load_client
    from dmc.homes import user_units

    if _is_service():
        observed = load_client(config).settings.list_of_paths_to_observe
        folders = [place for one in observed for place in (one.path, one.output_folder) if place is not None]
        follow(drop_in(user_units(), _UNIT), folders, require)


@folder.command("list")
def folder_list(context: typer.Context, config: Config = None, as_json: Json = False) -> None:
    """List watched folders and how they stand. Example: dmc client folder list"""
    from dmc.assemble.client import folder_states
    from dmc.config import load_client

    screen = screen_of(context)
    settings = load_client(config).settings
    observed, states = settings.list_of_paths_to_observe, folder_states(settings)
    if as_json:
        folders = [
            one.model_dump(mode="json") | {"state": states[one.path].value, "output_state": _output_state(one, states)} for one in observed
        ]
        screen.document("folders", {"folders": folders})
        return
    rows = [
        [
            str(one.path),
            ", ".join(f"{m}: {t}" for m, t in one.conversion_types.items() if m in one.observed_media_types),
            _stand(states[one.path].value, _output_state(one, states)),
        ]
        for one in observed
    ]
    screen.table(["FOLDER", "TO", "STATE"], rows)


def _output_state(observed: "ObservedPath", states: "Mapping[Path, RootState]") -> str | None:
    """How the output folder stands; None where it is a part of the watched one."""
    from dmc.client.model import OUTPUT_FOLDER

    state = states.get(observed.output_folder or observed.path / OUTPUT_FOLDER)
    return None if state is None else state.value


def _stand(state: str, output: str | None) -> str:
    return f"{_STATES[state]}; its output folder is {_STATES[output]}" if output in ("away", "strange") else _STATES[state]


@folder.command("trust")
def folder_trust(context: typer.Context, path: Where, config: Config = None, dry_run: DryRun = False) -> None:
    """Accept that another folder stands where a watched one was, e.g. a new disk. Example: dmc client folder trust /mnt/usb"""
    from dmc.assemble.client import trust_folder
    from dmc.config import load_client

    screen, here = screen_of(context), Path(os.path.abspath(path))
    settings = load_client(config).settings
    if not dry_run:
        trust_folder(settings, here)
    screen.say(f"{'would take' if dry_run else 'the client takes'} what stands at {here} for the folder of its settings, at its next look.")


@folder.command("test")
def folder_test(context: typer.Context, path: Where, config: Config = None, as_json: Json = False) -> None:
    """Say which files of a folder would be taken, and as what; touches nothing. Example: dmc client folder test ~/Videos"""
    from dmc.assemble.client import would_take
    from dmc.config import load_client

    screen = screen_of(context)
    taken = would_take(load_client(config).settings, path)
    if as_json:
        screen.document("folder_test", {"files": [{"file": name, "conversion_type": kind} for name, kind in taken]})
        return
    for name, kind in taken:
        screen.data(f"{kind}\t{name}")
    screen.say(f"{len(taken)} files would be taken.")


@folder.command("remove")
def folder_remove(context: typer.Context, path: Where, config: Config = None, dry_run: DryRun = False) -> None:
    """Watch a folder no longer; its files and results stay. Example: dmc client folder remove ~/Videos/inbox"""
    from dmc.cli.settings_file import remove_folder

    screen_of(context).say(remove_folder(config, path, dry_run=dry_run))
    if not dry_run:
        _follow_mounts(config)
