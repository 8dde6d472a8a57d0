"""Walks an observed folder and tells which regular files are in it: lazily, so that memory stays flat however large the tree is.

Links are never followed and nothing is opened. What cannot be read or is no regular file is told as `Passed`, with the
reason. Names are the file system's own bytes (surrogateescape), so every legal name round-trips.
"""

import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from dmc.client.ignore import IgnoreRules
from dmc.client.settle import Signature, signature_of


class Found(NamedTuple):
    """A regular file that the ignore rules let pass."""

    path: str
    signature: Signature


@dataclass(frozen=True, slots=True)
class Passed:
    """Something that is no drop and never will be as it is."""

    path: str
    reason: str


class RootState(StrEnum):
    """What an observed folder looks like. Only from `PRESENT` anything is inferred: a disk may not be mounted, or be another one.

    `STRANGE`: a folder stands there, but not the one that was observed (marker.py). `UNSURE`: it was made anew at its old place.
    """

    PRESENT = "present"
    EMPTY = "empty"
    AWAY = "away"
    STRANGE = "strange"
    UNSURE = "unsure"

    @property
    def is_offline(self) -> bool:
        """Nothing is taken from it and nothing put into it."""
        return self in (RootState.AWAY, RootState.STRANGE)


def root_state(root: Path) -> RootState:
    """Whether `root` is there and holds anything."""
    try:
        with os.scandir(root) as entries:
            return RootState.PRESENT if any(True for _ in entries) else RootState.EMPTY
    except OSError:
        return RootState.AWAY


@dataclass(slots=True)
class Tally:
    """How many folders a walk went into."""

    folders: int = 0


def walk(
    root: Path, rules: IgnoreRules, excluded: Collection[Path] = (), start: Path | None = None, tally: Tally | None = None
) -> Iterator[Found | Passed]:
    """All files below `start` (default: `root`) that may be drops. `excluded` are folders that are not entered."""
    tally = tally or Tally()
    skip = len(str(root).rstrip("/")) + 1
    shut = {str(folder) for folder in excluded}
    stack = [_open(str(start or root))]
    while stack:
        entries = stack[-1]
        if isinstance(entries, Passed):
            yield entries
            stack.pop()
            continue
        # Here each file of each walk goes by: one call for its name, one for what the kernel says of it.
        for entry in entries:
            if rules.ignores_name(entry.name) if rules.by_name_alone else rules.ignores_entry(entry.path[skip:]):
                continue
            if _is_folder(entry):
                if entry.path not in shut:
                    stack.append(_open(entry.path))
                    break
            elif (told := _tell(entry)) is not None:
                yield told
        else:
            stack.pop()
            tally.folders += 1


def _open(folder: str) -> Iterator[os.DirEntry[str]] | Passed:
    """The entries of a folder; the iterator closes itself at its end."""
    try:
        return os.scandir(folder)
    except OSError as problem:
        return Passed(folder, problem.strerror or "cannot be read")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _tell(entry: os.DirEntry[str]) -> Found | Passed | None:
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None  # Gone between listing and look; nothing to tell.
    except OSError as problem:
        return Passed(entry.path, problem.strerror or "cannot be read")
    signature = signature_of(found)
    return Found(entry.path, signature) if signature else Passed(entry.path, _kind(found.st_mode))


def _kind(mode: int) -> str:
    for test, word in (
        (stat.S_ISLNK, "a link"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    ):
        if test(mode):
            return word
    return "no regular file"
