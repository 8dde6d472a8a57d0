"""Item folders on one file system: incoming/, to_do/, in_progress/, finished/ and, for what does not belong, quarantine/.

All disk access goes through the Disk seam, but for the bytes of originals and results, which server and workers write
themselves. It knows no statuses: which folder stands where is decided by the broker.
"""

import contextlib
import errno
import json
import math
import re
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from dmc.broker.deleted import FILE_NAME, Deleted
from dmc.broker.last_seen import LastSeen
from dmc.broker.storage import Found, Place
from dmc.errors import BadSettings, NotFound
from dmc.files import TEMP_PREFIX, Disk, free_bytes, remove_tree, temp_name, translate, write_durably

OUT = "out"
TICKET = "ticket.json"
OUTCOME = "outcome.json"
QUARANTINE = "quarantine"
_NO_LINK = {errno.EPERM, errno.EISDIR, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.ENOENT, errno.EEXIST}
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class StorageDirs:
    """See the seam, storage.py. `data` is the data folder, absolute; `network`: the network file system it lies on, if that counts."""

    def __init__(self, data: Path, disk: Disk, *, network: str = "") -> None:
        self._data = data
        self._roots = {place: data / place for place in Place}
        self._disk = disk
        self._network = network
        self._deleted = Deleted(data / FILE_NAME, disk)
        self._last_seen = LastSeen()

    def prepare(self) -> None:
        """Make the folders; raises BadSettings on a network, and if they do not share a file system: moving an item must be one rename."""
        if self._network:
            raise BadSettings(
                f"the data folder {self._data} lies on a network file system ({self._network}): "
                "locks and syncs are not to be relied on there.",
                "Use a local disk; watched folders and backups may lie on shares. At your risk: network_data_folder = true.",
            )
        for name in (*Place, QUARANTINE):
            self._make(self._data / name)
        devices = {found.st_dev for place in Place if (found := self._disk.stat(self._data / place)) is not None}
        if len(devices) > 1:
            raise BadSettings(
                f"the folders in {self._data} stand on different file systems.",
                "Put the whole data folder on one: items are moved by renaming.",
            )
        self._disk.sync_folder(self._data)

    def arrive(self, item_id: str) -> Path:
        folder = self._at(Place.INCOMING, item_id)
        with _translated("making a folder for what arrives"):
            self._disk.make_folder(folder)
        return folder

    def admit(self, item_id: str, file_name: str, ticket: dict[str, Any]) -> None:
        folder = self._at(Place.INCOMING, item_id)
        with _translated("keeping what arrived"):
            self._disk.sync_file(folder / file_name)
            write_durably(self._disk, folder / TICKET, _json(ticket))  # Syncs the folder too, and with it the original's name.
            self._disk.sync_folder(folder.parent)

    def abandon(self, item_id: str) -> None:
        with _translated("forgetting what arrived"):
            remove_tree(self._disk, self._at(Place.INCOMING, item_id))

    def place_of(self, item_id: str) -> Place | None:
        """Where the item's folder stands; looks again if it was just being moved."""
        order = self._last_seen.order(item_id)
        found = next((place for place in order if self._disk.stat(self._at(place, item_id)) is not None), None)
        self._last_seen.note(item_id, found)
        return found

    def folder(self, item_id: str) -> Path | None:
        place = self.place_of(item_id)
        return None if place is None else self._at(place, item_id)

    def advance(self, item_id: str, to: Place) -> None:
        place = self.place_of(item_id)
        if place is None:
            raise NotFound(f"item {item_id} has no folder.")
        if place is not to:
            with _translated(f"moving an item to {to}"):
                self._disk.rename(self._at(place, item_id), self._at(to, item_id))
            self._last_seen.note(item_id, to)

    def empty_out(self, item_id: str) -> None:
        out = self._folder(item_id) / OUT
        with _translated("emptying out/"):
            if self._disk.stat(out) is None:
                self._disk.make_folder(out)
            for name in self._disk.names(out):
                remove_tree(self._disk, out / name)

    def share(self, from_id: str, from_name: str, item_id: str, file_name: str) -> bool:
        source, target = self._folder(from_id), self._folder(item_id)
        try:
            for name in self._disk.names(source / OUT):
                self._disk.link(source / OUT / name, target / OUT / name)
            self._replace_by_link(source / from_name, target / file_name)
        except OSError as problem:
            if problem.errno in _NO_LINK:
                return False
            raise translate(problem, "sharing the bytes of two items") from problem
        return True

    def _replace_by_link(self, source: Path, target: Path) -> None:
        """Whole at every moment: both hold the same bytes."""
        one, other = self._disk.stat(source), self._disk.stat(target)
        if one is not None and other is not None and (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino):
            return  # A rename between two names of one file would do nothing, and leave both.
        temp = target.with_name(temp_name())
        self._disk.link(source, temp)
        self._disk.rename(temp, target)

    def keep_out(self, item_id: str) -> None:
        out = self._folder(item_id) / OUT
        with _translated("keeping a result"):
            self._sync_tree(out)

    def _sync_tree(self, path: Path) -> None:
        found = self._disk.stat(path)
        if found is None:
            return
        if not stat.S_ISDIR(found.st_mode):
            if stat.S_ISREG(found.st_mode):
                self._disk.sync_file(path)
            return
        for name in self._disk.names(path):
            self._sync_tree(path / name)
        self._disk.sync_folder(path)

    def write_outcome(self, item_id: str, outcome: dict[str, Any]) -> None:
        with _translated("keeping an outcome"):
            write_durably(self._disk, self._folder(item_id) / OUTCOME, _json(outcome))

    def read_ticket(self, item_id: str) -> dict[str, Any] | None:
        return self._read(item_id, TICKET)

    def read_outcome(self, item_id: str) -> dict[str, Any] | None:
        return self._read(item_id, OUTCOME)

    def size_of(self, item_id: str, file_name: str) -> int | None:
        folder = self.folder(item_id)
        found = None if folder is None else self._disk.stat(folder / file_name)
        return found.st_size if found is not None and stat.S_ISREG(found.st_mode) else None

    def drop_file(self, item_id: str, file_name: str) -> None:
        folder = self.folder(item_id)
        if folder is None:
            return
        with _translated("removing a file of an item"):
            if self._disk.stat(folder / file_name) is not None:
                self._disk.unlink(folder / file_name)
            self._disk.sync_folder(folder)

    def remove(self, item_id: str) -> None:
        place = self.place_of(item_id)
        with _translated("removing an item"):
            if place is not None:
                remove_tree(self._disk, self._at(place, item_id))
            # Also when nothing was there: an earlier try may have removed it and been cut before this.
            for folder in Place if place is None else (place,):
                self._disk.sync_folder(self._data / folder)

    def note_deleted(self, item_id: str, client_id: str) -> None:
        with _translated("remembering what was deleted"):
            self._deleted.note(item_id, client_id)

    def owner_of_deleted(self, item_id: str) -> str | None:
        with _translated("looking for what was deleted"):
            return self._deleted.owner(item_id)

    def places(self, among: Collection[Place] = tuple(Place)) -> list[Found]:
        found = []
        for place in among:
            for name in self._disk.names(self._data / place):
                if _ID.fullmatch(name) and self._is_folder(self._at(place, name)):
                    found.append(Found(name, place, self._disk.stat(self._at(place, name) / TICKET) is not None))
        return found

    def touched_at(self, item_id: str) -> float | None:
        folder = self.folder(item_id)
        found = None if folder is None else self._disk.stat(folder)
        if folder is None or found is None:
            return None
        inside = [self._disk.stat(folder / name) for name in self._disk.names(folder)]
        return max([found.st_mtime, *(one.st_mtime for one in inside if one is not None)])

    def set_aside(self, item_id: str) -> None:
        place = self.place_of(item_id)
        if place is not None:
            with _translated("moving a folder to quarantine"):
                self._to_quarantine(self._at(place, item_id))

    def sync_places(self) -> None:
        with _translated("syncing the item folders"):
            for place in Place:
                self._disk.sync_folder(self._data / place)

    def sweep(self, before: float) -> list[str]:
        with _translated("sweeping the item folders"):
            moved = [line for place in Place for line in self._sweep_place(place)]
            self._drop_temps(self._data, before)
        return moved

    def _sweep_place(self, place: Place) -> list[str]:
        """In finished/ only names are looked at: there may be very many."""
        moved = []
        for name in self._disk.names(self._data / place):
            if _ID.fullmatch(name) and (place is Place.FINISHED or self._is_folder(self._at(place, name))):
                continue
            moved.append(f"{place}/{name} to {QUARANTINE}/{self._to_quarantine(self._data / place / name)}")
        return moved

    def tidy(self, item_id: str) -> None:
        folder = self.folder(item_id)
        if folder is not None:
            with _translated("tidying a folder"):
                self._drop_temps(folder)

    def _drop_temps(self, folder: Path, before: float = math.inf) -> None:
        leftovers = [folder / name for name in self._disk.names(folder) if name.startswith(TEMP_PREFIX)]
        leftovers = [path for path in leftovers if (found := self._disk.stat(path)) is not None and found.st_mtime < before]
        for path in leftovers:
            remove_tree(self._disk, path)
        if leftovers:
            self._disk.sync_folder(folder)  # Or a power cut brings them back when nobody looks any more.

    def free_bytes(self) -> int:
        return free_bytes(self._data)

    # --- Helpers ---------------------------------------------------------------------------------------------------

    def _at(self, place: Place, item_id: str) -> Path:
        return self._roots[place] / item_id

    def _folder(self, item_id: str) -> Path:
        folder = self.folder(item_id)
        if folder is None:
            raise NotFound(f"item {item_id} has no folder.")
        return folder

    def _is_folder(self, path: Path) -> bool:
        found = self._disk.stat(path)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def _read(self, item_id: str, name: str) -> dict[str, Any] | None:
        """A JSON object in the item's folder; None if it is not there or cannot be read."""
        folder = self.folder(item_id)
        if folder is None:
            return None
        try:
            found = json.loads(self._disk.read(folder / name))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _make(self, folder: Path) -> None:
        if self._disk.stat(folder) is None:
            self._disk.make_folder(folder)

    def _to_quarantine(self, path: Path) -> str:
        """Move something to quarantine under its own name, or with a number if that is taken."""
        number = 0
        while True:
            name = path.name if not number else f"{path.name}.{number}"
            target = self._data / QUARANTINE / name
            if self._disk.stat(target) is None:
                break
            number += 1
        self._disk.rename(path, target)
        return name


@contextlib.contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise translate(problem, doing) from problem


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=1).encode("ascii") + b"\n"
