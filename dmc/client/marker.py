"""Which folder is the observed one, or the one that results go to? A small file in it holds an id; `roots.json` in the client's state
remembers that id.

A disk that is not mounted, or another one in its place, shows a folder without that id: nothing is inferred from it, taken from it
or put into it. The marker is written when a folder first holds something; one that cannot be written into goes without.
"""

import json
import os
import re
import uuid
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from dmc.client.records import encode_path
from dmc.client.scan import RootState, root_state
from dmc.errors import BadSettings, NotFound
from dmc.files import TEMP_PREFIX, Disk, publish, temp_name, write_durably
from dmc.log import Log

_LOG = Log("client")

MARKER = f"{TEMP_PREFIX}root"
"""Begins like our temporary names, which are never drops whatever the ignore rules say."""

FILE_NAME = "roots.json"
_MOST_BYTES = 1024
_ID = re.compile(rb"([0-9a-f]{32})\n")
_WORDS = "This file tells dmc that this is the right folder, and no empty mount point. Leave it here.\n"


class Mark(BaseModel):
    """What a root was known by when it was last seen: its id, and where it lay."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: str
    disk: tuple[int, int]
    inode: int


class Marks:
    """`roots.json` in the client's state folder. Used by the sync thread; a command may `forget` beside it."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk
        self._marks = self._read()

    def look(self, root: Path) -> RootState:
        """How `root` stands now. Marks it at the first look that finds something in it."""
        state = self.peek(root)
        if state is RootState.STRANGE:
            self._marks = self._read()  # Somebody may have said meanwhile that it is right.
            state = self.peek(root)
        if state is RootState.PRESENT:
            self._remember(root)
        return state

    def peek(self, root: Path) -> RootState:
        """The same without writing anything."""
        state, known = root_state(root), self._marks.get(encode_path(root))
        if state is RootState.AWAY or known is None:
            return state
        if self._id_in(root) == known.id:
            return RootState.PRESENT  # Even if there is nothing else in it: its files were taken away, not its disk.
        if self._id_in(root) is not None or os.path.ismount(root) or _disk_of(root) != known.disk:
            return RootState.STRANGE
        # The marker was removed from it, or the folder was made anew at its old place on the same disk.
        return state if _inode_of(root) == known.inode or state is RootState.EMPTY else RootState.UNSURE

    def look_home(self, folder: Path, *, apart: bool = True) -> RootState:
        """How a `folder` for results stands, which the client may make itself: EMPTY if it may. Marks it once it holds something.

        `apart`: it lies outside the observed folder, whose marker speaks for it else, unless another disk was ever mounted there.
        """
        if not apart and not self._is_mounted_inside(folder):
            return RootState.PRESENT
        state = self._of_home(folder, self.look(folder))
        if state is RootState.UNSURE:  # Deleted on its own disk and made anew, most likely by this client.
            self._remember(folder)
            return self.peek(folder)
        return state

    def peek_home(self, folder: Path, *, apart: bool = True) -> RootState:
        """The same without writing anything."""
        if not apart and not self._is_mounted_inside(folder):
            return RootState.PRESENT
        return self._of_home(folder, self.peek(folder))

    def _is_mounted_inside(self, folder: Path) -> bool:
        return encode_path(folder) in self._marks or os.path.ismount(folder)

    def _of_home(self, folder: Path, state: RootState) -> RootState:
        known = self._marks.get(encode_path(folder))
        if state is not RootState.AWAY or os.path.lexists(folder):
            return state
        above = next(here for here in folder.parents if os.path.isdir(here))
        return RootState.EMPTY if known is None or _disk_of(above) == known.disk else RootState.AWAY

    def forget(self, root: Path) -> None:
        """Take whatever stands at `root` at the next look for the observed folder."""
        marks = self._read()
        if marks.pop(encode_path(root), None) is None:
            raise NotFound(f"{root} was never seen by this client.", "See the folders with: dmc client folder list")
        self._write(marks)

    def _remember(self, root: Path) -> None:
        key = encode_path(root)
        known, there = self._marks.get(key), self._id_in(root)
        try:
            if there is None:
                there = self._mark(root, known.id if known else uuid.uuid4().hex)
            now = Mark(id=there, disk=_disk_of(root), inode=_inode_of(root))
            if now != known:
                self._marks = self._read() | {key: now}
                self._write(self._marks)
        except OSError as problem:
            _LOG.debug("not marked", root=root.name, reason=problem.strerror or str(problem))

    def _mark(self, root: Path, mark: str) -> str:
        """Put the marker into `root` and return the id in it, which is another one if another client was faster."""
        target, temp = root / MARKER, root / temp_name()
        data = f"{mark}\n{_WORDS}".encode()
        if self._disk.stat(target) is not None:
            write_durably(self._disk, target, data)  # It is there and holds no id: half-written, or edited.
            return mark
        try:
            self._disk.write(temp, data)
            self._disk.sync_file(temp)
            publish(self._disk, temp, target)
        except FileExistsError:
            self._disk.unlink(temp)
            return self._id_in(root) or mark
        except OSError:
            if self._disk.stat(temp) is not None:
                self._disk.unlink(temp)
            raise
        return mark

    def _id_in(self, root: Path) -> str | None:
        try:
            fd = os.open(root / MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            found = _ID.match(os.read(fd, _MOST_BYTES))
        except OSError:
            return None
        finally:
            os.close(fd)
        return found[1].decode() if found else None

    def _write(self, marks: dict[str, Mark]) -> None:
        text = json.dumps({"schema": 1, "roots": {key: mark.model_dump() for key, mark in sorted(marks.items())}}, indent=1)
        write_durably(self._disk, self._path, text.encode())

    def _read(self) -> dict[str, Mark]:
        if self._disk.stat(self._path) is None:
            return {}
        try:
            document = json.loads(self._disk.read(self._path))
            if document["schema"] != 1:
                raise BadSettings(f"{self._path.name} was written by a newer dmc (schema {document['schema']}).", "Update this client.")
            return {key: Mark.model_validate(mark) for key, mark in document["roots"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, ValidationError):
            _LOG.warning("roots forgotten", file=str(self._path), reason="it is damaged; each folder is believed as it is now")
            return {}


def _disk_of(root: Path) -> tuple[int, int]:
    """Device and file system: the number of a device alone may be that of the disk before."""
    try:
        return os.stat(root).st_dev, os.statvfs(root).f_fsid
    except OSError:
        return (0, 0)


def _inode_of(root: Path) -> int:
    try:
        return os.stat(root).st_ino
    except OSError:
        return 0
