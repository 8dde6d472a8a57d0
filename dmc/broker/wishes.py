"""What server and command line may write into a record: a wish, an acknowledgement, a priority. Compare and swap, tried again.

None of these changes a status; the broker does that when it sees the wish. Each is durable when the function returns.

The wish `delete` is the tombstone: it stands in the ledger before the first file goes, and the record goes after the last
one is durably gone. So a deletion that was cut anywhere is begun again from its wish, and no tombstones need to be kept.
"""

from collections.abc import Callable

from dmc.broker.ledger import Ledger, Put
from dmc.clock import Clock, rfc3339
from dmc.errors import Busy, Conflict, UnknownItem, WholeFileMismatch, WrongStatus
from dmc.items import Item, Wish

_TRIES = 50


def wish(ledger: Ledger, item_id: str, what: Wish) -> Item:
    """Leave a wish; raises UnknownItem, and WrongStatus where the status does not allow it."""
    return _swap(ledger, item_id, lambda item: item.wishing(what))


def acknowledge(ledger: Ledger, clock: Clock, item_id: str, sha512: str) -> Item:
    """Note that the client has the result safe: `sha512` is the result's, or the original's where there is none."""

    def acknowledged(item: Item) -> Item:
        if not item.status.is_finished:
            raise WrongStatus(f"an item that is {item.status} has no result to acknowledge.", "Wait until it is finished.")
        expected = item.result.sha512_checksum if item.result else item.sha512_checksum
        if sha512 != expected:
            raise WholeFileMismatch("this is not the SHA-512 of what the server holds.", "Fetch the result again; do not trust the copy.")
        return item if item.acknowledged_at else item.changed(acknowledged_at=rfc3339(clock.now()))

    return _swap(ledger, item_id, acknowledged)


def trash(ledger: Ledger, clock: Clock, item_id: str) -> Item:
    """Put a finished item into the trash, from where it can come back until its days there are over. One line; no file moves."""

    def trashed(item: Item) -> Item:
        item.wishing(Wish.DELETE)  # The same statuses, the same refusals.
        return item if item.trashed_at else item.changed(trashed_at=rfc3339(clock.now()), wish=None)

    return _swap(ledger, item_id, trashed)


def delete(ledger: Ledger, clock: Clock, item_id: str) -> Item:
    """Let somebody delete a finished item for good: the shortest way through the trash, which tells it from what goes by its days."""

    def deleted(item: Item) -> Item:
        item.wishing(Wish.DELETE)
        return item.changed(wish=Wish.DELETE, trashed_at=item.trashed_at or rfc3339(clock.now()))

    return _swap(ledger, item_id, deleted)


def restore(ledger: Ledger, item_id: str) -> Item:
    """Take an item out of the trash; raises WrongStatus for one that is not in it, or is being deleted already."""

    def restored(item: Item) -> Item:
        if item.trashed_at is None:
            raise WrongStatus("this item is not in the trash.", "")
        if item.wish is Wish.DELETE:
            raise WrongStatus("this item is being deleted for good.", "")
        return item.changed(trashed_at=None)

    return _swap(ledger, item_id, restored)


def prioritise(ledger: Ledger, item_id: str, priority: int) -> Item:
    """Let an item be begun before (higher) or after (lower) others."""
    return _swap(ledger, item_id, lambda item: item if item.priority == priority else item.changed(priority=priority))


def _swap(ledger: Ledger, item_id: str, change: Callable[[Item], Item]) -> Item:
    """Read, change, compare and swap until nobody else was faster. A `change` that returns its item wants nothing written."""
    for _ in range(_TRIES):
        item = ledger.get(item_id)
        if item is None:
            raise UnknownItem("there is no such item.", "It may have been deleted.")
        wanted = change(item)
        if wanted is item:
            return item
        try:
            ledger.change([Put(wanted, expected_version=item.version)])
        except Conflict:
            continue
        return wanted
    raise Busy("this item changes all the time.", "Try again in a moment.")
