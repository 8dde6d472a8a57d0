"""What an unpacked backup becomes: records, brought to today's schema step by step, and item folders in their places.

Items whose files are not in the backup: one that a client still waits for is left out, for then the client, which asks for it
by its id, hears that it is not known here and sends it again by itself. All others stay as records without files
(`gone`), so that what was done is still told. Records are read here; writing the ledger is the caller's business.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dmc.broker.archive import SCHEMA, Manifest
from dmc.broker.backup import ITEMS
from dmc.broker.outcomes import put_back
from dmc.broker.rebuild import FIRST_VERSION
from dmc.broker.reconcile import PLACE_OF
from dmc.errors import VerificationFailed
from dmc.files import Disk
from dmc.items import Item, Status
from dmc.jobs import ErrorNote

Step = Callable[[dict[str, Any]], dict[str, Any]]

STEPS: Mapping[int, Step] = {}
"""`STEPS[n]` makes a record of schema n + 1 out of one of schema n. So far there is only one schema."""

_NOTE = ErrorNote(code="restored", message="the server was restored from a backup.", hint="It is converted anew.")


@dataclass(frozen=True, slots=True)
class Restored:
    """What becomes of the records: `items` are the ledger, `left_out` are sent again by their clients."""

    items: tuple[Item, ...]
    left_out: tuple[str, ...]


def read_items(folder: Path, manifest: Manifest, steps: Mapping[int, Step] = STEPS, schema: int = SCHEMA) -> Iterator[Item]:
    """The records of an unpacked backup, as items of today. Raises VerificationFailed for one that is none."""
    with (folder / ITEMS).open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                for step in range(manifest.schema_number, schema):
                    record = steps[step](record)
                yield Item.model_validate_json(json.dumps(record))
            except (ValueError, KeyError, TypeError, ValidationError) as problem:
                raise VerificationFailed(f"record {number} of this backup cannot be read: {problem}.", "Take another backup.") from None


def settle(items: Iterable[Item], media: Iterable[str]) -> Restored:
    """The ledger after a restore: what ran is to do again, what has no files is left out or only remembered.

    Versions go far up, so that no conditional request takes what comes now for what a client saw after the backup was made.
    """
    there, kept, left_out = set(media), [], []
    for item in items:
        found = item.model_copy(update={"version": item.version + FIRST_VERSION})
        if item.item_id not in there and _is_awaited(item):
            left_out.append(item.item_id)
        elif item.item_id not in there:
            kept.append(found.model_copy(update={"gone": "files", "wish": None}))
        elif item.status is Status.IN_PROGRESS:
            kept.append(put_back(found, (_NOTE,)))
        else:
            kept.append(found)
    return Restored(tuple(kept), tuple(left_out))


def _is_awaited(item: Item) -> bool:
    """Whether somebody still wants something that only its files can give."""
    if item.gone == "files":
        return False
    return not item.status.is_finished or (item.result is not None and item.acknowledged_at is None)


def place_media(items: Iterable[Item], unpacked: Path, data: Path, disk: Disk) -> None:
    """Move the item folders of an unpacked backup where their records say. The places are there, and on the same file system."""
    for item in items:
        source = unpacked / "media" / item.item_id
        if disk.stat(source) is None or item.gone == "files":
            continue
        if disk.stat(source / "out") is None:
            disk.make_folder(source / "out")
        for folder in (*sorted((path for path in source.rglob("*") if path.is_dir()), reverse=True), source):
            disk.sync_folder(folder)
        disk.rename(source, data / PLACE_OF[item.status] / item.item_id)
    for place in sorted(set(PLACE_OF.values())):
        disk.sync_folder(data / place)
