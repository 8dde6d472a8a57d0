"""The watcher with real events: everything waits for what it expects, with a deadline."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dmc.client.hints import MOST_PATHS, Heard, Hints
from dmc.client.model import ObservedPath
from dmc.client.roots import Root, Roots
from dmc.client.watch import Handler, Watcher
from dmc.clock import ManualClock
from tests.patience import PATIENCE_S


class Ears:
    """A watcher over a folder, and what it heard so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wake = threading.Event()
        self.hints = Hints(self.wake)
        self.clock = ManualClock()
        self.roots = Roots([ObservedPath(folder)])
        self.watcher = Watcher(self.clock)
        self.paths: set[str] = set()
        self.folders: set[str] = set()
        self.wholes = 0

    @property
    def root(self) -> Root:
        return self.roots.all[0]

    def start(self) -> None:
        self.watcher.start(self.roots.all, self.hints)

    def collect(self) -> None:
        for heard in self.hints.take().values():
            self.paths |= heard.paths
            self.folders |= heard.folders
            self.wholes += heard.whole

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        self.collect()
        while not true():
            assert self.wake.wait(max(0.0, deadline - time.monotonic())), f"heard only {self.paths} {self.folders} {self.wholes}"
            self.wake.clear()
            self.collect()

    def tend(self) -> None:
        self.clock.advance(60)
        self.watcher.tend()

    def until_tended(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not true():
            assert time.monotonic() < deadline
            self.tend()
            self.collect()
            self.wake.wait(0.05)


@pytest.fixture
def ears(tmp_path: Path) -> Iterator[Ears]:
    folder = tmp_path / "drop"
    folder.mkdir()
    made = Ears(folder)
    made.start()
    made.collect()
    made.wholes = 0
    yield made
    made.watcher.close()


def test_C1_listening_begins_with_a_walk_of_the_whole_root(tmp_path: Path) -> None:
    made = Ears(tmp_path)
    made.start()
    made.collect()
    assert made.wholes == 1
    made.watcher.close()


def test_C2_files_written_renamed_linked_and_in_fresh_folders_are_heard(ears: Ears, tmp_path: Path) -> None:
    (ears.folder / "written.mp4").write_bytes(b"x")
    (tmp_path / "outside.mp4").write_bytes(b"x")
    (tmp_path / "outside.mp4").rename(ears.folder / "renamed in.mp4")
    os.link(ears.folder / "written.mp4", ears.folder / "linked.mp4")
    odd = os.fsdecode(b"odd \xff\n.mp4")
    (ears.folder / odd).write_bytes(b"x")
    wanted = {str(ears.folder / name) for name in ("written.mp4", "renamed in.mp4", "linked.mp4", odd)}
    ears.until(lambda: wanted <= ears.paths)
    (ears.folder / "a/b/c").mkdir(parents=True)
    (ears.folder / "a/b/c/deep.mp4").write_bytes(b"x")
    ears.until(lambda: str(ears.folder / "a/b/c/deep.mp4") in ears.paths or str(ears.folder / "a") in ears.folders)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/inside.mp4").write_bytes(b"x")
    (tmp_path / "tree").rename(ears.folder / "tree")
    ears.until(lambda: str(ears.folder / "tree") in ears.folders)


def test_C2_our_own_reading_is_not_heard(ears: Ears) -> None:
    path = ears.folder / "clip.mp4"
    path.write_bytes(b"x")
    ears.until(lambda: str(path) in ears.paths)
    (ears.folder / "first.mp4").write_bytes(b"x")
    ears.until(lambda: str(ears.folder / "first.mp4") in ears.paths)
    ears.paths.clear()
    path.read_bytes()
    (ears.folder / "marker.mp4").write_bytes(b"x")
    ears.until(lambda: str(ears.folder / "marker.mp4") in ears.paths)
    assert str(path) not in ears.paths


def test_C3_more_dirty_paths_than_the_bound_become_one_walk() -> None:
    hints = Hints(threading.Event())
    for number in range(MOST_PATHS + 1):
        hints.path("root", f"/drop/{number}")
    hints.path("root", "/drop/one more")
    hints.folder("root", "/drop/folder")
    assert hints.take() == {"root": Heard(whole=True)}
    assert hints.take() == {}


def test_C3_C4_whatever_watchdog_warns_of_leads_to_a_walk(ears: Ears) -> None:
    logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed; filesystem events were lost")
    ears.until(lambda: ears.wholes == 1)


def test_C5_a_dead_observer_is_replaced_and_the_root_walked(ears: Ears) -> None:
    observer = ears.watcher._ears[0]._observer
    assert observer is not None
    observer.stop()
    observer.join(PATIENCE_S)
    ears.until_tended(lambda: ears.wholes == 1)
    (ears.folder / "clip.mp4").write_bytes(b"x")
    ears.until(lambda: str(ears.folder / "clip.mp4") in ears.paths)


def test_C5_a_dead_emitter_is_noticed_though_its_observer_lives(ears: Ears) -> None:
    observer = ears.watcher._ears[0]._observer
    assert observer is not None
    (emitter,) = observer.emitters
    emitter.stop()
    emitter.join(PATIENCE_S)
    assert observer.is_alive()
    ears.until_tended(lambda: ears.wholes == 1)


def test_C5_fewer_watches_than_folders_are_reported_and_walked_more_often(ears: Ears, caplog: pytest.LogCaptureFixture) -> None:
    ears.root.folders = 1
    ears.tend()
    assert not ears.root.deaf
    ears.root.folders = 5
    ears.tend()
    assert ears.root.deaf


def test_C6_a_root_that_is_replaced_is_heard_again(ears: Ears) -> None:
    ears.folder.rename(ears.folder.with_name("old"))
    ears.tend()
    assert ears.root.deaf
    ears.folder.mkdir()
    ears.until_tended(lambda: ears.wholes == 1)
    (ears.folder / "clip.mp4").write_bytes(b"x")
    ears.until(lambda: str(ears.folder / "clip.mp4") in ears.paths)
    assert not ears.root.deaf


def test_C7_roots_on_network_file_systems_are_not_listened_to(tmp_path: Path) -> None:
    ears = Ears(tmp_path)
    ears.root.polled = True
    ears.start()
    assert ears.watcher._ears == []
    ears.watcher.close()


def test_a_system_without_room_for_listeners_is_walked_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def instance_limit_reached() -> None:
        raise OSError(24, "inotify instance limit reached")

    monkeypatch.setattr("dmc.client.watch.Observer", instance_limit_reached)
    ears = Ears(tmp_path)
    ears.start()
    assert ears.root.deaf
    monkeypatch.undo()
    ears.until_tended(lambda: ears.wholes == 1)
    assert not ears.root.deaf
    ears.watcher.close()


def test_C2_a_handler_takes_any_event_without_a_word() -> None:
    from watchdog import events

    hints = Hints(threading.Event())
    handler = Handler("root", hints)
    for kind in (events.FileCreatedEvent, events.FileModifiedEvent, events.FileClosedEvent, events.DirCreatedEvent):
        handler.dispatch(kind(b"/drop/\xff"))
        handler.dispatch(kind("/drop/x"))
        handler.dispatch(kind(""))
    handler.dispatch(events.FileMovedEvent("/drop/x", ""))
    handler.dispatch(events.FileMovedEvent("", "/drop/y"))
    assert "/drop/y" in hints.take()["root"].paths
