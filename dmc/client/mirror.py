"""Has copies of what belongs to a source follow its result into another folder: subtitles, metadata, cue sheets (companions.py).

Asked when a result came home, and when such a file was found or changed. Copies only: the file at the source is never moved or
deleted, and neither is a copy whose source is gone. What is to be copied is written into the record first: after a crash the next
walk finds the file again and does the rest. Belongs to the sync thread; the disk's part runs in a worker (mirror_jobs.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

from dmc.client import mirror_jobs
from dmc.client.catalog import Catalog
from dmc.client.companions import Belongs, is_companion
from dmc.client.crew import Crew
from dmc.client.mirror_jobs import Place, Step
from dmc.client.records import OutboxRecord, OutboxStatus, decode_path
from dmc.client.roots import Root, Roots
from dmc.clock import Clock
from dmc.files import Disk
from dmc.log import Log

_LOG = Log("client")

AT_ONCE = 1024
"""Names of one folder that are dealt with at once."""
SOON_S = 1.0
"""Seconds until a name is dealt with: others of its folder that come meanwhile cost no further look at it."""
REST = 10.0
"""Looks take at most one part of so many of the time: results of a folder with very many files come home at their own pace."""
AGAIN_S = 600.0
"""Seconds until what failed, or lies in a folder that is offline, is tried again."""

_LANE = "mirror"


@dataclass(slots=True)
class _Due:
    """Names in a folder, of sources or of what belongs to them, that are to be looked at; not before `at` (monotonic).

    `put_off`: since something failed, or is offline.
    """

    root: Root
    at: float
    put_off: bool = False
    names: dict[str, None] = field(default_factory=dict)


class Mirror:
    """See the top of this file."""

    def __init__(self, catalog: Catalog, roots: Roots, crew: Crew, clock: Clock, disk: Disk) -> None:
        self._catalog = catalog
        self._roots = roots
        self._crew = crew
        self._clock = clock
        self._disk = disk
        self._due: dict[Path, _Due] = {}
        self._busy = False
        self._rest_until = 0.0

    def came_home(self, record: OutboxRecord) -> None:
        """The result of `record` lies at its place."""
        self._ask(self._roots.by_key(record.root), record.path)

    def heard(self, root: Root, path: str) -> None:
        """A quiet file that is no drop was found, or has changed."""
        if is_companion(path.rpartition("/")[2]):
            self._ask(root, Path(path))

    def _ask(self, root: Root | None, path: Path) -> None:
        if root is not None and root.observed.sidecars and path.is_relative_to(root.observed.path):
            at = self._clock.monotonic() + SOON_S
            due = self._due.setdefault(path.parent, _Due(root, at))
            due.names[path.name] = None
            due.at, due.put_off = min(due.at, at), False

    @property
    def idle(self) -> bool:
        """Nothing is to be done, but for what was put off."""
        return not self._busy and all(due.put_off for due in self._due.values())

    def step(self, now: float) -> float | None:
        """Start what is due; returns the monotonic time at which something will be."""
        if self._busy:
            return None
        if now < self._rest_until:
            return self._rest_until if self._due else None
        for folder, due in list(self._due.items()):
            if due.at <= now and self._crew.free(_LANE):
                if due.root.is_offline() or due.root.home_is_offline():
                    due.at, due.put_off = now + AGAIN_S, True
                    continue
                due.put_off = False
                names = list(islice(due.names, AT_ONCE))
                for name in names:
                    del due.names[name]
                if not due.names:
                    del self._due[folder]
                self._list(due.root, Place(due.root.observed.path, folder), names)
                break
        return min((due.at for due in self._due.values()), default=None) if not self._busy else None

    def _list(self, root: Root, place: Place, names: Sequence[str]) -> None:
        # A source whose result came home may lie in the trash by now, or be on its way.
        sources = [*self._catalog.trashed_from(place.folder), *(name for name in names if not is_companion(name))]
        self._busy = True
        self._crew.submit(
            _LANE,
            partial(mirror_jobs.listed, place, names, sources, root.passes),
            partial(self._weigh, root, place, names, self._clock.monotonic()),
            partial(self._failed, root, place, names),
        )

    def _weigh(self, root: Root, place: Place, names: Sequence[str], began_at: float, found: Sequence[Belongs]) -> None:
        now = self._clock.monotonic()
        self._rest_until = now + REST * (now - began_at)
        pairs = [(belongs, record) for belongs in found for source in belongs.sources for record in self._records(root, place, source)]
        if not pairs:
            self._busy = False
            return
        self._crew.submit(
            _LANE,
            partial(mirror_jobs.weighed, place, pairs),
            partial(self._commit, root, place, names),
            partial(self._failed, root, place, names),
        )

    def _records(self, root: Root, place: Place, source: str) -> list[OutboxRecord]:
        """The records of a source whose results are home, in another folder than its own."""
        found = (self._catalog.get(known.id) for known in self._catalog.at_path(place.folder / source))
        return [
            record
            for record in found
            if record is not None
            and record.status in (OutboxStatus.FETCHED, OutboxStatus.ACKNOWLEDGED)
            and record.root == root.key
            and record.result_path is not None
            and decode_path(record.result_path).parent != place.folder
        ]

    def _commit(self, root: Root, place: Place, names: Sequence[str], weighed: tuple[Sequence[Step], bool]) -> None:
        steps, again = weighed
        self._write_down(steps)
        if again:
            self._later(root, place, names)
        to_make = [step for step in steps if not step.entry.placed]
        if not to_make:
            self._busy = False
            return
        self._crew.submit(
            _LANE,
            partial(mirror_jobs.copied, place, to_make, root.observed.ownership, self._disk, self._crew.stopping),
            partial(self._copied, root, place, names),
            partial(self._failed, root, place, names),
        )

    def _copied(self, root: Root, place: Place, names: Sequence[str], end: tuple[list[Step], bool]) -> None:
        done, again = end
        self._write_down(
            [Step(each.record_id, each.result_path, each.entry.model_copy(update={"placed": True, "instead_of": ""})) for each in done]
        )
        for step in done:
            _LOG.info("sidecar home", record=step.record_id, name=decode_path(step.entry.place).name)
        self._busy = False
        if again:
            self._later(root, place, names)

    def _write_down(self, steps: Sequence[Step]) -> None:
        """One durable step for all of them. A record whose result is elsewhere by now is left as it is."""
        by_record: dict[str, list[Step]] = {}
        for step in steps:
            by_record.setdefault(step.record_id, []).append(step)

        def change(record: OutboxRecord) -> OutboxRecord | None:
            told = {step.entry.name: step.entry for step in by_record[record.id] if step.result_path == record.result_path}
            if not told:
                return None
            return record.changed(companions=(*(kept for kept in record.companions if kept.name not in told), *told.values()))

        self._catalog.update_all(by_record, change)

    def _failed(self, root: Root, place: Place, names: Sequence[str], problem: Exception) -> None:
        self._busy = False
        if isinstance(problem, FileNotFoundError | NotADirectoryError):
            return  # The folder is gone; so is what belonged to anything in it.
        _LOG.warning("sidecars not copied", folder=place.folder.name, reason=str(problem))
        self._later(root, place, names)

    def _later(self, root: Root, place: Place, names: Sequence[str]) -> None:
        at = self._clock.monotonic() + AGAIN_S
        due = self._due.setdefault(place.folder, _Due(root, at, put_off=True))
        due.names.update(dict.fromkeys(names))
