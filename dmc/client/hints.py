"""What the watcher heard: paths worth a look, and folders worth a walk. A hint is never trusted, only followed.

Any thread may give hints; the sync thread takes them. Past a bound, single paths give way to one walk of the whole root, so
that memory stays flat whatever happens in a folder.
"""

import threading
from dataclasses import dataclass, field

MOST_PATHS = 512
"""Dirty paths of one root before it is walked as a whole."""


@dataclass(slots=True)
class Heard:
    """What was heard of one root since it was last taken."""

    paths: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    whole: bool = False


class Hints:
    """A bounded, thread-safe collection of hints per root. `wake` is set with every hint."""

    def __init__(self, wake: threading.Event) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._heard: dict[str, Heard] = {}

    def path(self, root: str, path: str) -> None:
        """Something happened to the file at `path`."""
        with self._lock:
            heard = self._heard.setdefault(root, Heard())
            if not heard.whole:
                heard.paths.add(path)
                self._bound(heard)
        self._wake.set()

    def folder(self, root: str, path: str) -> None:
        """A folder came to be, or came here, with whatever is in it."""
        with self._lock:
            heard = self._heard.setdefault(root, Heard())
            if not heard.whole:
                heard.folders.add(path)
                self._bound(heard)
        self._wake.set()

    def whole(self, root: str) -> None:
        """Events may have been lost: walk the root."""
        with self._lock:
            self._heard[root] = Heard(whole=True)
        self._wake.set()

    def take(self) -> dict[str, Heard]:
        """All that was heard since the last call, by root."""
        with self._lock:
            heard, self._heard = self._heard, {}
        return heard

    @staticmethod
    def _bound(heard: Heard) -> None:
        if len(heard.paths) + len(heard.folders) > MOST_PATHS:
            heard.paths, heard.folders, heard.whole = set(), set(), True
