"""What `dmc doctor` looks at, first of all folders, disk and ledger.

Touches nothing but a temporary file in the folders it checks.
"""

import errno
import os
import pwd
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from dmc.cli import checks_machine as machine
from dmc.cli import checks_servers as servers
from dmc.cli.finding import Check
from dmc.client_settings import ClientSettings
from dmc.config import load_client, load_server
from dmc.errors import DmcError
from dmc.files import temp_name
from dmc.locks import ProcessLock
from dmc.mounts import is_polled, network_kind
from dmc.server_settings import ServerSettings


def examine(*, ask_servers: bool = True) -> list[Check]:
    """All checks for this machine and its settings. `ask_servers`: also how the servers of the client's settings are reached."""
    server, client = load_server().settings, load_client().settings
    closed = check_closed("data folder", server.data_folder)
    checks = [closed] if closed else [*check_data(server), *servers.check_certificate(server)]
    checks += [*check_folder("state folder", client.state_folder), servers.check_bind(server), *check_observed(client)]
    folders = sum(1 for observed in client.list_of_paths_to_observe for _ in os.walk(observed.path))
    homes = [client.state_folder] if closed else [server.data_folder, client.state_folder]
    checks += [machine.check_inotify(folders), machine.check_clock(homes), *machine.check_codecs()]
    checks += [*machine.check_sandbox(server.sandbox), *machine.check_services(separate_broker=server.broker == "separate")]
    checks += servers.check_tokens(server, client)
    return checks + list(servers.check_servers(client)) if ask_servers else checks


def check_data(server: ServerSettings) -> Iterator[Check]:
    """The server's data folder, its disk and its ledger."""
    yield from check_folder("data folder", server.data_folder, refused=not server.network_data_folder)
    yield check_space(server.data_folder, server.limits.disk_floor)
    yield check_ledger(server)


def check_closed(name: str, folder: Path) -> Check | None:
    """What stands for all about a folder that another user's service keeps to itself; None where this user may look into it."""
    for path in (folder, *folder.parents):
        try:
            owner = path.stat().st_uid
        except OSError:
            continue
        if owner in (0, os.geteuid()) or os.access(path, os.R_OK | os.X_OK):
            return None
        return Check(name, "ok", f"{folder} is closed to this user. Its own looks at it with: {_as_user(owner)} dmc doctor")
    return None


def _as_user(uid: int) -> str:
    try:
        return f"sudo -u {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"sudo -u '#{uid}'"


def check_folder(name: str, folder: Path, *, refused: bool = False) -> Iterator[Check]:
    """Whether a folder can be made, written and locked, and how its file system is. `refused`: dmc takes none on a network."""
    home = _nearest(folder)
    if any(path.exists() for path in (folder, *folder.parents) if path.is_relative_to(home) and path != home):
        yield Check(name, "bad", f"{folder} cannot be made: a file stands in its way.", "Name another folder in the settings.")
        return
    if not os.access(home, os.W_OK | os.X_OK):
        why = "Nothing can be taken in or handed out."
        yield Check(name, "bad", f"{home} cannot be written by this user.", f"sudo chown -R $(id -un) {shlex.quote(str(home))}", why)
        return
    yield Check(name, "ok", f"{folder} can be written.")
    yield from _check_owner(name, folder)
    yield _check_lock(f"{name} lock", home)
    yield check_kind(f"{name} mount", home, refused=refused)


def _check_owner(name: str, folder: Path) -> Iterator[Check]:
    """Whether the folder belongs to who runs this, and to nobody else."""
    if not folder.is_dir():
        return
    found, quoted = folder.stat(), shlex.quote(str(folder))
    if found.st_uid != os.geteuid():
        why = "A service of that user and this one would make files that the other cannot touch."
        # Never taken from a user who has a service: only what root left there by mistake.
        fix = f"{_as_user(found.st_uid)} dmc doctor" if found.st_uid else f"sudo chown -R $(id -un) {quoted}"
        yield Check(name, "warn", f"{folder} belongs to user {found.st_uid}, and this is user {os.geteuid()}.", fix, why)
    elif found.st_mode & 0o007:
        why = "It holds originals and tokens of people."
        yield Check(name, "warn", f"{folder} is open to every user of this machine.", f"chmod o-rwx {quoted}", why)


def check_kind(name: str, folder: Path, *, refused: bool = False) -> Check:
    """Whether a folder of dmc's own lies on a disk of this machine."""
    if refused and (kind := network_kind(folder)):
        why = "The server does not start: locks and durable writes are not to be relied on there."
        return Check(name, "bad", f"{folder} lies on a network file system ({kind}).", "Name a folder on a local disk.", why)
    if is_polled(folder):
        why = "Locks and durable writes are not to be relied on there: a lost connection could tear the ledger."
        return Check(name, "warn", f"{folder} lies on a network share or a FUSE file system.", "Name a folder on a local disk.", why)
    return Check(name, "ok", "it lies on a disk of this machine.")


def _nearest(folder: Path) -> Path:
    """The folder itself or the nearest parent that is there."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def _check_lock(name: str, folder: Path) -> Check:
    path = folder / f"{temp_name()}.lock"
    try:
        with ProcessLock(path, timeout_s=1).held():
            return Check(name, "ok", "locks work there.")
    except (DmcError, OSError) as problem:
        return Check(
            name, "bad", f"locks do not work there: {problem}.", "Put the folder on a local disk.", "Two processes could write at once."
        )
    finally:
        path.unlink(missing_ok=True)


def check_space(folder: Path, floor: int) -> Check:
    """Whether the disk is above its floor."""
    free = shutil.disk_usage(_nearest(folder)).free
    words = f"{free / 1e9:.1f} GB free, the floor is {floor / 1e9:.1f} GB."
    fix = "Free some space, or lower limits.disk_floor in server.toml."
    if free < floor:
        return Check("disk space", "bad", words, fix, "The server takes no files and begins no conversions until there is more.")
    if free < 2 * floor:
        return Check("disk space", "warn", words, fix, "It will soon stop to take files.")
    return Check("disk space", "ok", words)


JSON_ITEMS = 100_000
"""Items up to which the JSON ledger is made for; beyond, opening and folding it take seconds."""


def check_ledger(settings: ServerSettings) -> Check:
    """Whether the ledger can be read, and whether it is of the right kind for its size."""
    from dmc.assemble.server import open_ledger

    if not settings.data_folder.is_dir():
        return Check("ledger", "ok", "there is none yet.")
    try:
        ledger = open_ledger(settings, recover=False)
    except DmcError as problem:
        return Check("ledger", "bad", problem.message, problem.hint)
    try:
        items = sum(ledger.counts().values())
    finally:
        ledger.close()
    if settings.ledger == "json" and items > JSON_ITEMS:
        words = f"{items:,} items; from {JSON_ITEMS:,} on the SQLite ledger is better."
        return Check(
            "ledger",
            "warn",
            words,
            'Stop the server; dmc broker migrate-ledger --to sqlite; set ledger = "sqlite" in server.toml',
            "Every start and every fold of the journal takes seconds.",
        )
    return Check("ledger", "ok", f"{items:,} items in the {settings.ledger} ledger.")


def check_observed(settings: ClientSettings) -> Iterator[Check]:
    """Whether each observed folder is there and readable."""
    for observed in settings.list_of_paths_to_observe:
        name = f"folder {observed.path}"
        try:
            with os.scandir(observed.path) as entries:
                next(entries, None)
        except OSError as problem:
            words = {errno.ENOENT: "is not there", errno.EACCES: "cannot be read"}.get(problem.errno or 0, str(problem.strerror))
            fix = f"Mount or make it, or: dmc client folder remove {shlex.quote(str(observed.path))}"
            yield Check(name, "bad", f"it {words}.", fix, "Nothing is taken from it, and no result comes home to it.")
            continue
        if not os.access(observed.output_folder or observed.path, os.W_OK) and (observed.output_folder or observed.path).exists():
            place = observed.output_folder or observed.path
            fix = f"sudo setfacl -m u:$(id -un):rwx {shlex.quote(str(place))}"
            yield Check(name, "bad", f"{place} cannot be written by this user.", fix, "Results cannot come home to it.")
        elif is_polled(observed.path):
            yield Check(name, "ok", "it is there, on a share: files are found by looking every minute, not by events.")
        else:
            yield Check(name, "ok", "it is there.")
