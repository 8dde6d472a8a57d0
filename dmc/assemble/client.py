"""The client, its outbox and its ways to servers, put together from settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dmc.clock import SystemClock
from dmc.config import ClientSettings, KnownServer
from dmc.errors import BadSettings
from dmc.files import RealDisk

if TYPE_CHECKING:
    from dmc.client.outbox import Outbox
    from dmc.client.sync import Sync
    from dmc.client.transport import Transport
    from dmc.protocol import Identity


def open_outbox(settings: ClientSettings, *, recover: bool = False) -> "Outbox":
    """The client's item database; without `recover` as a short command beside a running client."""
    from dmc.client.outbox_journal import JournalOutbox

    settings.state_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return JournalOutbox.open(settings.state_folder / "outbox.json", RealDisk(), recover=recover)


def transport_to(server: KnownServer) -> "Transport":
    """The way to a server of the settings; raises BadSettings when its token file cannot be read."""
    from dmc.client.model import ServerAddress
    from dmc.client.transport_http import HttpTransport

    return HttpTransport(ServerAddress(name=server.label, url=_url(server), token=_token(server)))


def _url(server: KnownServer) -> str:
    return f"http://[{server.address}]:{server.port}" if ":" in server.address else f"http://{server.address}:{server.port}"


def _token(server: KnownServer) -> str | None:
    if server.token_file is None:
        return None
    try:
        return server.token_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as problem:
        raise BadSettings(
            f"the token of server {server.label} cannot be read from {server.token_file}: {problem}.",
            "Make one on the server with: dmc server token create NAME",
        ) from None


@contextmanager
def open_client(settings: ClientSettings) -> "Iterator[Sync]":
    """The client with its watcher, ready to run."""
    from dmc.client.crew import ThreadCrew
    from dmc.client.model import ObservedPath, ServerAddress, Timing
    from dmc.client.sync import Sync
    from dmc.client.watch import Watcher

    observed = [
        ObservedPath(
            path=path.path,
            media_types=frozenset(path.observed_media_types),
            conversion_types=path.conversion_types,
            output=path.output_folder,
            patterns=path.ignore,
        )
        for path in settings.list_of_paths_to_observe
    ]
    servers = [
        (
            ServerAddress(
                name=server.label,
                url=_url(server),
                token=_token(server),
                media_types=frozenset(server.list_of_supported_media_types),
                conversion_types=None if server.conversion_types is None else frozenset(server.conversion_types),
            ),
            transport_to(server),
        )
        for server in settings.list_of_servers
    ]
    timing = Timing(
        rescan_s=settings.rescan_interval_s,
        settle_s=settings.settle_s,
        settle_polled_s=settings.settle_polled_s,
        empty_s=settings.settle_empty_s,
    )
    yield Sync(
        state=settings.state_folder,
        observed=observed,
        servers=servers,
        outbox=open_outbox(settings, recover=True),
        disk=RealDisk(),
        clock=SystemClock(),
        crew=ThreadCrew(),
        watcher=Watcher(SystemClock()),
        timing=timing,
    )


def ping_server(url: str) -> "Identity":
    """Ask a server who it is; raises ServerUnreachable."""
    from dmc.client.model import ServerAddress
    from dmc.client.transport_http import HttpTransport

    transport = HttpTransport(ServerAddress(name=url, url=url.rstrip("/")))
    try:
        return transport.reach()
    finally:
        transport.close()
