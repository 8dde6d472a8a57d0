"""The ledger against a dictionary, in any order that hypothesis can think of, on every variant; durable ones are opened anew at will."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from dmc.broker.ledger import Delete, Ledger, Put
from dmc.errors import Conflict, WrongStatus
from dmc.items import TRANSITIONS, ItemIds, Status, Wish
from tests.broker.fakes import an_item
from tests.contracts.test_ledger import DURABLE, in_memory

IDS = ItemIds()
CLIENTS = ("laptop", "desk", 'odd "client": {}\\')


class LedgerMachine(RuleBasedStateMachine):
    """One ledger, a second view of it where it is durable, and what both must say."""

    items = Bundle("items")
    open_ledger: Callable[[Path], Ledger]
    is_durable: bool

    @initialize()
    def begin(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.ledger = type(self).open_ledger(self.path)
        self.other = type(self).open_ledger(self.path) if self.is_durable else self.ledger
        self.known, self.followed, self.seen = {}, {}, self.other.seq

    @rule(target=items, client=st.sampled_from(CLIENTS), name=st.text(max_size=8), key=st.none() | st.sampled_from("kl"))
    def add(self, client, name, key):
        name = name.encode("utf-8", "replace").decode()
        item = an_item(IDS.next(), client_id=client, original_file_name=name, idempotency_key=key)
        self.ledger.change([Put(item, 0)])
        self.known[item.item_id] = item
        return item.item_id

    @rule(item_id=items, to=st.sampled_from(Status), elsewhere=st.booleans())
    def change_status(self, item_id, to, elsewhere):
        item = self.known.get(item_id)
        if item is None:
            return
        wanted = item.model_copy(update={"status": to, "version": item.version + 1})
        ledger = self.other if elsewhere else self.ledger
        if to is item.status or (item.status, to) in TRANSITIONS:
            ledger.change([Put(wanted, item.version)])
            self.known[item_id] = wanted
        else:
            with pytest.raises(WrongStatus):
                ledger.change([Put(wanted, item.version)])

    @rule(item_id=items)
    def change_from_a_stale_version(self, item_id):
        item = self.known.get(item_id)
        stale = 3 if item is None else item.version + 1
        with pytest.raises(Conflict):
            self.ledger.change([Put(an_item(item_id, version=stale + 1, status=item.status if item else Status.TO_DO), stale)])

    @rule(item_id=items)
    def delete(self, item_id):
        item = self.known.get(item_id)
        if item is None:
            return
        if item.status.is_finished:
            self.ledger.change([Delete(item_id, item.version)])
            del self.known[item_id]
        else:
            with pytest.raises(WrongStatus):
                self.ledger.change([Delete(item_id, item.version)])

    @rule(chosen=st.lists(items, min_size=2, max_size=4, unique=True), spoiled=st.booleans())
    def change_several_at_once(self, chosen, spoiled):
        there = [self.known[item_id] for item_id in chosen if item_id in self.known]
        wanted = [item.changed(priority=item.priority + 1, wish=Wish.CANCEL) for item in there]
        ops = [Put(item, item.version - 1) for item in wanted]
        if spoiled:
            with pytest.raises(Conflict):
                self.ledger.change([*ops, Put(an_item(IDS.next(), version=9), 8)])
        else:
            self.ledger.change(ops)
            self.known |= {item.item_id: item for item in wanted}

    @rule()
    def checkpoint(self):
        self.ledger.checkpoint()

    @precondition(lambda self: self.is_durable)
    @rule()
    def open_anew(self):
        self.ledger.close()
        self.ledger = type(self).open_ledger(self.path)

    @rule()
    def follow(self):
        now = self.other.seq
        changes = self.other.changes_since(self.seen)
        assert changes is not None
        for change in changes:
            if change.item is None:
                self.followed.pop(change.item_id, None)
            else:
                self.followed[change.item_id] = change.item
        self.seen = now
        assert self.followed == self.known

    @invariant()
    def says_what_is_known(self):
        if not hasattr(self, "known"):
            return
        for ledger in (self.ledger, self.other):
            listed = ledger.select(limit=1000)
            assert listed == [self.known[item_id] for item_id in sorted(self.known)]
            assert ledger.counts() == {status: sum(item.status is status for item in listed) for status in Status}
        for client in CLIENTS:
            mine = [item for item in listed if item.client_id == client]
            assert self.ledger.select(client_id=client) == mine
            with_key = [item for item in mine if item.idempotency_key == "k"]
            assert self.ledger.with_key(client, "k") == (with_key[-1] if with_key else None)
        assert self.ledger.wished() == [item for item in listed if item.wish is not None]
        assert self.ledger.newest_id() == max(self.known, default=None)

    def teardown(self):
        if hasattr(self, "folder"):
            assert self.ledger.verify().findings == ()
            self.ledger.close()
            self.folder.cleanup()


@pytest.mark.parametrize("variant", [*DURABLE, in_memory], ids=lambda variant: variant.__name__)
def test_it_behaves_like_a_dictionary(variant):
    machine = type("Machine", (LedgerMachine,), {"open_ledger": staticmethod(variant), "is_durable": variant in DURABLE})
    chosen = settings(max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    run_state_machine_as_test(machine, settings=chosen)
