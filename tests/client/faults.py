"""Ways to die: an outbox, a disk and a transport that end the client before or after their n-th durable step."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dmc.client.outbox import Outbox
from dmc.client.records import OutboxRecord
from dmc.files import RealDisk


class Killed(BaseException):
    """kill -9: nothing after it happens."""


class Fuse:
    """Counts steps; the one with the number `at` is cut, before it happens or (`after`) just after it did. None: never."""

    def __init__(self, at: int | None, *, after: bool) -> None:
        self.at = at
        self.after = after
        self.steps = 0
        self.burnt = False

    def step(self, act: Callable[[], Any]) -> Any:
        self.steps += 1
        if self.steps != self.at:
            return act()
        self.burnt = True
        if self.after:
            act()
        raise Killed


class FusedOutbox:
    """An outbox whose writes are steps."""

    def __init__(self, inner: Outbox, fuse: Fuse) -> None:
        self._inner = inner
        self._fuse = fuse

    def put(self, records: Sequence[OutboxRecord]) -> None:
        self._fuse.step(lambda: self._inner.put(records))

    def remove(self, record: OutboxRecord) -> None:
        self._fuse.step(lambda: self._inner.remove(record))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class FusedTransport:
    """A transport whose changes at the server are steps."""

    def __init__(self, inner: Any, fuse: Fuse) -> None:
        self._inner = inner
        self._fuse = fuse

    def send(self, *arguments: Any) -> Any:
        return self._fuse.step(lambda: self._inner.send(*arguments))

    def fetch(self, *arguments: Any) -> Any:
        return self._fuse.step(lambda: self._inner.fetch(*arguments))

    def acknowledge(self, *arguments: Any) -> Any:
        return self._fuse.step(lambda: self._inner.acknowledge(*arguments))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class FusedDisk(RealDisk):
    """A disk whose renames, links and removals are steps."""

    def __init__(self, fuse: Fuse) -> None:
        self.fuse = fuse

    def rename(self, source: Path, target: Path) -> None:
        self.fuse.step(lambda: super(FusedDisk, self).rename(source, target))

    def link(self, source: Path, target: Path) -> None:
        self.fuse.step(lambda: super(FusedDisk, self).link(source, target))

    def unlink(self, path: Path) -> None:
        self.fuse.step(lambda: super(FusedDisk, self).unlink(path))

    def sync_folder(self, path: Path) -> None:
        self.fuse.step(lambda: super(FusedDisk, self).sync_folder(path))
