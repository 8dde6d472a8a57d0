"""`dmc server run | ping | token …`."""

from pathlib import Path
from typing import Annotated

import typer

from dmc.cli import server_folders
from dmc.cli.render import DryRun, Json, screen_of

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The server: takes files, gives results.")
token = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Tokens of clients and people.")
app.add_typer(token, name="token")
app.add_typer(server_folders.app, name="folder")

Config = Annotated[Path | None, typer.Option("--config", "-c", help="Settings file.", exists=True, dir_okay=False)]
Data = Annotated[Path | None, typer.Option("--data-folder", help="Where items and the ledger live.")]
Name = Annotated[str, typer.Argument(help="A name, e.g. that of the client.")]


@app.command()
def run(
    context: typer.Context,
    config: Config = None,
    data_folder: Data = None,
    address: Annotated[str | None, typer.Option("--address", help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0: any free one.")] = None,
    sign_in: Annotated[bool, typer.Option("--sign-in-link", help="Print a one-time link to the page.")] = False,
) -> None:
    """Run the server until SIGTERM or Ctrl-C. Example: dmc server run --config server.toml"""
    from dmc.cli.running import serve
    from dmc.config import load_server

    flags = {"data_folder": data_folder, "listen_on_address": address, "listen_on_port": port}
    serve(load_server(config, flags).settings, screen_of(context), with_link=sign_in)


@app.command()
def ping(
    context: typer.Context,
    url: Annotated[str | None, typer.Argument(help="Address, e.g. http://127.0.0.1:8770; default: that of the settings.")] = None,
    config: Config = None,
    fingerprint: Annotated[str | None, typer.Option("--fingerprint", help="The certificate it must show.")] = None,
    as_json: Json = False,
) -> None:
    """Ask a server who it is; exit code 7 if none answers. Example: dmc server ping http://nas:8770"""
    from dmc.assemble.client import ping_server
    from dmc.assemble.entry import listening_url, open_tls
    from dmc.config import load_server
    from dmc.fingerprints import plain_fingerprint

    screen = screen_of(context)
    if url is None:
        settings = load_server(config).settings
        url, tls = listening_url(settings), open_tls(settings)
        fingerprint = tls.fingerprint if tls else None
    identity = ping_server(url, plain_fingerprint(fingerprint) if fingerprint else None)
    if as_json:
        screen.document("ping", {"url": url, **identity.model_dump(exclude_none=True)})
        return
    screen.data(f"{url}: dmc {identity.instance}, {'accepting' if identity.accepting else 'not accepting now'}")


@token.command("create")
def token_create(
    context: typer.Context,
    name: Name,
    scopes: Annotated[str, typer.Option("--scopes", help="Comma-separated: read, write, admin.")] = "read,write",
    config: Config = None,
    data_folder: Data = None,
    link: Annotated[bool, typer.Option("--link", help="Print a link to the page that signs a browser in once, instead.")] = False,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Make a token and print it, this once. Example: dmc server token create laptop > laptop.token"""
    from dmc.assemble.entry import listening_url, page_link
    from dmc.assemble.server import open_tokens
    from dmc.config import load_server
    from dmc.errors import WrongStatus

    screen = screen_of(context)
    settings = load_server(config, {"data_folder": data_folder}).settings
    tokens = open_tokens(settings)
    wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    if dry_run:
        if any(known.name == name for known in tokens.list()):
            raise WrongStatus(f"there is a token called {name} already.", f"Revoke it first: dmc server token revoke {name}")
        screen.say(f"would make a token {name} with {', '.join(wanted)}")
        return
    secret = tokens.create(name, wanted)
    if link:
        secret = page_link(tokens, listening_url(settings), settings.base_path, name)
    if as_json:
        screen.document("token", {"name": name, "scopes": wanted, "token": secret})
    else:
        screen.data(secret)
    if link:
        screen.say(f"token {name}: this link signs a browser in, once, within 15 minutes.")
        return
    screen.say(f"token {name}: keep it in a file that only you can read; it is not shown again.")


@token.command("list")
def token_list(context: typer.Context, config: Config = None, data_folder: Data = None, as_json: Json = False) -> None:
    """List tokens, without their secrets. Example: dmc server token list"""
    from dmc.assemble.server import open_tokens
    from dmc.config import load_server

    screen = screen_of(context)
    known = open_tokens(load_server(config, {"data_folder": data_folder}).settings).list()
    if as_json:
        rows = [
            {
                "name": t.name,
                "client_id": t.client_id,
                "scopes": sorted(t.scopes),
                "created_at": t.created_at,
                "last_used_at": t.last_used_at,
            }
            for t in known
        ]
        screen.document("tokens", {"tokens": rows})
        return
    screen.table(
        ["NAME", "SCOPES", "CREATED", "LAST USED"],
        [[t.name, ",".join(sorted(t.scopes)), t.created_at, t.last_used_at or "-"] for t in known],
    )


@token.command("revoke")
def token_revoke(context: typer.Context, name: Name, config: Config = None, data_folder: Data = None, dry_run: DryRun = False) -> None:
    """Make a token invalid. Example: dmc server token revoke laptop"""
    from dmc.assemble.server import open_tokens
    from dmc.config import load_server
    from dmc.errors import NotFound

    screen = screen_of(context)
    tokens = open_tokens(load_server(config, {"data_folder": data_folder}).settings)
    if dry_run:
        if all(known.name != name for known in tokens.list()):
            raise NotFound(f"there is no token called {name}.")
        screen.say(f"would revoke the token {name}")
        return
    tokens.revoke(name)
    screen.say(f"token {name} is revoked.")
