"""Items as the outside sees them: the ledger's record, its progress from the thread index, its place in the queue,
its facts and previews from its folder. Blocking."""

from collections.abc import Iterable

from dmc.broker.ledger import Ledger
from dmc.broker.threads import ThreadIndex
from dmc.items import Item, Status
from dmc.jobs import Progress
from dmc.protocol import ItemView, view_of
from dmc.server.shelf import Shelf

QUEUE_SHOWN = 1000
"""Places in the queue are told up to this one."""


class Views:
    """Makes views; reads the thread index and the queue only when an item needs them."""

    def __init__(self, ledger: Ledger, threads: ThreadIndex, shelf: Shelf) -> None:
        self._ledger = ledger
        self._threads = threads
        self._shelf = shelf

    def many(self, items: Iterable[Item]) -> list[ItemView]:
        listed = list(items)
        statuses = {item.status for item in listed}
        progress = self._threads.read() if Status.IN_PROGRESS in statuses else {}
        queue = self._queue() if Status.TO_DO in statuses else {}
        return [
            view_of(
                item,
                progress=_of_this_try(item, progress),
                queue_position=queue.get(item.item_id),
                products=self._shelf.of(item),
            )
            for item in listed
        ]

    def one(self, item: Item) -> ItemView:
        return self.many([item])[0]

    def _queue(self) -> dict[str, int]:
        """Position of each waiting item, 1 is next: by priority, then by age."""
        waiting = self._ledger.select(Status.TO_DO, limit=QUEUE_SHOWN)
        waiting.sort(key=lambda item: (-item.priority, item.item_id))
        return {item.item_id: position for position, item in enumerate(waiting, 1)}


def _of_this_try(item: Item, progress: dict[str, Progress]) -> Progress | None:
    found = progress.get(item.item_id)
    return found if found is not None and item.status is Status.IN_PROGRESS and found.attempt == item.attempt else None
