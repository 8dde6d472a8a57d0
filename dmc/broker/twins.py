"""Twins: items of equal bytes with an equal conversion. The first is converted; later ones take its end over and share its bytes.

Only what was really sent has a twin: `POST /check` speaks of the asker's own items alone, so that nobody who merely knows a digest gets
somebody else's file, or learns that the server has it. What is saved is the conversion and, by hard links, the room on the disk; each
item keeps its own record, folder and fate, and the bytes live for as long as any of them. It writes no record.
"""

import json
from itertools import islice

from dmc.broker.ledger import Ledger
from dmc.broker.storage import Storage
from dmc.items import Item, Status, Wish
from dmc.jobs import Report
from dmc.log import Log

_LOG = Log("broker")

MOST_LOOKED_AT = 50
"""Items of equal bytes that are looked at for a twin, the newest first. One that is missed is converted once more, no worse."""


def content_of(item: Item) -> int:
    """The same number for twins. Others may share it by chance: then they only wait for each other."""
    return hash((item.sha512_checksum, item.file_size, item.conversion_type, json.dumps(item.options, sort_keys=True)))


def are_twins(one: Item, other: Item) -> bool:
    """Whether one conversion does for both. Names and media types do not count: the bytes decide what they are."""
    names = ("sha512_checksum", "file_size", "conversion_type", "options")
    return one.item_id != other.item_id and all(getattr(one, name) == getattr(other, name) for name in names)


class Twins:
    """See the top of this file."""

    def __init__(self, ledger: Ledger, storage: Storage) -> None:
        self._ledger = ledger
        self._storage = storage

    def take_over(self, item: Item) -> Report | None:
        """Give `item`, in progress with an empty out/, the bytes of a twin that ended well, and the report of that end.

        None if there is no such twin, or its bytes cannot be shared here: then the item is converted. A twin that failed is not
        asked: what failed once may succeed now.
        """
        finished = self._ledger.with_content(item.sha512_checksum, Status.FINISHED_SUCCESSFUL)
        for twin in islice(finished, MOST_LOOKED_AT):
            if twin.wish is Wish.DELETE or twin.outcome is None:
                continue
            if are_twins(item, twin) and self._is_whole(twin) and self._share(twin, item):
                return Report(
                    item_id=item.item_id,
                    attempt=item.attempt,
                    kind=twin.outcome.value,
                    media_type=twin.media_type,
                    result=twin.result,
                    reason=twin.reason,
                )
        return None

    def _is_whole(self, twin: Item) -> bool:
        """Whether the twin's files are there as its record says, by their sizes.

        That both hold the same bytes is known by then: the SHA-512 of each was made of what arrived, and `are_twins` compares them. To
        read the files again would hold up the broker's thread for minutes. What decayed on the disk since then is found where
        the bytes go: a client checks what it fetches against the digest in the report, and `dmc broker verify` reads all.
        """
        if self._storage.size_of(twin.item_id, twin.current_file_name) != twin.file_size:
            return False
        result = twin.result
        files = () if result is None else result.files
        return all(self._storage.size_of(twin.item_id, f"out/{told.file_name}") == told.file_size for told in files)

    def _share(self, twin: Item, item: Item) -> bool:
        if self._storage.share(twin.item_id, twin.current_file_name, item.item_id, item.current_file_name):
            return True
        _LOG.warning("bytes not shared", item=item.item_id, twin=twin.item_id)  # Nothing is lost: the work is done once more.
        self._storage.empty_out(item.item_id)
        return False
