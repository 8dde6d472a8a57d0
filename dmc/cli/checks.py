"""What `dmc doctor` looks at: each check is a name, a state (ok, warn, bad), a sentence, and what mends it.

Touches nothing but a temporary file in the folders it checks.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dmc.client_settings import ClientSettings
from dmc.config import load_client, load_server
from dmc.errors import DmcError
from dmc.files import temp_name
from dmc.locks import ProcessLock
from dmc.server_settings import ServerSettings

LOCAL_ADDRESSES = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "warn", "bad"]
    message: str
    fix: str = ""


def examine() -> list[Check]:
    """All checks for this machine and its settings."""
    from dmc.convert.sandbox import status

    server, client = load_server().settings, load_client().settings
    checks = [*check_folder("data folder", server.data_folder), *check_folder("state folder", client.state_folder)]
    checks += [check_space(server.data_folder, server.limits.disk_floor), check_bind(server), *check_observed(client)]
    folders = sum(1 for observed in client.list_of_paths_to_observe for _ in os.walk(observed.path))
    checks.append(check_inotify(folders))
    checks.append(check_ledger(server))
    walls = status(server.sandbox)
    checks.append(Check("sandbox", "ok" if walls.active else "warn", f"active: {', '.join(walls.active) or 'nothing'}."))
    checks += [Check("sandbox", "warn", f"missing: {part}.") for part in walls.missing]
    return checks


def check_folder(name: str, folder: Path) -> Iterator[Check]:
    """Whether a folder can be made, written and locked, and how its file system is."""
    home = _nearest(folder)
    if any(path.exists() for path in (folder, *folder.parents) if path.is_relative_to(home) and path != home):
        yield Check(name, "bad", f"{folder} cannot be made: a file stands in its way.", "Name another folder in the settings.")
        return
    if not os.access(home, os.W_OK | os.X_OK):
        yield Check(name, "bad", f"{home} cannot be written by this user.", f"sudo chown $(id -un) {home}")
        return
    yield Check(name, "ok", f"{folder} can be written.")
    yield _check_lock(f"{name} lock", home)


def _nearest(folder: Path) -> Path:
    """The folder itself or the nearest parent that is there."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def _check_lock(name: str, folder: Path) -> Check:
    path = folder / f"{temp_name()}.lock"
    try:
        with ProcessLock(path, timeout_s=1).held():
            return Check(name, "ok", "locks work there.")
    except (DmcError, OSError) as problem:
        return Check(name, "bad", f"locks do not work there: {problem}.", "Put the folder on a local disk.")
    finally:
        path.unlink(missing_ok=True)


def check_space(folder: Path, floor: int) -> Check:
    """Whether the disk is above its floor."""
    free = shutil.disk_usage(_nearest(folder)).free
    words = f"{free / 1e9:.1f} GB free, the floor is {floor / 1e9:.1f} GB."
    if free < floor:
        return Check("disk space", "bad", words, "Free some space, or lower limits.disk_floor in server.toml.")
    return Check("disk space", "ok" if free > 2 * floor else "warn", words)


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
            "ledger", "warn", words, 'Stop the server; dmc broker migrate-ledger --to sqlite; set ledger = "sqlite" in server.toml'
        )
    return Check("ledger", "ok", f"{items:,} items in the {settings.ledger} ledger.")


def check_inotify(folders: int) -> Check:
    """Whether the kernel lets the client watch that many folders."""
    path = Path("/proc/sys/fs/inotify/max_user_watches")
    try:
        most = int(path.read_text())
    except OSError:
        return Check("inotify", "warn", "this system does not tell its limit of watches; scans still find every file.")
    if most < folders:
        fix = f"echo fs.inotify.max_user_watches={max(folders * 2, 524288)} | sudo tee /etc/sysctl.d/60-dmc.conf && sudo sysctl --system"
        return Check("inotify", "warn", f"{most} watches for {folders} folders; scans still find every file, later.", fix)
    return Check("inotify", "ok", f"{most} watches are allowed.")


def check_observed(settings: ClientSettings) -> Iterator[Check]:
    """Whether each observed folder is there and readable."""
    for observed in settings.list_of_paths_to_observe:
        name = f"folder {observed.path}"
        try:
            with os.scandir(observed.path) as entries:
                next(entries, None)
        except OSError as problem:
            words = {errno.ENOENT: "is not there", errno.EACCES: "cannot be read"}.get(problem.errno or 0, str(problem.strerror))
            yield Check(name, "bad", f"it {words}.", f"Mount or make it, or: dmc client folder remove {observed.path}")
        else:
            yield Check(name, "ok", "it is there.")


def check_bind(settings: ServerSettings) -> Check:
    """Whether the server is open to more than this machine."""
    if settings.listen_on_address in LOCAL_ADDRESSES:
        return Check("address", "ok", f"the server listens on {settings.listen_on_address} only.")
    return Check(
        "address", "warn", f"the server listens on {settings.listen_on_address} without TLS.", "Put a proxy with TLS in front of it."
    )
