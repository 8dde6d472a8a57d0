"""A backup file: a tar.gz of plain files, and as its last member `manifest.json`, which names all others with size and SHA-256.

A file that was cut short has no manifest, so it is never taken for a whole one. Reading trusts nothing: only plain files
under names that a backup has are unpacked. What the members mean stands in backup.py and restore.py.
"""

import gzip
import hashlib
import io
import os
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dmc.errors import Refused, VerificationFailed
from dmc.files import CHUNK

SCHEMA = 1
"""Of the manifest and of the records in it. A change of either is a new number and a step in restore.py."""

MANIFEST = "manifest.json"
_NAMES = re.compile(
    r"ledger/items\.jsonl|settings/(server|client)\.toml|data/(instance|tokens)\.json|data/tls/[\w.-]+|"
    r"media/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/[^/]+(/[^/]+)*"
)
_MOST_MANIFEST = 1 << 30
_DAMAGED = (
    *(tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, ValueError),
    *(FileExistsError, FileNotFoundError, NotADirectoryError, IsADirectoryError),  # Names that cannot stand beside each other.
)
"""What reading a damaged file may raise: its checksum stands at the very end, so that much is met before."""


class MemberFacts(BaseModel):
    """One member: bytes and SHA-256 in lower-case hex."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    file_size: int
    sha256: str


class Manifest(BaseModel):
    """What a backup says about itself. `media`: ids of the items whose files are in it, whole."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)
    schema_number: int = Field(alias="schema", ge=1)
    dmc_version: str
    made_at: str
    ledger: str
    ledger_seq: int
    items: int
    with_secrets: bool
    with_media: bool
    media: tuple[str, ...] = ()
    members: dict[str, MemberFacts]


class ArchiveWriter:
    """Puts members into a backup, counting and hashing them on the way."""

    def __init__(self, tar: tarfile.TarFile, mtime: float) -> None:
        self._tar = tar
        self._mtime = int(mtime)
        self.members: dict[str, MemberFacts] = {}

    def add(self, name: str, content: bytes) -> None:
        self.add_file(name, io.BytesIO(content), len(content))

    def add_file(self, name: str, file: IO[bytes], size: int) -> bool:
        """Take `size` bytes of `file`. False if there were fewer: then the rest is zeros, and the member is worth nothing."""
        source = _Counted(file, size)
        self._tar.addfile(self._head(name, size), source)
        self.members[name] = MemberFacts(file_size=size, sha256=source.digest.hexdigest())
        return not source.is_short

    def close(self, manifest: Manifest) -> None:
        """The last member."""
        content = manifest.model_dump_json(by_alias=True, indent=1).encode() + b"\n"
        self._tar.addfile(self._head(MANIFEST, len(content)), io.BytesIO(content))

    def _head(self, name: str, size: int) -> tarfile.TarInfo:
        head = tarfile.TarInfo(name)
        head.size, head.mode, head.mtime = size, 0o600, self._mtime
        return head


class _Counted(io.RawIOBase):
    """Exactly `size` bytes of a file, hashed; zeros where it ends before."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size
        self.digest = hashlib.sha256()
        self.is_short = False

    def read(self, size: int = -1) -> bytes:
        wanted = min(self._left, CHUNK if size < 0 else size)
        block = b"" if self.is_short else self._file.read(wanted)
        if len(block) < wanted:
            self.is_short = self.is_short or not block
            block = block or bytes(wanted)
        self._left -= len(block)
        self.digest.update(block)
        return block


@contextmanager
def writing(file: IO[bytes], mtime: float, *, level: int) -> Iterator[ArchiveWriter]:
    """A writer into an open file. `level`: how hard to compress, 1 to 9."""
    with (
        gzip.GzipFile(filename="", mode="wb", compresslevel=level, fileobj=file, mtime=mtime) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        yield ArchiveWriter(tar, mtime)


def unpack(path: Path, folder: Path) -> Manifest:
    """Unpack all members of a backup into `folder`, which is empty, each made durable; returns its manifest.

    Raises Refused for what is no backup, or of a newer dmc; VerificationFailed for a damaged one; OSError of the disk.
    """
    found: dict[str, MemberFacts] = {}
    manifest: Manifest | None = None
    try:
        with gzip.open(path) as packed:
            with tarfile.open(fileobj=packed, mode="r:") as tar:
                for member in tar:
                    if manifest is not None:
                        raise Refused(f"{path.name} goes on after its manifest: dmc did not write that.")
                    if member.name == MANIFEST:
                        manifest = _manifest_of(tar, member)
                    else:
                        name = _checked(member, found)  # Before anything is written.
                        found[name] = _put(tar, member, folder)
            while packed.read(CHUNK):
                pass  # To its very end, where gzip's own checksum stands.
    except _DAMAGED as problem:
        raise VerificationFailed(f"{path.name} is damaged, or no backup: {problem}.", "Take another backup.") from None
    if manifest is None:
        raise VerificationFailed(f"{path.name} was cut short: it has no manifest.", "Take another backup.")
    odd = sorted(name for name in found.keys() | manifest.members.keys() if found.get(name) != manifest.members.get(name))
    if odd:
        raise VerificationFailed(f"{path.name} is damaged: {odd[0]} is not what the manifest says.", "Take another backup.")
    return manifest


def _manifest_of(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Manifest:
    opened = tar.extractfile(member)
    if opened is None or member.size > _MOST_MANIFEST:
        raise Refused("the manifest of this backup is no file.")
    try:
        manifest = Manifest.model_validate_json(opened.read())
    except ValidationError as problem:
        raise Refused(f"the manifest of this backup does not fit: {problem.errors()[0]['msg']}.") from None
    if manifest.schema_number > SCHEMA:
        raise Refused(
            f"this backup was made by a newer dmc ({manifest.dmc_version}, schema {manifest.schema_number}; this one knows {SCHEMA}).",
            "Update dmc, then restore.",
        )
    return manifest


def _checked(member: tarfile.TarInfo, known: dict[str, MemberFacts]) -> str:
    """The name of a member that may be unpacked; raises Refused for every other one."""
    parts = member.name.split("/")
    if not member.isreg() or not _NAMES.fullmatch(member.name) or ".." in parts or "." in parts or "\0" in member.name:
        raise Refused(f"{member.name!r} has no place in a backup: dmc did not write that.", "Nothing of it was restored.")
    if member.name in known:
        raise Refused(f"{member.name!r} is there twice: dmc did not write that.", "Nothing of it was restored.")
    return member.name


def _put(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> MemberFacts:
    target = folder / member.name
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    source, digest, size = tar.extractfile(member), hashlib.sha256(), 0
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        while source is not None and (block := source.read(CHUNK)):
            file.write(block)
            digest.update(block)
            size += len(block)
        file.flush()
        os.fsync(file.fileno())
    return MemberFacts(file_size=size, sha256=digest.hexdigest())
