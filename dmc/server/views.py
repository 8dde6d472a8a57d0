"""Items as the outside sees them: the ledger's record, its progress from the thread index, its place in the queue,
its facts and previews from its folder. Blocking."""

from collections.abc import Iterable
from typing import Any

from dmc.broker.threads import ThreadIndex
from dmc.items import Item, Status
from dmc.jobs import MadeFile, Progress
from dmc.products import PreviewsView, Products
from dmc.protocol import ITEMS, ItemView, ProgressView, ResultView, SidecarView
from dmc.server.places import Places
from dmc.server.shelf import Shelf


class Views:
    """Makes views with links that begin with `base`; looks at the thread index and the queue only when an item needs them."""

    def __init__(self, places: Places, threads: ThreadIndex, shelf: Shelf, base: str = "") -> None:
        self._places = places
        self._threads = threads
        self._shelf = shelf
        self._base = base

    def many(self, items: Iterable[Item]) -> list[ItemView]:
        listed = list(items)
        statuses = {item.status for item in listed}
        progress = self._threads.read() if Status.IN_PROGRESS in statuses else {}
        queue = self._places.of([item.item_id for item in listed if item.status is Status.TO_DO]) if Status.TO_DO in statuses else {}
        return [
            view_of(
                item,
                progress=_of_this_try(item, progress),
                queue_position=queue.get(item.item_id),
                products=self._shelf.of(item),
                base=self._base,
            )
            for item in listed
        ]

    def one(self, item: Item) -> ItemView:
        return self.many([item])[0]


def _of_this_try(item: Item, progress: dict[str, Progress]) -> Progress | None:
    found = progress.get(item.item_id)
    return found if found is not None and item.status is Status.IN_PROGRESS and found.attempt == item.attempt else None


def view_of(
    item: Item,
    *,
    progress: Progress | None = None,
    queue_position: int | None = None,
    products: Products | None = None,
    base: str = "",
) -> ItemView:
    """The outside view of a ledger record; `base` is a path prefix for URLs."""
    here = f"{base}{ITEMS}/{item.item_id}"
    result = None
    if item.result is not None:
        facts = item.result.model_dump(exclude={"sidecars"}) | {"file_name": result_label(item)}
        beside = [SidecarView.model_validate(_beside(item, told, here)) for told in item.result.sidecars]
        result = ResultView(**facts, url=f"{here}/result", receipt_url=f"{here}/receipt", sidecars=beside)
    shown = None if progress is None else ProgressView(fraction=progress.fraction, speed=progress.speed, eta_s=progress.eta_s)
    return ItemView(
        item_id=item.item_id,
        client_id=item.client_id,
        status=item.status,
        version=item.version,
        created_at=item.created_at,
        conversion_type=item.conversion_type,
        options=item.options,
        file_name=item.original_file_name,
        file_size=item.file_size,
        sha512_checksum=item.sha512_checksum,
        media_type=item.media_type,
        queue_position=queue_position,
        attempt=item.attempt,
        wish=item.wish,
        outcome=item.outcome,
        reason=item.reason,
        progress=shown,
        errors=list(item.errors),
        result=result,
        facts=None if products is None else products.facts,
        previews=PreviewsView() if products is None else products.shown(here),
        started_at=item.started_at,
        finished_at=item.finished_at,
        acknowledged_at=item.acknowledged_at,
        trashed_at=item.trashed_at,
    )


def _beside(item: Item, told: MadeFile, here: str) -> dict[str, Any]:
    return told.model_dump() | {"file_name": sidecar_label(item, told), "url": f"{here}/sidecars/{told.file_name}"}


def sidecar_label(item: Item, told: MadeFile) -> str:
    """The name of a sidecar for people: that of the result, with the sidecar's endings: `holiday.3.mks`."""
    return result_label(item).rpartition(".")[0] + "." + told.file_name.partition(".")[2]


def result_label(item: Item) -> str:
    """What a person would call the result: the original's stem with the result's ending."""
    if item.result is None:
        return item.original_file_name
    stem = item.original_file_name.rpartition(".")[0] or item.original_file_name
    ending = item.result.file_name.rpartition(".")[2]
    return f"{stem}.{ending}"
