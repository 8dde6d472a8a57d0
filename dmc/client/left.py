"""What lay in a folder before it was observed, and is to be left alone: `existing = "leave"`, or `dmc client folder add --only-new`.

Kept as a list of marks in the client's state, two for each file: by its inode and by its path, each with size and time of change. So
a file that is moved, or copied back in its place, stays left alone, and one whose content changes counts as new. Names are not in it.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from dmc.client.records import encode_path
from dmc.client.scan import Found, Passed
from dmc.client.settle import Signature
from dmc.files import Disk, make_home, write_durably

FOLDER = "left"
_MARK_BYTES = 8


class Left:
    """The list of one root; `made` tells whether there is one yet. Belongs to the sync thread; a command may make it before."""

    def __init__(self, state: Path, root: Path, disk: Disk) -> None:
        name = hashlib.sha256(encode_path(root).encode()).hexdigest()[:32]
        self._file = state / FOLDER / f"{name}.txt"
        self._disk = disk
        self._marks: set[str] | None = None
        if self._file.is_file():
            self._marks = set(self._file.read_text(encoding="ascii").split())

    @property
    def made(self) -> bool:
        return self._marks is not None

    def make(self, found: Iterable[Found | Passed]) -> int:
        """Leave these files alone from now on, and only these; durable on return. Returns how many there are."""
        files = [each for each in found if isinstance(each, Found)]
        marks = {mark for each in files for mark in _marks(each.path, each.signature)}
        make_home(self._file.parent)
        write_durably(self._disk, self._file, "\n".join(["", *sorted(marks)]).encode("ascii"))
        self._marks = marks
        return len(files)

    def holds(self, path: str, signature: Signature) -> bool:
        """Whether the file lay there already, as it is."""
        return self._marks is not None and not self._marks.isdisjoint(_marks(path, signature))


def _marks(path: str, signature: Signature) -> tuple[str, str]:
    content = f"{signature.size}:{signature.mtime_ns}"
    return _mark(f"inode:{signature.inode}:{content}"), _mark(f"path:{encode_path(path)}:{content}")


def _mark(text: str) -> str:
    return hashlib.blake2b(text.encode("ascii"), digest_size=_MARK_BYTES).hexdigest()
