"""Backup and restore of a data folder, put together: which files go in, under which name it appears, what a restore builds."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import dmc
from dmc.assemble.operators import write_anew
from dmc.assemble.server import open_ledger, open_parts, open_storage
from dmc.clock import SystemClock, rfc3339
from dmc.errors import Conflict, NotFound, VerificationFailed, WrongStatus
from dmc.files import RealDisk, make_home, publish, temp_name, translate, write_loosely
from dmc.server_settings import ServerSettings

if TYPE_CHECKING:
    from dmc.broker.archive import ArchiveWriter, Manifest
    from dmc.broker.ledger import Finding
    from dmc.broker.restore import Restored

LAST_BACKUP = "backup.json"
"""In the data folder: when the last backup was made. `/metrics` tells it."""

_SECRETS = ("tokens.json", "tls/made.json", "tls/key.pem", "tls/certificate.pem")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What shall go into a backup. `settings_files`: by kind, `server` and `client`."""

    settings_files: Mapping[str, Path]
    with_media: bool = False
    with_secrets: bool = False


def make_backup(settings: ServerSettings, file: Path, wanted: Wanted) -> "Manifest":
    """Write a backup of the data folder to `file`, whole or not at all, readable by its owner only. Server and broker may work on.

    Raises Conflict if there is such a file, NotFound without a ledger, DiskFull, DiskFault.
    """
    check_target(settings, file)
    temp = file.with_name(temp_name())
    try:
        fd = os.open(temp, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as opened:
            manifest = _write(settings, opened, file.parent, wanted)
            opened.flush()
            os.fsync(fd)
        publish(RealDisk(), temp, file)
    except FileExistsError:
        raise _taken(file) from None
    except OSError as problem:
        raise translate(problem, f"writing {file}") from problem
    finally:
        temp.unlink(missing_ok=True)
    _note(settings, manifest)
    return manifest


def check_target(settings: ServerSettings, file: Path) -> None:
    """Raise Conflict for a file that is there, NotFound where there is no ledger or no folder for the file."""
    if not any((settings.data_folder / name).exists() for name in ("index.json", "index.sqlite")):
        raise NotFound(f"there is nothing to back up in {settings.data_folder}.", "See what counts with: dmc config show")
    if os.path.lexists(file):
        raise _taken(file)
    if not file.parent.is_dir():
        raise NotFound(f"there is no folder {file.parent}.", "Make it first.")


def _taken(file: Path) -> Conflict:
    return Conflict(f"{file} is there already, and no backup is ever replaced.", "Take another name.")


def _write(settings: ServerSettings, opened: IO[bytes], scratch: Path, wanted: Wanted) -> "Manifest":
    from dmc.broker.archive import SCHEMA, Manifest, writing
    from dmc.broker.backup import put_all

    clock = SystemClock()
    with (
        open_parts(settings, recover=False) as parts,
        writing(opened, clock.now().timestamp(), level=1 if wanted.with_media else 6) as archive,
    ):
        made_at = rfc3339(clock.now())
        put = put_all(parts.ledger, archive, scratch, parts.storage if wanted.with_media else None)
        _put_plain(settings, archive, wanted)
        manifest = Manifest(
            schema_number=SCHEMA,
            dmc_version=dmc.__version__,
            made_at=made_at,
            ledger=settings.ledger,
            ledger_seq=put.seq,
            items=put.items,
            with_secrets=wanted.with_secrets,
            with_media=wanted.with_media,
            media=put.media,
            members=archive.members,
        )
        archive.close(manifest)
    return manifest


def _put_plain(settings: ServerSettings, archive: "ArchiveWriter", wanted: Wanted) -> None:
    """Settings files, the server's identity and, if wanted, its secrets; what is not there is left out."""
    files = {f"settings/{kind}.toml": path for kind, path in wanted.settings_files.items()}
    for name in ("instance.json", *(_SECRETS if wanted.with_secrets else ())):
        files[f"data/{name}"] = settings.data_folder / name
    for name, path in files.items():
        if path.is_file():
            archive.add(name, path.read_bytes())


def _note(settings: ServerSettings, manifest: "Manifest") -> None:
    """For `/metrics`. That it cannot be noted does no harm to the backup."""
    note = {"schema": 1, "made_at": manifest.made_at, "items": manifest.items}
    with contextlib.suppress(OSError):
        write_loosely(RealDisk(), settings.data_folder / LAST_BACKUP, json.dumps(note).encode() + b"\n")


def restore_backup(settings: ServerSettings, file: Path, *, dry_run: bool) -> "tuple[Manifest, Restored]":
    """Make the data folder of the settings from a backup: built beside it, durably, then given its name. Nothing is ever replaced.

    Raises WrongStatus for a data folder that is not empty, Refused and VerificationFailed for the file.
    """
    data = settings.data_folder
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise WrongStatus(f"{data} is not empty, and a restore replaces nothing.", "Move it away, or name another one with --data-folder.")
    make_home(data.parent)
    with _built(settings, file, data.parent) as (manifest, restored, built):
        if not dry_run:
            os.rename(built, data)
            RealDisk().sync_folder(data.parent)
    return manifest, restored


def verify_backup(settings: ServerSettings, file: Path) -> "tuple[Manifest, Restored, list[Finding]]":
    """Check every digest, restore into a scratch folder, and hold that ledger against its files. Nothing of it stays."""
    from dmc.broker.verify import verify

    settings = settings.model_copy(update={"network_data_folder": True})  # Scratch may lie anywhere: nothing of it stays.
    with tempfile.TemporaryDirectory(prefix="dmc-verify-") as scratch, _built(settings, file, Path(scratch)) as (manifest, restored, built):
        made = settings.model_copy(update={"data_folder": built})
        with closing(open_ledger(made, recover=False)) as ledger:
            findings = verify(ledger, open_storage(made), digests=True).findings
    return manifest, restored, list(findings)


@contextmanager
def _built(settings: ServerSettings, file: Path, home: Path) -> "Iterator[tuple[Manifest, Restored, Path]]":
    """A whole data folder, made from a backup in a temporary place in `home`; what is left there afterwards is removed."""
    from dmc.broker.archive import unpack
    from dmc.broker.backup import ITEMS
    from dmc.broker.restore import place_media, read_items, settle

    if not file.is_file():
        raise NotFound(f"there is no file {file}.")
    scratch, disk = home / temp_name(), RealDisk()
    try:
        unpacked, data = scratch / "unpacked", scratch / "data"
        for folder in (scratch, unpacked, data):
            folder.mkdir(mode=0o700)
        manifest = unpack(file, unpacked)
        if not (unpacked / ITEMS).is_file():
            raise VerificationFailed(f"{file.name} holds no ledger.", "Take another backup.")
        restored = settle(read_items(unpacked, manifest), manifest.media)
        made = settings.model_copy(update={"data_folder": data})
        open_storage(made)
        place_media(restored.items, unpacked, data, disk)
        write_anew(made, restored.items, after_seq=manifest.ledger_seq - 1)
        _place_plain(unpacked, data, disk)
        yield manifest, restored, data
    except OSError as problem:
        raise translate(problem, f"restoring {file.name}") from problem
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _place_plain(unpacked: Path, data: Path, disk: RealDisk) -> None:
    """Identity and secrets go where they were; settings files lie beside them for a person to look at, for no file of /etc is touched."""
    for source, target in ((unpacked / "data", data), (unpacked / "settings", data / "restored-settings")):
        for path in sorted(source.rglob("*")) if source.is_dir() else ():
            if path.is_file():
                place = target / path.relative_to(source)
                place.parent.mkdir(mode=0o700, exist_ok=True)
                os.rename(path, place)
                disk.sync_folder(place.parent)
    disk.sync_folder(data)
    disk.sync_folder(data.parent)
