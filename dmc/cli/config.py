"""`dmc config show | check | path`: what the settings are and where each one came from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dmc.cli.render import Json, screen_of

if TYPE_CHECKING:
    from dmc.config import Loaded

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Show and check settings.")

ServerFile = Annotated[Path | None, typer.Option("--server-config", help="Server settings file.", exists=True, dir_okay=False)]
ClientFile = Annotated[Path | None, typer.Option("--client-config", help="Client settings file.", exists=True, dir_okay=False)]
Origin = Annotated[bool, typer.Option("--origin", help="Say where each value came from.")]


def _load(server_file: Path | None, client_file: Path | None) -> "dict[str, Loaded[Any]]":
    from dmc.config import load_client, load_server

    return {"server": load_server(server_file), "client": load_client(client_file)}


@app.command()
def show(
    context: typer.Context, origin: Origin = False, as_json: Json = False, server_file: ServerFile = None, client_file: ClientFile = None
) -> None:
    """Print every setting that counts now. Example: dmc config show --origin"""
    screen = screen_of(context)
    loaded = _load(server_file, client_file)
    if as_json:
        content: dict[str, Any] = {kind: one.settings.model_dump(mode="json") for kind, one in loaded.items()}
        if origin:
            content["origins"] = {kind: dict(one.origins) for kind, one in loaded.items()}
        screen.document("config", content)
        return
    for kind, one in loaded.items():
        screen.data(f"[{kind}]" + (f"  # {one.file}" if one.file else ""))
        for key, value in _flat(one.settings.model_dump(mode="json")):
            came = next((one.origins[k] for k in one.origins if key == k or key.startswith((f"{k}.", f"{k}["))), "default")
            screen.data(f"{key} = {value}" + (f"  # {came}" if origin else ""))
        screen.data("")


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    import json

    found: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, dict) and value:
            found += _flat(value, f"{prefix}{key}.")
        else:
            found.append((prefix + key, json.dumps(value, ensure_ascii=False)))
    return found


@app.command()
def check(context: typer.Context, as_json: Json = False, server_file: ServerFile = None, client_file: ClientFile = None) -> None:
    """Read all settings and say whether they fit; exit code 2 if not. Example: dmc config check"""
    from dmc.client_settings import unknown_types

    screen = screen_of(context)
    loaded = _load(server_file, client_file)
    files = {kind: str(one.file) if one.file else None for kind, one in loaded.items()}
    doubts = unknown_types(loaded["client"].settings)
    if as_json:
        screen.document("config_check", {"ok": True, "files": files, "warnings": doubts})
        return
    for doubt in doubts:
        screen.say(f"warning: client: {doubt}")
    for kind, file in files.items():
        screen.data(f"{kind}: {file or 'no file, defaults'}: fits")


@app.command()
def path(context: typer.Context, as_json: Json = False) -> None:
    """Print where settings files are looked for, first one first. Example: dmc config path"""
    from dmc.config import find_file
    from dmc.homes import config_homes, state_home

    screen = screen_of(context)
    places = {kind: [str(home / f"{kind}.toml") for home in config_homes()] for kind in ("server", "client")}
    if as_json:
        found = {kind: str(find_file(kind) or "") or None for kind in places}
        screen.document("config_path", {"places": places, "found": found, "state": str(state_home())})
        return
    for kind, files in places.items():
        for file in files:
            counts = "  (this one counts)" if str(find_file(kind) or "") == file else ""
            screen.data(f"{file}{counts}")
