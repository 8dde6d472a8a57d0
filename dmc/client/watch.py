"""Hears events of the file system: the only file that knows watchdog. What it hears is a hint; the walk is the truth.

A handler only notes a path and cannot raise. Every root has an observer of its own; `tend` restarts what died, hears less than it
should or watches a folder that was replaced, and lets the root be walked then. Roots on network file systems are not listened to.
"""

import logging
import os
import random
import warnings
from collections.abc import Sequence
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from dmc.client.hints import Hints
from dmc.client.roots import Root
from dmc.clock import Clock, backoff
from dmc.log import Log

_LOG = Log("client")

TEND_S = 1.0
CAP_S = 30.0
"""Seconds between tries to listen to a folder that cannot be listened to."""
JOIN_S = 5.0

_HEARD: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileModifiedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileMovedEvent,
    DirCreatedEvent,
    DirMovedEvent,
]
"""Not opened and closed-without-writing: our own reading would answer itself."""


class Watcher:
    """The watcher of all observed folders; see `Watch` in sync.py."""

    def __init__(self, clock: Clock, draw: random.Random | None = None) -> None:
        self._clock = clock
        self._draw = draw or random.Random()  # noqa: S311 - spreads tries, guards no secret
        self._ears: list[Ear] = []
        self._trouble: Trouble | None = None
        self._tended_at = float("-inf")

    def start(self, roots: Sequence[Root], hints: Hints) -> None:
        """Listen to every root that can be listened to."""
        self._ears = [Ear(root, hints) for root in roots if not root.polled]
        self._trouble = Trouble([ear.root.key for ear in self._ears], hints)
        logging.getLogger("watchdog").addHandler(self._trouble)
        # It says so when a fresh folder is listened to twice, which is harmless; where warnings are errors its thread would end.
        warnings.filterwarnings("ignore", message="Callback with id", category=RuntimeWarning)
        self.tend()

    def tend(self) -> None:
        """See that every root is heard."""
        now = self._clock.monotonic()
        if now - self._tended_at < TEND_S:
            return
        self._tended_at = now
        for ear in self._ears:
            ear.tend(now, self._draw)

    def close(self) -> None:
        for ear in self._ears:
            ear.stop()
        self._ears = []
        if self._trouble is not None:
            logging.getLogger("watchdog").removeHandler(self._trouble)
            self._trouble = None


class Ear:
    """Listens to one root."""

    def __init__(self, root: Root, hints: Hints) -> None:
        self.root = root
        self._hints = hints
        self._observer: BaseObserver | None = None
        self._place: tuple[int, int] | None = None
        self._failures = 0
        self._next_try = float("-inf")

    def tend(self, now: float, draw: random.Random) -> None:
        if self._observer is not None and self._is_sound():
            self._failures = 0
            self._compare()
        elif now >= self._next_try:
            self._restart(now, draw)

    def stop(self) -> None:
        """End the observer and its threads."""
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            if observer.ident is not None:
                observer.join(JOIN_S)

    def _is_sound(self) -> bool:
        """All threads live, and the root is still the folder that they listen to."""
        observer = self._observer
        reader = getattr(observer, "_inotify_fd", None)
        return (
            observer is not None
            and observer.is_alive()
            and bool(observer.emitters)
            and all(emitter.is_alive() for emitter in observer.emitters)
            and (reader is None or reader.is_alive())
            and _place_of(self.root.observed.path) == self._place
        )

    def _restart(self, now: float, draw: random.Random) -> None:
        was_heard = self._observer is not None
        self.stop()
        try:
            self._listen()
        except OSError as problem:
            if was_heard or self._failures == 0:
                _LOG.warning("not listening", root=self.root.observed.path.name, reason=problem.strerror or str(problem))
            self.root.deaf = True
            self._next_try = now + backoff(self._failures, cap=CAP_S, draw=draw)
            self._failures += 1
            return
        self.root.deaf = False
        # Between the old ear and the new one nothing was heard.
        self._hints.whole(self.root.key)

    def _listen(self) -> None:
        path = self.root.observed.path
        self._place = _place_of(path)
        if self._place is None:
            raise FileNotFoundError(2, "the folder is not there")
        observer = Observer()
        self._observer = observer
        observer.schedule(Handler(self.root.key, self._hints), str(path), recursive=True, event_filter=_HEARD)
        observer.start()

    def _compare(self) -> None:
        """Fewer watches than folders means that the system's limit was reached: the rest is found by walking more often."""
        watches = _watches_of(self._observer)
        deaf = watches is not None and watches < self.root.folders
        if deaf and not self.root.deaf:
            _LOG.warning("too many folders", root=self.root.observed.path.name, watches=watches, folders=self.root.folders)
        self.root.deaf = deaf


class Handler(FileSystemEventHandler):
    """Notes where something happened. An exception here would end the observer's thread, so it does nothing else."""

    def __init__(self, root: str, hints: Hints) -> None:
        self._root = root
        self._hints = hints

    def dispatch(self, event: FileSystemEvent) -> None:
        path = os.fsdecode(event.dest_path or event.src_path)
        if event.is_directory:
            self._hints.folder(self._root, path)
        else:
            self._hints.path(self._root, path)


class Trouble(logging.Handler):
    """watchdog tells of lost events only in its log; whatever it warns of, every root is walked."""

    def __init__(self, roots: Sequence[str], hints: Hints) -> None:
        super().__init__(logging.WARNING)
        self._roots = roots
        self._hints = hints

    def emit(self, record: logging.LogRecord) -> None:
        _LOG.warning("watcher in trouble", said=record.getMessage())
        for root in self._roots:
            self._hints.whole(root)


def _place_of(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def _watches_of(observer: BaseObserver | None) -> int | None:
    """How many folders are listened to; None where it cannot be told."""
    groups = [getattr(emitter, "_inotify", None) for emitter in observer.emitters] if observer else []
    heard = [getattr(group, "_active_callbacks_by_path", None) for group in groups]
    return None if not heard or None in heard else sum(len(paths) for paths in heard if paths is not None)
