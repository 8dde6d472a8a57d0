"""What commands do with the trash of the watched folders, beside a running client."""

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dmc.assemble.client import folder_states, open_outbox
from dmc.client_settings import ClientSettings
from dmc.clock import rfc3339
from dmc.errors import NotFound, UsageFault, WrongStatus
from dmc.files import RealDisk, translate
from dmc.items import ItemIds

if TYPE_CHECKING:
    from dmc.client.records import Trashed


@dataclass(frozen=True, slots=True)
class InTrash:
    """An original in the trash. `deleted_at` None: it stays. `offline`: its folder is not there at present."""

    record_id: str
    file: Path
    trash: Path
    file_size: int
    moved_at: datetime
    deleted_at: datetime | None
    offline: bool
    trashed: "Trashed"

    def view(self) -> dict[str, object]:
        """What `--json` shows."""
        return {
            "record_id": self.record_id,
            "file": _text(self.file),
            "trash": _text(self.trash),
            "file_size": self.file_size,
            "moved_at": rfc3339(self.moved_at),
            "deleted_at": rfc3339(self.deleted_at) if self.deleted_at else None,
            "offline": self.offline,
        }


def _text(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def originals_in_trash(settings: ClientSettings) -> list[InTrash]:
    """What dmc moved into the trash of watched folders and is still there, oldest first."""
    from dmc.client.records import decode_path
    from dmc.client.trash import goes_at, in_trash

    states = folder_states(settings)
    days = {one.path: one.trash_days for one in settings.list_of_paths_to_observe}
    found = []
    with closing(open_outbox(settings)) as outbox:
        for record, trashed in in_trash(outbox):
            root, place = decode_path(trashed.root), decode_path(trashed.path)
            offline = root in states and states[root].is_offline
            if not offline and not os.path.lexists(place):
                continue  # Somebody took it out; the running client sees it within a day.
            end = goes_at(trashed, days.get(root, 0))
            since = datetime.fromisoformat(trashed.at)
            found.append(InTrash(record.id, decode_path(trashed.origin), place, trashed.size, since, end, offline, trashed))
    return found


def choose(held: Sequence[InTrash], paths: Sequence[Path]) -> list[InTrash]:
    """Those that lay, or lie in the trash, at `paths`. Raises NotFound; UsageFault where several lay at one."""
    chosen = []
    for path in paths:
        here = Path(os.path.abspath(path))
        found = [each for each in held if here in (each.file, each.trash)]
        if not found:
            raise NotFound(f"{here} is in no trash of dmc.", "See what is with: dmc client trash list")
        if len(found) > 1:
            raise UsageFault(f"several originals lay at {here}.", f"Name one by where it lies now, e.g. {found[-1].trash}")
        chosen += [each for each in found if each not in chosen]
    return chosen


def restore_original(settings: ClientSettings, held: InTrash, *, dry_run: bool) -> None:
    """Put one back to where it was; with `dry_run` only look whether that can be. Raises NotFound, WrongStatus, DiskFault."""
    from dmc.client.trash import check_restore, restore

    if held.offline:
        raise WrongStatus(f"the folder of {held.file} is offline.", "Mount it, or see: dmc client folder list")
    disk = RealDisk()
    if dry_run:
        check_restore(held.trashed, disk)
        return
    with closing(open_outbox(settings)) as outbox:
        try:
            restore(outbox, held.record_id, held.trashed, disk=disk, ids=ItemIds(max(outbox.ids(), default=None)))
        except OSError as problem:
            raise translate(problem, f"putting {held.file.name} back") from None
