"""The storage against a dictionary, in any order that hypothesis can think of, on every variant; opened anew at will."""

import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from dmc.broker.storage import Found, Place
from dmc.broker.storage_dirs import StorageDirs
from dmc.errors import DiskFault, NotFound
from dmc.items import ItemIds
from tests.contracts.test_storage import Shelf, dirs, memory

IDS = ItemIds()
CONTENTS = (b"", b"original", b"another original")
NAMES = ("result.mkv", "receipt.json", "cover.jpg")


class Shadow:
    """What is known of one item: its place, and every file in its folder by path, links as links to one list of bytes."""

    def __init__(self, content: bytes) -> None:
        self.place = Place.INCOMING
        self.files: dict[str, bytes] = {"original.mov": content}
        self.has_out = False
        self.ticket: dict[str, object] | None = None
        self.outcome: dict[str, object] | None = None

    def names(self) -> list[str]:
        made = {"ticket.json"} if self.ticket else set()
        made |= {"outcome.json"} if self.outcome else set()
        made |= {"out"} if self.has_out else set()
        return sorted(made | {path for path in self.files if "/" not in path})

    def out(self) -> dict[str, bytes]:
        return {path: content for path, content in self.files.items() if path.startswith("out/")}


class StorageMachine(RuleBasedStateMachine):
    """One storage, and what it must say."""

    items = Bundle("items")
    make: Callable[[Path], Shelf]

    @initialize()
    def begin(self):
        self.folder = tempfile.TemporaryDirectory()
        self.data = Path(self.folder.name) if type(self).make is dirs else Path("/data")
        shelf = type(self).make(self.data)
        self.storage, self.disk = shelf.storage, shelf.disk
        self.known: dict[str, Shadow] = {}
        self.in_quarantine = 0

    def at(self, item_id: str) -> Path:
        return self.storage.folder(item_id)

    # --- Arriving --------------------------------------------------------------------------------------------------

    @rule(target=items, content=st.sampled_from(CONTENTS))
    def arrive(self, content):
        item_id = IDS.next()
        self.disk.write(self.storage.arrive(item_id) / "original.mov", content)
        self.known[item_id] = Shadow(content)
        return item_id

    @rule(item_id=items)
    def arrive_twice(self, item_id):
        if item_id in self.known and self.known[item_id].place is Place.INCOMING:
            with pytest.raises(DiskFault):
                self.storage.arrive(item_id)

    @rule(item_id=items, colour=st.sampled_from("rgb"))
    def admit(self, item_id, colour):
        shadow = self.known.get(item_id)
        if shadow is not None and shadow.place is Place.INCOMING:
            self.storage.admit(item_id, "original.mov", {"colour": colour})
            shadow.ticket = {"colour": colour}

    @rule(item_id=items)
    def abandon(self, item_id):
        self.storage.abandon(item_id)
        if item_id in self.known and self.known[item_id].place is Place.INCOMING:
            del self.known[item_id]

    # --- Moving and working ----------------------------------------------------------------------------------------

    @rule(item_id=items, to=st.sampled_from(Place))
    def advance(self, item_id, to):
        if item_id in self.known:
            self.storage.advance(item_id, to)
            self.known[item_id].place = to
        else:
            with pytest.raises(NotFound):
                self.storage.advance(item_id, to)

    @rule(item_id=items)
    def empty_out(self, item_id):
        shadow = self.known.get(item_id)
        if shadow is None:
            with pytest.raises(NotFound):
                self.storage.empty_out(item_id)
            return
        self.storage.empty_out(item_id)
        shadow.has_out = True
        shadow.files = {path: content for path, content in shadow.files.items() if not path.startswith("out/")}

    @rule(item_id=items, name=st.sampled_from(NAMES), content=st.sampled_from(CONTENTS))
    def a_worker_writes(self, item_id, name, content):
        shadow = self.known.get(item_id)
        if shadow is not None and shadow.has_out and f"out/{name}" not in shadow.files:
            self.disk.write(self.at(item_id) / "out" / name, content)
            shadow.files[f"out/{name}"] = content

    @rule(item_id=items)
    def keep_out(self, item_id):
        if item_id in self.known:
            self.storage.keep_out(item_id)

    @rule(one=items, other=items)
    def share(self, one, other):
        source, target = self.known.get(one), self.known.get(other)
        if source is None or target is None or one == other or not target.has_out or target.out():
            return
        if source.files["original.mov"] != target.files["original.mov"]:
            return
        assert self.storage.share(one, "original.mov", other, "original.mov")
        target.files |= source.out()

    @rule(item_id=items, attempt=st.integers(1, 3))
    def write_outcome(self, item_id, attempt):
        if item_id in self.known:
            self.storage.write_outcome(item_id, {"attempt": attempt})
            self.known[item_id].outcome = {"attempt": attempt}
        else:
            with pytest.raises(NotFound):
                self.storage.write_outcome(item_id, {"attempt": attempt})

    # --- Going -----------------------------------------------------------------------------------------------------

    @rule(item_id=items)
    def remove(self, item_id):
        self.storage.remove(item_id)
        self.known.pop(item_id, None)

    @rule(item_id=items)
    def set_aside(self, item_id):
        self.storage.set_aside(item_id)
        if self.known.pop(item_id, None) is not None:
            self.in_quarantine += 1

    @rule(place=st.sampled_from(Place), name=st.sampled_from(("notes.txt", "Thumbs.db")))
    def something_foreign_is_swept(self, place, name):
        self.disk.write(self.data / place / name, b"mine")
        assert len(self.storage.sweep(math.inf)) == 1
        self.in_quarantine += 1

    @rule(item_id=items)
    def something_cut_short_is_tidied(self, item_id):
        if item_id in self.known:
            self.disk.write(self.at(item_id) / ".dmc-0123456789ab", b"half")
            self.storage.tidy(item_id)

    @rule()
    def open_anew(self):
        self.storage.sync_places()
        free = self.storage.free_bytes
        self.storage = StorageDirs(self.data, self.disk)
        self.storage.free_bytes = free
        self.storage.prepare()
        assert self.storage.sweep(math.inf) == []

    # --- What must hold --------------------------------------------------------------------------------------------

    @invariant()
    def says_what_is_known(self):
        if not hasattr(self, "known"):
            return
        by_id = sorted(self.storage.places(), key=lambda found: found.item_id)
        assert by_id == [Found(item_id, one.place, one.ticket is not None) for item_id, one in sorted(self.known.items())]
        for item_id, one in self.known.items():
            folder = self.at(item_id)
            assert (self.storage.place_of(item_id), folder) == (one.place, self.data / one.place / item_id)
            assert self.disk.names(folder) == one.names()
            assert {f"out/{name}" for name in self.disk.names(folder / "out")} == set(one.out())
            for path, content in one.files.items():
                assert (self.disk.read(folder / path), self.storage.size_of(item_id, path)) == (content, len(content))
            assert (self.storage.read_ticket(item_id), self.storage.read_outcome(item_id)) == (one.ticket, one.outcome)
            assert self.storage.touched_at(item_id) is not None
        assert len(self.disk.names(self.data / "quarantine")) == self.in_quarantine
        assert self.storage.free_bytes() > 0

    def teardown(self):
        if hasattr(self, "folder"):
            self.folder.cleanup()


@pytest.mark.parametrize("variant", [dirs, memory], ids=lambda variant: variant.__name__)
def test_it_behaves_like_a_dictionary(variant):
    machine = type("Machine", (StorageMachine,), {"make": staticmethod(variant)})
    chosen = settings(max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    run_state_machine_as_test(machine, settings=chosen)
