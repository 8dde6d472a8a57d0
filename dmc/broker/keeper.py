"""One way for every change of an item: prepare → commit → apply. Used by the broker while it runs and when it starts.

*Prepare* writes what can be undone, *commit* is one ledger line, *apply* brings the folder where the record says; it can be
repeated at any time and is not synced. Before the line nothing has happened, after it everything will.
"""

import contextlib
from collections.abc import Callable

from dmc.broker.ledger import Delete, Guard, Ledger, Put
from dmc.broker.outcomes import outcome_of
from dmc.broker.reconcile import PLACE_OF
from dmc.broker.storage import Place, Storage
from dmc.errors import Busy, Conflict, DiskFault, DiskFull, DmcError, NotFound
from dmc.items import Item, Status
from dmc.log import Log

_LOG = Log("broker")
_TRIES = 50


class Keeper:
    """See the top of this file. `guard` is called under the ledger's lock before each line and may refuse it."""

    def __init__(self, ledger: Ledger, storage: Storage, guard: Guard) -> None:
        self._ledger = ledger
        self._storage = storage
        self._guard = guard
        self.pending: set[str] = set()
        """Items whose folder could not be brought where it belongs; tried again before anything else."""

    def carry_out(self, item_id: str, change: Callable[[Item], Item | None]) -> Item | None:
        """Change a record and bring its folder along; returns the new record, or None if `change` found nothing to do.

        `change` is asked anew when somebody else was faster. Raises DiskFull (nothing is committed), DiskFault, Locked.
        """
        for _ in range(_TRIES):
            item = self._ledger.get(item_id)
            wanted = None if item is None else change(item)
            if item is None or wanted is None:
                return None
            self._prepare(item, wanted)
            try:
                self.commit(item, wanted)
            except Conflict:
                continue
            self.apply(wanted)
            return wanted
        raise Busy("this item changes all the time.")

    def commit(self, item: Item, wanted: Item) -> Item:
        """Only the line; raises Conflict if `item` is not the record any more. Returns `wanted`."""
        self._ledger.change([Put(wanted, expected_version=item.version)], self._guard)
        return wanted

    def _prepare(self, item: Item, wanted: Item) -> None:
        if wanted.status is item.status or self._storage.place_of(item.item_id) is None:
            return  # Nothing moves; or the record will say that the original is missing.
        begins = wanted.status is Status.IN_PROGRESS  # Its out/ is emptied when its line stands.
        if not begins and wanted.status is not Status.FINISHED_SUCCESSFUL and item.status is not Status.FINISHED_WITH_ERRORS:
            self._storage.empty_out(item.item_id)
        if wanted.status.is_finished:
            self._storage.keep_out(item.item_id)  # Also when it was emptied: nobody looks into the folder again.
            self._storage.write_outcome(item.item_id, outcome_of(wanted))

    def apply(self, item: Item) -> bool:
        """Bring the item's folder where its record says. False if that must be tried again."""
        try:
            self._bring(item)
        except DiskFault:
            raise
        except NotFound:
            self.pending.discard(item.item_id)  # Nothing to move; whoever needs the original will find it missing.
            return False
        except DmcError as problem:
            _LOG.warning("a folder was not moved", item=item.item_id, to=PLACE_OF[item.status], reason=problem)
            self.pending.add(item.item_id)
            return False
        self.pending.discard(item.item_id)
        return True

    def _bring(self, item: Item) -> None:
        if item.status is not Status.TO_DO:
            self._storage.advance(item.item_id, PLACE_OF[item.status])
            return
        was_finished = self._storage.place_of(item.item_id) is Place.FINISHED
        self._storage.empty_out(item.item_id)
        self._storage.advance(item.item_id, Place.TO_DO)
        if was_finished:
            # A folder in finished/ proves that its outcome was committed. This one must not be back there after a power cut
            # when outcome.json tells of the next attempt.
            self._storage.sync_places()

    def catch_up(self) -> None:
        """Try again what could not be applied."""
        for item_id in sorted(self.pending):
            item = self._ledger.get(item_id)
            if item is None:
                self.pending.discard(item_id)
            else:
                self.apply(item)

    def drop_original(self, item: Item) -> None:
        """Give up the original of a finished item. First the file, durably, then the record says so; cut between, it is done again."""
        self._storage.drop_file(item.item_id, item.current_file_name)
        with contextlib.suppress(Conflict):  # Changed meanwhile: seen again at the next walk.
            self.commit(item, item.changed(gone="original"))

    def remove(self, item: Item) -> None:
        """Delete an item whose wish says so. First the files, durably, then the record: see wishes.py.

        What somebody deleted is remembered before that; what went by its days is not, since its client may still wait for it.
        """
        if item.trashed_at is not None:
            with contextlib.suppress(DiskFull):  # Deleting makes room; at worst the client offers its file once more.
                self._storage.note_deleted(item.item_id, item.client_id)
        self._storage.remove(item.item_id)
        try:
            self._ledger.change([Delete(item.item_id, expected_version=item.version)], self._guard)
        except Conflict:
            return  # Changed meanwhile; the wish still stands in it and is seen again.
