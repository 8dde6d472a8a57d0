"""The operator's repairs of a data folder: rebuild, adopt, migrate. What writes a ledger anew wants neither server nor broker there."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmc.assemble.server import SERVER_LOCK, open_control, open_ledger, open_storage
from dmc.clock import SystemClock, rfc3339
from dmc.errors import NotFound, TornLedger, UnknownItem, UsageFault, WrongStatus
from dmc.files import RealDisk, make_home
from dmc.locks import ProcessLock
from dmc.quiet_hours import moment_of
from dmc.server_settings import ServerSettings

if TYPE_CHECKING:
    from dmc.broker.rebuild import Rebuilt
    from dmc.items import Item

INDEX = "index.json"
ODD = {"odd-snapshot", "degraded"}
"""What `verify` calls an index.json that its journal does not name."""


@contextmanager
def alone(settings: ServerSettings) -> Iterator[None]:
    """Neither server nor broker works on this data folder meanwhile. Raises Locked."""
    make_home(settings.data_folder)
    control = open_control(settings)
    hint = "Stop the server first; this command wants to be alone."
    with ProcessLock(settings.data_folder / SERVER_LOCK, timeout_s=1, holder_hint=hint).held():
        control.hold()
        try:
            yield
        finally:
            control.release()


def rebuild_ledger(settings: ServerSettings, *, dry_run: bool) -> "Rebuilt":
    """Make the ledger anew from tickets, places and outcomes; copies of the old files are kept. What is not finished is held."""
    from dmc.broker.rebuild import rebuild

    with alone(settings):
        found = rebuild(open_storage(settings), rfc3339(SystemClock().now()))
        if not dry_run:
            write_anew(settings, found.items)
        return found


def adopt_index(settings: ServerSettings, file: Path | None, *, dry_run: bool) -> "list[Item]":
    """Take what a person has looked at as the truth; returns the items that this concerns.

    An index that was edited or restored by hand (`file`, or the data folder's own where its journal names another) becomes the
    ledger, and copies of the old files are kept. Otherwise the items that a rebuild holds are let go, also beside a running server.
    """
    if file is None and not _is_odd(settings):
        from dmc.broker.rebuild import held_in, let_go

        with closing(open_ledger(settings, recover=False)) as ledger:
            return held_in(ledger) if dry_run else let_go(ledger)
    return _adopt_file(settings, file or settings.data_folder / INDEX, dry_run=dry_run)


def _is_odd(settings: ServerSettings) -> bool:
    """Whether index.json is there, and is not the one that the journal goes with."""
    if settings.ledger != "json":
        return False
    try:
        with closing(open_ledger(settings, recover=False)) as ledger:
            return not {finding.kind for finding in ledger.verify().findings}.isdisjoint(ODD)
    except TornLedger:
        return True


def _adopt_file(settings: ServerSettings, path: Path, *, dry_run: bool) -> "list[Item]":
    from dmc.broker.ledger_json import LedgerJson

    if settings.ledger != "json":
        raise WrongStatus("only the JSON ledger can be edited by hand.", "Change it first: dmc broker migrate-ledger --to json")
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise NotFound(f"cannot read {path}: {problem.strerror}.") from None
    with alone(settings):
        items = [item.model_copy(update={"held_since": None}) for item in LedgerJson.read_odd(content)]
        if not dry_run:
            write_anew(settings, items)
        return items


def write_anew(settings: ServerSettings, items: Any, *, after_seq: int = 0) -> None:
    """Let `items` be the whole ledger, of the kind that the settings name, with a sequence number above `after_seq`."""
    from dmc.broker.ledger_json import LedgerJson
    from dmc.broker.ledger_sqlite import LedgerSqlite

    if settings.ledger == "json":
        LedgerJson.write_anew(settings.data_folder, RealDisk(), items, after_seq=after_seq)
        return
    with closing(LedgerSqlite.open(settings.data_folder)) as ledger:
        ledger.write_anew(items, after_seq=after_seq)


def migrate_ledger(settings: ServerSettings, to: str, *, dry_run: bool) -> int:
    """Carry every record over to the other kind of ledger; returns their number. The old files get another name at the end."""
    from dmc.broker.ledger_json import LedgerJson
    from dmc.broker.ledger_sqlite import LedgerSqlite
    from dmc.broker.migrate import JSON_FILES, SQLITE_FILES, migrate, put_away

    data, disk = settings.data_folder, RealDisk()
    old_kind = "sqlite" if to == "json" else "json"
    with alone(settings):
        if not (data / (SQLITE_FILES if to == "json" else JSON_FILES)[0]).is_file():
            raise WrongStatus(f"there is no {old_kind} ledger in {data}.", "See what counts with: dmc config show")
        old = open_ledger(settings.model_copy(update={"ledger": old_kind}), recover=not dry_run)
        try:
            if dry_run:
                return sum(old.counts().values())
            if to == "json":
                number = migrate(old, lambda items, seq: LedgerJson.write_anew(data, disk, items, after_seq=seq))
            else:
                new = LedgerSqlite.open(data)
                number = migrate(old, lambda items, seq: new.write_anew(items, after_seq=seq))
                new.close()
        finally:
            old.close()
        put_away(data, disk, SQLITE_FILES if to == "json" else JSON_FILES)
        return number


def ask_broker(settings: ServerSettings, mode: str, until: str | None, *, dry_run: bool) -> str | None:
    """Ask the broker for a mode, until then; returns the end (RFC 3339). Raises UsageFault for what is no time to come."""
    clock = SystemClock()
    end = None if until is None else moment_of(until, clock.now(), settings.hours().zone)
    if not dry_run:
        open_control(settings).ask(mode, end)
    return None if end is None else rfc3339(end)


def in_trash(settings: ServerSettings) -> "list[Item]":
    """What lies in the trash, sorted by id."""
    from dmc.broker.recovery import every

    with closing(open_ledger(settings, recover=False)) as ledger:
        return [item for item in every(ledger) if item.trashed_at is not None]


def out_of_trash(settings: ServerSettings, prefixes: list[str], *, dry_run: bool) -> "list[Item]":
    """Restore items, named by unique beginnings of their ids; all names are checked before any is restored.

    Raises UnknownItem for one that is not in the trash, UsageFault for one that fits several.
    """
    from dmc.broker.wishes import restore
    from dmc.items import told_apart

    trashed = in_trash(settings)
    items = []
    for prefix in prefixes:
        fitting = [item for item in trashed if item.item_id.startswith(prefix)]
        if not fitting:
            raise UnknownItem(f"nothing in the trash has an id that starts with {prefix!r}.", "See: dmc broker trash list")
        if len(fitting) > 1:
            several = [(item.item_id, item.status.value, item.original_file_name) for item in fitting]
            raise UsageFault(f"{len(fitting)} ids in the trash start with {prefix!r}.", told_apart(several))
        items += fitting
    if dry_run:
        return items
    with closing(open_ledger(settings, recover=False)) as ledger:
        return [restore(ledger, item.item_id) for item in items]


def empty_trash(settings: ServerSettings, *, dry_run: bool) -> "list[Item]":
    """Leave the wish `delete` in all that lies in the trash; the broker, now or when it starts, does it."""
    from dmc.broker.wishes import wish
    from dmc.items import Wish

    items = [item for item in in_trash(settings) if item.wish is None]
    if not dry_run:
        with closing(open_ledger(settings, recover=False)) as ledger:
            for item in items:
                wish(ledger, item.item_id, Wish.DELETE)
    return items
