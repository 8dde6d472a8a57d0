"""Start-up: bring ledger and folders together again, whatever was cut short. May itself be cut anywhere and begun again.

The judgement is reconcile.py's; this file gathers the facts and carries the corrections out, through the same keeper as
everyday changes. Its cost grows with unfinished items, not with finished ones.
"""

from collections.abc import Iterator

from dmc.broker import outcomes
from dmc.broker.keeper import Keeper
from dmc.broker.ledger import Ledger
from dmc.broker.reconcile import Facts, Verb, correction
from dmc.broker.storage import Place, Storage
from dmc.clock import Clock, rfc3339
from dmc.errors import TornLedger
from dmc.items import Item, Status
from dmc.log import Log

_LOG = Log("broker")
_LIVE_PLACES = (Place.INCOMING, Place.TO_DO, Place.IN_PROGRESS)
_SETTLED_PLACES = (Place.TO_DO, Place.IN_PROGRESS, Place.FINISHED)
_PAGE = 1000
_OLD_S = 3600.0
"""A temporary file of this age is nobody's any more."""


class Recovery:
    """One start-up; see the top of this file. The caller holds broker.lock."""

    def __init__(
        self, ledger: Ledger, storage: Storage, keeper: Keeper, clock: Clock, *, expiry_s: float, was_frozen: bool = False
    ) -> None:
        self._ledger = ledger
        self._storage = storage
        self._keeper = keeper
        self._clock = clock
        self._expiry_s = expiry_s
        self._was_frozen = was_frozen

    def run(self) -> None:
        """Correct everything that needs it. Raises TornLedger rather than take every folder for a foreign one."""
        self._check_not_emptied()
        for moved in self._storage.sweep(self._clock.now().timestamp() - _OLD_S):
            _LOG.warning("a foreign file was moved", what=moved)
        for item_id in sorted({found.item_id for found in self._storage.places(_LIVE_PLACES)} | set(self._ids())):
            item = self._ledger.get(item_id)
            if item is not None:
                self._storage.tidy(item_id)
            verb = correction(item, self._facts(item_id, item), expiry_s=self._expiry_s)
            if verb != "leave":
                (_LOG.debug if verb == "move" else _LOG.info)("corrected", item=item_id, by=verb)
                self._correct(verb, item_id, item)
        self._storage.sync_places()
        self._ledger.checkpoint()

    def _check_not_emptied(self) -> None:
        """A ledger that never held anything does not go with folders of items: its index was lost, or is of another kind."""
        if self._ledger.seq == 0 and any(found.has_ticket for found in self._storage.places(_SETTLED_PLACES)):
            raise TornLedger("there are items, and the ledger is empty.", "Was the index lost? Then: dmc broker rebuild")

    def _ids(self) -> Iterator[str]:
        for status in (Status.TO_DO, Status.IN_PROGRESS):
            for item in every(self._ledger, status):
                yield item.item_id
        for item in self._ledger.wished():
            yield item.item_id

    def _facts(self, item_id: str, item: Item | None) -> Facts:
        place = self._storage.place_of(item_id)
        if place is None:
            return Facts(None)
        found = outcomes.read_outcome(self._storage.read_outcome(item_id)) if place is Place.FINISHED else None
        touched = self._storage.touched_at(item_id)
        return Facts(
            place,
            size=None if item is None else self._storage.size_of(item_id, item.current_file_name),
            outcome=found,
            idle_s=0.0 if touched is None else self._clock.now().timestamp() - touched,
        )

    def _correct(self, verb: Verb, item_id: str, item: Item | None) -> None:
        if item is None:
            if verb == "drop":
                self._storage.abandon(item_id)
            elif verb == "quarantine":
                self._storage.set_aside(item_id)
        elif verb == "move":
            self._keeper.apply(item)
        elif verb == "remove":
            self._keeper.remove(item)
        elif verb == "adopt":
            self._adopt(item)
        else:
            self._keeper.carry_out(item_id, lambda now: self._next(verb, now))

    def _next(self, verb: Verb, item: Item) -> Item | None:
        """The record after a correction; None for an item that is finished by now."""
        if item.status.is_finished:
            return None
        now = rfc3339(self._clock.now())
        if verb in ("missing", "changed"):
            return outcomes.failed(item, (outcomes.MISSING if verb == "missing" else outcomes.CHANGED,), now)
        if self._was_frozen:  # What stood still brought nothing down.
            return outcomes.put_back(item, (outcomes.CUT_SHORT,))
        return outcomes.crashed(item, (outcomes.CUT_SHORT,), now)

    def _adopt(self, item: Item) -> None:
        """The place proves a terminal line that was lost; say it again. Its folder is complete and stays as it is."""
        outcome = outcomes.read_outcome(self._storage.read_outcome(item.item_id))
        if outcome is None:
            return
        if item.status is Status.TO_DO:
            item = self._keeper.commit(item, outcomes.claimed(item, outcome.started_at or rfc3339(self._clock.now())))
        self._keeper.commit(item, outcomes.adopted(item, outcome))


def every(ledger: Ledger, status: Status | None = None) -> Iterator[Item]:
    """All items of a status, page by page."""
    after = ""
    while page := ledger.select(status, after=after, limit=_PAGE):
        yield from page
        after = page[-1].item_id
