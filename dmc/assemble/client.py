"""The client, its outbox and its ways to servers, put together from settings."""

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmc.client_settings import ClientSettings, KnownServer
from dmc.clock import SystemClock
from dmc.config import known_servers
from dmc.conversions import guess_media_type
from dmc.errors import BadSettings, NotFound
from dmc.files import RealDisk, make_home, safe_name, write_durably

GLANCE_BYTES = 20_000_000
"""An outbox up to this size is read within a moment."""

if TYPE_CHECKING:
    from dmc.client.errand import Errand
    from dmc.client.model import ServerAddress
    from dmc.client.outbox import Outbox
    from dmc.client.pairing import Way
    from dmc.client.records import OutboxRecord
    from dmc.client.scan import RootState
    from dmc.client.survey import Survey
    from dmc.client.sync import Sync
    from dmc.client.transport import Transport
    from dmc.pairing import PairReply
    from dmc.protocol import Identity


def open_outbox(settings: ClientSettings, *, recover: bool = False) -> "Outbox":
    """The client's item database; without `recover` as a short command beside a running client."""
    from dmc.client.outbox_journal import JournalOutbox

    make_home(settings.state_folder)
    return JournalOutbox.open(settings.state_folder / "outbox.json", RealDisk(), recover=recover)


def newest_records(settings: ClientSettings, most: int) -> "list[OutboxRecord]":
    """The newest records of the outbox, from its file alone; none where it is so large that reading it takes long."""
    file = settings.state_folder / "outbox.json"
    if not file.is_file() or file.stat().st_size > GLANCE_BYTES:
        return []
    with closing(open_outbox(settings)) as outbox:
        return [record for known in sorted(outbox.ids())[-most:] if (record := outbox.get(known)) is not None]


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


def ways_to(servers: Iterable[KnownServer]) -> "list[tuple[ServerAddress, Transport]]":
    """The ways to servers, in their order; raises BadSettings when a token file cannot be read."""
    from dmc.client.model import ServerAddress
    from dmc.client.transport_http import HttpTransport

    addresses = [
        ServerAddress(
            name=server.label,
            url=server.url,
            token=_token(server),
            media_types=frozenset(server.list_of_supported_media_types),
            conversion_types=None if server.conversion_types is None else frozenset(server.conversion_types),
            fingerprint=server.fingerprint,
            ca_file=server.ca_file,
        )
        for server in servers
    ]
    return [(address, HttpTransport(address)) for address in addresses]


@contextmanager
def open_errand(settings: ClientSettings, stop: threading.Event) -> "Iterator[Errand]":
    """What one command has to do with this client's items."""
    from dmc.client.errand import Errand

    errand = Errand(
        state=settings.state_folder,
        outbox=open_outbox(settings),
        servers=ways_to(known_servers(settings)),
        disk=RealDisk(),
        clock=SystemClock(),
        stop=stop,
    )
    try:
        yield errand
    finally:
        errand.close()


@contextmanager
def open_client(settings: ClientSettings) -> "Iterator[Sync]":
    """The client with its watcher, ready to run."""
    from dmc.client.crew import ThreadCrew
    from dmc.client.model import ObservedPath, Timing
    from dmc.client.ownership import base_of, ownership
    from dmc.client.sync import Sync
    from dmc.client.watch import Watcher

    observed = [
        ObservedPath(
            path=path.path,
            media_types=frozenset(path.observed_media_types),
            conversion_types=path.conversion_types,
            output=path.output_folder,
            patterns=path.ignore,
            originals=path.originals,
            trash_days=path.trash_days,
            sidecars=path.sidecars,
            leave_existing=path.existing == "leave",
            ownership=ownership(path.results_owner, path.results_group, path.results_umask, base_of(path.path, path.output_folder)),
        )
        for path in settings.list_of_paths_to_observe
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
        servers=ways_to(settings.list_of_servers),
        outbox=open_outbox(settings, recover=True),
        disk=RealDisk(),
        clock=SystemClock(),
        crew=ThreadCrew(),
        watcher=Watcher(SystemClock()),
        timing=timing,
    )


def forget_server(settings: ClientSettings, name: str) -> None:
    """Let whichever dmc answers as `name` next be the one that this client knows by it."""
    from dmc.client.pins import FILE_NAME, Pins

    Pins(settings.state_folder / FILE_NAME, RealDisk()).forget(name)


def folder_states(settings: ClientSettings) -> "dict[Path, RootState]":
    """How each watched folder stands now, and each output folder outside of them; writes nothing."""
    from dmc.client.marker import FILE_NAME, Marks
    from dmc.client.model import OUTPUT_FOLDER, apart

    marks, observed = Marks(settings.state_folder / FILE_NAME, RealDisk()), settings.list_of_paths_to_observe
    places = [(one.output_folder or one.path / OUTPUT_FOLDER, apart(one.path, one.output_folder) is not None) for one in observed]
    # One inside the watched folder is told only where another disk belongs there, and is not there.
    states = {place: (marks.peek_home(place, apart=outside), outside) for place, outside in places}
    outputs = {place: state for place, (state, outside) in states.items() if outside or state.is_offline}
    return outputs | {one.path: marks.peek(one.path) for one in observed}


def trust_folder(settings: ClientSettings, folder: Path) -> None:
    """Let whatever stands at the place of a watched folder, or of an output folder, be the one that this client knows by it."""
    from dmc.client.marker import FILE_NAME, Marks

    Marks(settings.state_folder / FILE_NAME, RealDisk()).forget(folder)


def leave_existing(settings: ClientSettings, folder: Path) -> int:
    """List what lies in a folder now, for the client to leave alone; returns how many files that are."""
    from dmc.client.ignore import IgnoreRules
    from dmc.client.left import Left
    from dmc.client.scan import walk

    make_home(settings.state_folder)
    return Left(settings.state_folder, folder, RealDisk()).make(walk(folder, IgnoreRules(())))


def would_take(settings: ClientSettings, folder: Path) -> list[tuple[str, str]]:
    """(file, conversion type) of all in `folder` that the client would take were it observed; touches nothing."""
    from dmc.client.ignore import IgnoreRules
    from dmc.client.left import Left
    from dmc.client.scan import Found, walk
    from dmc.client_settings import ObservedPath

    folder = Path(os.path.abspath(folder))
    observed = next((one for one in settings.list_of_paths_to_observe if one.path == folder), ObservedPath(path=folder))
    left = Left(settings.state_folder, folder, RealDisk()) if observed.existing == "leave" else None
    taken = []
    for found in walk(folder, IgnoreRules(observed.ignore), [observed.output_folder or folder / "converted"]):
        medium = guess_media_type(found.path) if isinstance(found, Found) else None
        if left is not None and isinstance(found, Found) and left.holds(found.path, found.signature):
            continue
        if medium in observed.observed_media_types:
            taken.append((os.fsencode(found.path).decode("utf-8", "backslashreplace"), observed.conversion_types[medium]))
    return taken


def way_to(host: str, port: int, scheme: str | None, base: str = "") -> "Way":
    """How a server that this client does not know yet is reached; raises ServerUnreachable."""
    from dmc.client.pairing import find_way

    return find_way(host, port, scheme, base)


def pair_over(way: "Way", code: str, client_name: str) -> "PairReply":
    """Trade a code for a token; raises SignInNeeded, ServerUnreachable."""
    from dmc.client.pairing import pair

    return pair(way, code, client_name)


def keep_token(settings: ClientSettings, name: str, token: str) -> Path:
    """Write a token into a file that only this user can read; returns where."""
    folder = settings.state_folder / "tokens"
    make_home(settings.state_folder)
    make_home(folder)
    file = folder / f"{safe_name(name)}.token"
    write_durably(RealDisk(), file, token.encode("ascii") + b"\n")
    return file


def ping_server(url: str, fingerprint: str | None = None) -> "Identity":
    """Ask a server who it is; raises ServerUnreachable."""
    from dmc.client.model import ServerAddress
    from dmc.client.transport_http import HttpTransport

    transport = HttpTransport(ServerAddress(name=url, url=url.rstrip("/"), fingerprint=fingerprint))
    try:
        return transport.reach()
    finally:
        transport.close()


def survey_servers(settings: ClientSettings) -> "list[Survey]":
    """How each server of the settings is reached now; raises BadSettings for a token file that cannot be read."""
    from dmc.client.survey import survey

    return [survey(address, SystemClock()) for address, _ in ways_to(known_servers(settings))]


def types_of(settings: ClientSettings, name: str) -> list[dict[str, Any]]:
    """The conversion types that a server tells, named as in the settings or by its address; raises NotFound, ServerUnreachable."""
    from dmc.client.transport_http import HttpTransport

    addresses = [address for address, _ in ways_to(known_servers(settings))]
    for address in addresses:
        if name.rstrip("/") in (address.name, address.url):
            with closing(HttpTransport(address)) as way:
                return way.types()
    known = ", ".join(address.name for address in addresses) or "none"
    raise NotFound(f"there is no server {name!r} in the client's settings.", f"Known are: {known}.")
