"""`dmc client pair`: from a code on the server's page to a server in `client.toml`."""

import ipaddress
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from dmc.cli.render import DryRun, Screen, screen_of

if TYPE_CHECKING:
    from dmc.client.pairing import Way

DEFAULT_PORT = 8770


def register(app: typer.Typer) -> None:
    """Add the command of this file to `dmc client`."""
    app.command()(pair)


def pair(
    context: typer.Context,
    address: Annotated[str, typer.Argument(help="The server: ADDRESS[:PORT][/PATH OF ITS PROXY], https:// before it insists on TLS.")],
    code: Annotated[str, typer.Argument(help="The code that the server's page shows.")],
    name: Annotated[str | None, typer.Option("--name", help="What this client calls the server; default: its address.")] = None,
    client: Annotated[str | None, typer.Option("--client", help="What the server calls this client; default: this machine's name.")] = None,
    fingerprint: Annotated[str | None, typer.Option("--fingerprint", help="The certificate it must show, as its page says.")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Client settings file.", dir_okay=False)] = None,
    dry_run: DryRun = False,
) -> None:
    """Get a token for a server with a code from its page, and write both down. Example: dmc client pair nas ABCDEFGH"""
    from dmc.assemble.client import keep_token, pair_over, way_to
    from dmc.cli.settings_file import add_server, check_new_server
    from dmc.client_settings import KnownServer
    from dmc.config import load_client
    from dmc.fingerprints import plain_fingerprint

    screen = screen_of(context)
    scheme, host, port, base = _where(address)
    wanted = None if fingerprint is None else plain_fingerprint(fingerprint)
    known = KnownServer(name=name or "", address=host, port=port, base_path=base)
    check_new_server(config, known)
    way = way_to(host, port, "https" if wanted else scheme, base)
    _decide(screen, way, wanted, host)
    if dry_run:
        screen.say(f"would trade the code at {way.url} for a token, and add the server {known.label}")
        return
    reply = pair_over(way, code, client or os.uname().nodename)
    token_file = keep_token(load_client(config).settings, known.label, reply.token)
    server = known.model_copy(update={"token_file": token_file, "tls": way.is_tls, "fingerprint": way.fingerprint})
    words = add_server(config, server)
    screen.say(f"paired as {reply.client_id} ({', '.join(reply.scopes)}); the token is in {token_file}\n{words}")


def _where(address: str) -> tuple[str | None, str, int, str]:
    """(scheme if one was named, host, port, base path); raises UsageFault."""
    from dmc.base_path import checked_base_path
    from dmc.errors import UsageFault

    text = address if "://" in address else f"//{address}"
    try:
        parts = urlsplit(text)
        host, port, base = parts.hostname, parts.port or DEFAULT_PORT, checked_base_path(parts.path)
    except ValueError:
        host, port, base, parts = None, 0, "", urlsplit("")
    if not host or parts.scheme not in ("", "http", "https"):
        raise UsageFault(f"{address!r} is no address of a server.", "It looks like nas, nas:8770 or https://nas.example:443.")
    return parts.scheme or None, host, port, base


def _decide(screen: Screen, way: "Way", wanted: str | None, host: str) -> None:
    """Whether to speak to who answers there; raises NotAllowed or UsageFault if not."""
    from dmc.errors import NotAllowed, UsageFault
    from dmc.fingerprints import shown_fingerprint

    if not way.is_tls:
        if not _is_loopback(host):
            screen.say(f"warning: {host} is reached without TLS: the token and files can be read on the way.")
        return
    if way.fingerprint is None or way.fingerprint == wanted:
        return
    shown = shown_fingerprint(way.fingerprint)
    if wanted is not None:
        raise NotAllowed(f"{host} shows another certificate: {shown}.", "Somebody may be in between. Nothing was sent.")
    if not sys.stdin.isatty():
        raise UsageFault(f"{host} shows a certificate that nobody vouches for: {shown}.", "If its page shows the same: add --fingerprint.")
    screen.say(f"{host} shows this certificate (SHA-256):\n  {shown}")
    if not typer.confirm("Does the server's page show the same?", err=True):
        raise NotAllowed("not paired: the certificate is another one.", "Nothing was sent.")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
