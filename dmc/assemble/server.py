"""Server and broker of one data folder, put together from settings.

Rooms are imported inside the functions, so that a command loads only what it needs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dmc.assemble.entry import notified_of, open_tls
from dmc.clock import SystemClock
from dmc.conversions import with_own_types
from dmc.errors import BadSettings
from dmc.files import RealDisk, make_home
from dmc.locks import ProcessLock
from dmc.mounts import network_kind
from dmc.server_settings import ServerSettings

if TYPE_CHECKING:
    from dmc.broker.admission import Admissions
    from dmc.broker.broker import Broker
    from dmc.broker.control import Control
    from dmc.broker.ledger import Ledger, LedgerReport
    from dmc.broker.storage_dirs import StorageDirs
    from dmc.broker.threads import ThreadIndex
    from dmc.convert.pool import WorkerPool
    from dmc.items import Item, ItemIds, Status
    from dmc.server.app import Server
    from dmc.server.tokens import Tokens

SERVER_LOCK = "server.lock"


@dataclass(frozen=True, slots=True)
class Parts:
    """What server, broker and the operator's commands share of one data folder."""

    data: Path
    disk: RealDisk
    clock: SystemClock
    ids: "ItemIds"
    ledger: "Ledger"
    storage: "StorageDirs"
    admissions: "Admissions"
    control: "Control"
    threads: "ThreadIndex"
    tokens: "Tokens"


@contextmanager
def open_parts(settings: ServerSettings, *, recover: bool) -> Iterator[Parts]:
    """Open a data folder. `recover`: as a process that stays; otherwise as a short command that takes no lock to read."""
    from dmc.broker.admission import Admissions
    from dmc.broker.control import Control
    from dmc.broker.ledger_timed import TimedLedger
    from dmc.broker.threads import ThreadIndex
    from dmc.items import ItemIds

    data, disk, clock = settings.data_folder, RealDisk(), SystemClock()
    storage = open_storage(settings)
    timed = TimedLedger(open_ledger(settings, recover=recover))
    ledger = timed.as_ledger()
    try:
        newest = ledger.newest_id()
        ids = ItemIds(newest)
        admissions = Admissions(ledger, storage, clock, ids)
        threads, control = ThreadIndex(data, disk, clock), Control(data, disk, clock, effort=timed.effort)
        yield Parts(data, disk, clock, ids, ledger, storage, admissions, control, threads, open_tokens(settings))
    finally:
        ledger.close()


def open_storage(settings: ServerSettings) -> "StorageDirs":
    """The item folders of a data folder, made if they are not there."""
    from dmc.broker.storage_dirs import StorageDirs

    make_home(settings.data_folder)
    network = "" if settings.network_data_folder else network_kind(settings.data_folder)
    storage = StorageDirs(settings.data_folder, RealDisk(), network=network)
    storage.prepare()
    return storage


def open_ledger(settings: ServerSettings, *, recover: bool) -> "Ledger":
    """The ledger of the kind that the settings name; raises BadSettings if the data folder has one of the other kind only."""
    from dmc.broker.ledger_json import INDEX_FILE, LedgerJson
    from dmc.broker.ledger_sqlite import INDEX_FILE as SQLITE_FILE
    from dmc.broker.ledger_sqlite import LedgerSqlite

    data = settings.data_folder
    mine, other = (SQLITE_FILE, INDEX_FILE) if settings.ledger == "sqlite" else (INDEX_FILE, SQLITE_FILE)
    if (data / other).exists() and not (data / mine).exists():
        raise BadSettings(
            f'ledger = "{settings.ledger}", but {data} holds {other}.', f"Carry it over: dmc broker migrate-ledger --to {settings.ledger}"
        )
    return LedgerSqlite.open(data, recover=recover) if settings.ledger == "sqlite" else LedgerJson.open(data, RealDisk(), recover=recover)


def list_items(
    settings: ServerSettings, status: "Status | None", client_id: str | None, after: str, limit: int
) -> "tuple[list[Item], dict[Status, int]]":
    """A page of items, and the counts. On a large ledger only what is asked for is read, if it stands ready to be read so."""
    if settings.ledger == "json":
        from dmc.broker.ledger_json import LedgerJson

        make_home(settings.data_folder)
        seen = LedgerJson.glance(settings.data_folder, RealDisk(), status, client_id, after, limit)
        if seen is not None:
            return seen
    with open_parts(settings, recover=False) as parts:
        return parts.ledger.select(status, client_id, after, limit), parts.ledger.counts()


def open_control(settings: ServerSettings) -> "Control":
    """The broker's mode and heartbeat."""
    from dmc.broker.control import Control

    make_home(settings.data_folder)
    return Control(settings.data_folder, RealDisk(), SystemClock())


def open_tokens(settings: ServerSettings) -> "Tokens":
    """The tokens of a data folder."""
    from dmc.server.tokens import Tokens

    make_home(settings.data_folder)
    return Tokens(settings.data_folder / "tokens.json", disk=RealDisk(), clock=SystemClock())


def build_broker(settings: ServerSettings, parts: Parts, pool: "WorkerPool") -> "Broker":
    """The broker of a data folder."""
    from dmc.assemble.workers import staffing
    from dmc.broker.broker import Broker, BrokerSettings
    from dmc.broker.retention import Rules

    bounds = BrokerSettings(
        disk_floor=settings.limits.disk_floor,
        retention=Rules(**settings.retention.model_dump()),
        quiet_hours=settings.hours(),
        staffing=staffing(settings.number_of_conversion_threads),
    )
    return Broker(parts.ledger, parts.storage, pool, parts.clock, parts.control, parts.threads, bounds)


def build_server(settings: ServerSettings, parts: Parts) -> "Server":
    """The server of a data folder."""
    from dmc.server.app import Server, ServerLimits
    from dmc.server.identity import load_instance_id

    bounds = settings.limits
    limits = ServerLimits(
        max_file_size=bounds.max_file_size,
        disk_floor_bytes=bounds.disk_floor,
        idle_timeout_s=bounds.upload_idle_s,
        expiry_s=bounds.upload_expiry_h * 3600,
        max_open_uploads_per_client=bounds.max_open_uploads_per_client,
        media_types=tuple(settings.list_of_supported_media_types),
        allowed_hosts=settings.allowed_hosts,
        trusted_proxies=settings.trusted_proxies,
        base_path=settings.base_path,
        requests_per_minute=bounds.requests_per_minute,
        failed_sign_ins_per_minute=bounds.failed_sign_ins_per_minute,
        max_bytes_per_client=bounds.max_bytes_per_client,
        max_bytes_total=bounds.max_bytes_total,
        trash_days=settings.retention.trash_days,
        conversions=with_own_types(settings.conversion_types),
    )
    return Server(
        data=parts.data,
        ledger=parts.ledger,
        storage=parts.storage,
        admissions=parts.admissions,
        tokens=parts.tokens,
        threads=parts.threads,
        control=parts.control,
        clock=parts.clock,
        disk=parts.disk,
        limits=limits,
        instance_id=load_instance_id(parts.data, parts.disk),
        tls=open_tls(settings),
        notified=notified_of(settings),
    )


def server_lock(settings: ServerSettings) -> ProcessLock:
    """Held by the one server of a data folder: two would both go on with the same uploads."""
    make_home(settings.data_folder)
    return ProcessLock(settings.data_folder / SERVER_LOCK, timeout_s=5, holder_hint="Another dmc server works on this data folder.")


def verify_data(parts: Parts, *, digests: bool) -> "LedgerReport":
    """Check index, journal, folders and, if asked, every digest."""
    from dmc.broker.verify import verify

    return verify(parts.ledger, parts.storage, digests=digests)
