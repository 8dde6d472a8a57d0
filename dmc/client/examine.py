"""Looks into a quiet file: still the same, nobody writing, media that is wanted, its SHA-512. Runs in a worker thread.

Opens for reading only, never follows a link, never blocks on a pipe, and compares the open file with what was seen
before and after hashing. Changes nothing.
"""

import errno
import hashlib
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass

from dmc.client.companions import is_no_source
from dmc.client.lease import has_writer
from dmc.client.settle import Signature, signature_of
from dmc.conversions import MediaType, guess_media_type
from dmc.files import CHUNK

HEAD = 64
"""Bytes from the start of a file that tell its medium."""


@dataclass(frozen=True, slots=True)
class Drop:
    """A complete file that is wanted."""

    signature: Signature
    sha512: str
    media_type: MediaType
    mode: int


@dataclass(frozen=True, slots=True)
class Moving:
    """The file changed, or somebody is writing it (`in_use`)."""

    in_use: bool


@dataclass(frozen=True, slots=True)
class NotOurs:
    """Nothing that is wanted, as it is; `gone` if there is nothing any more."""

    gone: bool = False


@dataclass(frozen=True, slots=True)
class Unreadable:
    """It looks like media by its name, but cannot be read."""

    reason: str


Finding = Drop | Moving | NotOurs | Unreadable


def examine(path: str, expected: Signature, wanted: Collection[MediaType], stop: Callable[[], bool]) -> Finding:
    """What stands at `path`, if it is still the file with the signature `expected`."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | getattr(os, "O_NOCTTY", 0))
    except OSError as problem:
        return _closed(path, problem, wanted)
    try:
        return _inside(path, fd, expected, wanted, stop)
    except OSError as problem:
        return _closed(path, problem, wanted)
    finally:
        os.close(fd)


def _inside(path: str, fd: int, expected: Signature, wanted: Collection[MediaType], stop: Callable[[], bool]) -> Finding:
    found = os.fstat(fd)
    if signature_of(found) != expected:
        return Moving(in_use=False)
    if has_writer(fd):
        return Moving(in_use=True)
    media_type = guess_media_type(os.path.basename(path), os.pread(fd, HEAD, 0))
    if media_type is None or media_type not in wanted or is_no_source(path):
        return NotOurs()
    digest = hashlib.sha512()
    while block := os.read(fd, CHUNK):
        digest.update(block)
        if stop():
            return Moving(in_use=False)
    if signature_of(os.fstat(fd)) != expected or has_writer(fd):
        return Moving(in_use=True)
    return Drop(expected, digest.hexdigest(), media_type, found.st_mode & 0o777)


def _closed(path: str, problem: OSError, wanted: Collection[MediaType]) -> Finding:
    if problem.errno in (errno.ENOENT, errno.ENOTDIR):
        return NotOurs(gone=True)
    if problem.errno in (errno.ETXTBSY, errno.EWOULDBLOCK):
        return Moving(in_use=True)
    if problem.errno == errno.ELOOP or guess_media_type(os.path.basename(path)) not in wanted:
        return NotOurs()
    return Unreadable(f"cannot be read: {problem.strerror}")
