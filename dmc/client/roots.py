"""The observed folders as they are now: which rules hold in each, what is shut out, when each is walked next, and whether it is there.

Nothing is ever inferred from a folder that is away, empty or another one: a disk may not be mounted. Belongs to the sync thread.
"""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from dmc.client.hints import Heard
from dmc.client.ignore import IgnoreRules
from dmc.client.left import Left
from dmc.client.model import ObservedPath, Timing
from dmc.client.records import encode_path
from dmc.client.scan import Found, Passed, RootState, Tally, root_state, walk
from dmc.client.settle import Signature
from dmc.log import Log
from dmc.mounts import is_polled

_LOG = Log("client")


def _home_state(observed: ObservedPath) -> RootState:
    return RootState.PRESENT if observed.apart is None else root_state(observed.apart)


class Root:
    """One observed folder. `polled`: events cannot be relied on there. `folders`: how many the last whole walk went into.

    `deaf`: the watcher does not hear all of it at present, so it is walked as often as a polled one.
    """

    def __init__(
        self,
        observed: ObservedPath,
        shut: frozenset[Path],
        *,
        polled: bool,
        see: Callable[[Path], RootState] = root_state,
        see_home: Callable[[ObservedPath], RootState] = _home_state,
        left: Left | None = None,
    ) -> None:
        self.observed = observed
        self._left = left
        self.key = encode_path(observed.path)
        self.polled = polled
        self.state = RootState.PRESENT
        self.next_walk_at = 0.0
        self.folders = 0
        self.deaf = False
        self.home = RootState.PRESENT
        self._see = see
        self._see_home = see_home
        self._shut = shut
        self._rules = IgnoreRules(observed.patterns)
        self._folders: list[Path] = []
        self._walk: Iterator[Found | Passed] | None = None
        self._tally: Tally | None = None
        self._base = str(observed.path)

    def takes(self, path: str) -> bool:
        """Whether a file at `path` may be a drop, by its name and place alone."""
        if not path.startswith(self._base.rstrip("/") + "/"):
            return False
        here = Path(path)
        if any(here == folder or folder in here.parents for folder in self._shut):
            return False
        return not self._rules.ignores(path[len(self._base.rstrip("/")) + 1 :])

    def passes(self, folder: Path, name: str) -> bool:
        """Whether no rule ignores `name` in a `folder` that passed."""
        if self._rules.by_name_alone:
            return not self._rules.ignores_name(name)
        return not self._rules.ignores_entry(os.path.join(folder, name)[len(self._base.rstrip("/")) + 1 :])

    def leaves(self, path: str, signature: Signature) -> bool:
        """Whether the file lay there before the folder was observed, and is to be left alone."""
        return self._left is not None and self._left.holds(path, signature)

    def hear(self, heard: Heard, now: float) -> None:
        """Follow hints about folders; those about single files are the caller's."""
        if heard.whole:
            self.next_walk_at = now
        self._folders.extend(Path(folder) for folder in heard.folders if self.takes(folder))

    def walking(self, now: float, timing: Timing, draw: random.Random) -> Iterator[Found | Passed]:
        """The walk that is under way, if any is: of the whole root when it is time, else of folders that were hinted at."""
        if self._walk is None:
            if now >= self.next_walk_at:
                self._folders.clear()
                if self._left is not None and not self._left.made and not self.is_offline():
                    self._left.make(walk(self.observed.path, self._rules, self._shut))  # Nobody listed them when it was added.
                interval = timing.rescan_polled_s if self.polled or self.deaf else timing.rescan_s
                self.next_walk_at = now + interval * draw.uniform(0.75, 1.25)
                self._tally = Tally()
                self.home_is_offline()  # So that it is marked before it ever goes away.
                self._walk = iter(()) if self.is_offline() else walk(self.observed.path, self._rules, self._shut, tally=self._tally)
            elif self._folders:
                start = self._folders.pop()
                self._walk = iter(()) if self.is_offline() else walk(self.observed.path, self._rules, self._shut, start)
        return self._walk if self._walk is not None else iter(())

    def walked(self) -> None:
        """The walk under way came to its end."""
        if self._walk is not None and self._tally is not None:
            self.folders, self._tally = self._tally.folders, None
        self._walk = None

    def has_work(self, now: float) -> bool:
        return self._walk is not None or bool(self._folders) or now >= self.next_walk_at

    def is_there(self) -> bool:
        """Whether a file that is missing below this root is really gone, rather than the whole root."""
        self._look()
        return self.state is RootState.PRESENT

    def is_offline(self) -> bool:
        """Whether it is not there, or another folder is in its place."""
        self._look()
        return self.state.is_offline

    def home_is_there(self) -> bool:
        """Whether a result that is missing is really gone, rather than the disk it lies on."""
        return (self.observed.apart is not None or self.is_there()) and self._look_home() is RootState.PRESENT

    def home_is_offline(self) -> bool:
        """Whether results would land on what is not their folder, or in no folder at all."""
        return (self.observed.apart is None and self.is_offline()) or self._look_home().is_offline

    def _look_home(self) -> RootState:
        before, self.home = self.home, self._see_home(self.observed)
        _tell("output", self.observed.results, before, self.home)
        return self.home

    def _look(self) -> None:
        before, self.state = self.state, self._see(self.observed.path)
        _tell("root", self.observed.path, before, self.state)


def _tell(what: str, folder: Path, before: RootState, now: RootState) -> None:
    if now.is_offline and now is not before:
        _LOG.warning(f"{what} missing" if now is RootState.AWAY else f"another {what}", **{what: folder.name})
    elif before.is_offline and not now.is_offline:
        _LOG.info(f"{what} back", **{what: folder.name})


class Roots:
    """All observed folders; a file below two of them belongs to the inner one.

    `see` says how one stands, `see_home` the same of its folder for results (marker.py).
    """

    def __init__(
        self,
        observed: Sequence[ObservedPath],
        see: Callable[[Path], RootState] = root_state,
        left: Callable[[Path], Left] | None = None,
        see_home: Callable[[ObservedPath], RootState] = _home_state,
    ) -> None:
        places = [place for each in observed for place in (each.path, each.results, each.trash)]
        self.all = [
            Root(
                each,
                _below(each.path, places),
                polled=is_polled(each.path),
                see=see,
                see_home=see_home,
                left=left(each.path) if left is not None and each.leave_existing else None,
            )
            for each in observed
        ]
        self._by_key = {root.key: root for root in self.all}

    def by_key(self, key: str | None) -> Root | None:
        return self._by_key.get(key or "")

    def is_away(self, key: str | None) -> bool:
        """Whether the observed folder `key` is away, empty or another one."""
        root = self._by_key.get(key or "")
        return root is not None and not root.is_there()

    def is_offline(self, key: str | None) -> bool:
        """Whether the observed folder `key` is not there, or another folder is in its place."""
        root = self._by_key.get(key or "")
        return root is not None and root.is_offline()

    def home_is_offline(self, key: str | None) -> bool:
        """The same of the folder that results of `key` go to."""
        root = self._by_key.get(key or "")
        return root is not None and root.home_is_offline()

    def observed(self) -> dict[str, ObservedPath]:
        return {root.key: root.observed for root in self.all}

    def of(self, path: str) -> Root | None:
        """The root that takes the file at `path`, None if none does."""
        return next((root for root in self.all if root.takes(path)), None)


def _below(root: Path, places: Sequence[Path]) -> frozenset[Path]:
    """The other observed folders and the folders for results that lie inside `root`."""
    return frozenset(place for place in places if root in place.parents)
