"""What stands around a server: its TLS, whom it tells, the page's sign-in link, and how this machine's own client reaches it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dmc.client_settings import KnownServer
from dmc.clock import SystemClock
from dmc.config import UP_FILE
from dmc.files import RealDisk, write_durably
from dmc.server_settings import ServerSettings

if TYPE_CHECKING:
    from dmc.server.notices import Notified
    from dmc.server.tls import Tls
    from dmc.server.tokens import Tokens

UP_TOKEN = "up"  # noqa: S105 - the name of a token, not a token
PAGE_TOKEN = "page"  # noqa: S105 - the name of a token, not a token


def open_tls(settings: ServerSettings) -> "Tls | None":
    """The certificate of the settings, or the one made here, made now if need be; None without TLS. Raises BadSettings."""
    if settings.tls_certificate is not None and settings.tls_key is not None:
        from dmc.server.tls import given

        return given(settings.tls_certificate, settings.tls_key)
    if settings.tls == "self-made":
        from dmc.server.tls import self_made

        hosts = (settings.listen_on_address, *settings.allowed_hosts)
        return self_made(settings.data_folder, hosts, disk=RealDisk(), clock=SystemClock())
    return None


def notified_of(settings: ServerSettings) -> "Notified":
    """Who is told of finished items."""
    from dmc.items import Status
    from dmc.server.hook import Hook
    from dmc.server.notices import Notified
    from dmc.server.webhook import Webhook

    webhooks = [
        Webhook(url=each.url, secret_file=each.secret_file, statuses=frozenset(map(Status, each.events)), every_s=each.digest_minutes * 60)
        for each in settings.webhooks
    ]
    hook = settings.hook
    told = Hook(hook.command, frozenset(map(Status, hook.events)), hook.timeout_s) if hook.command else None
    return Notified(webhooks, told, settings.base_path)


def listening_url(settings: ServerSettings) -> str:
    """The address of the server of these settings, as this machine reaches it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.listen_on_address, settings.listen_on_address)  # noqa: S104 - compared
    return (
        f"{settings.scheme}://[{host}]:{settings.listen_on_port}"
        if ":" in host
        else f"{settings.scheme}://{host}:{settings.listen_on_port}"
    )


def page_link(tokens: "Tokens", url: str, base_path: str, name: str = PAGE_TOKEN) -> str:
    """A one-time sign-in link to the page, as the token `name`; the page's own is made if it is not there.

    The cookie that it earns counts below `base_path` only.
    """
    if name == PAGE_TOKEN and all(token.name != PAGE_TOKEN for token in tokens.list()):
        tokens.create(PAGE_TOKEN, ("read", "write", "admin"))
    return f"{url}{base_path}/#sign-in={tokens.sign_in_code(name)}"


def nobody_signed_in_yet(tokens: "Tokens") -> bool:
    """Whether no admin has ever been here: then the server's start prints a link."""
    return not any("admin" in token.scopes and token.last_used_at for token in tokens.list())


def local_address(data: Path, tokens: "Tokens", url: str, fingerprint: str | None) -> KnownServer:
    """How the client of `dmc up` reaches its own server; written down in up.json for the other commands of this machine.

    Its token stands in a 0600 file and is made anew when that does not fit.
    """
    file = data / "up.token"
    known = any(token.name == UP_TOKEN for token in tokens.list())
    if not known or not file.is_file():
        if known:
            tokens.revoke(UP_TOKEN)
        secret = tokens.create(UP_TOKEN, ("read", "write", "admin"), client_id=os.uname().nodename)
        write_durably(RealDisk(), file, secret.encode())
    where = urlsplit(url)
    server = KnownServer(
        name="here",
        address=where.hostname or "",
        port=where.port or 0,
        token_file=file,
        tls=where.scheme == "https",
        fingerprint=fingerprint,
    )
    told = server.model_dump_json(include={"name", "address", "port", "token_file", "tls", "fingerprint"})
    write_durably(RealDisk(), data / UP_FILE, told.encode())
    return server
