"""Brings results of one server home: fetch to a temporary name, put in place, tell the server. Each step is durable before the next.

The place is written into the outbox before the result is put there: after a crash, what lies at that place is known to
be ours. An item without a result is only acknowledged. Belongs to the sync thread; only the jobs run elsewhere.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from dmc.client import deliver, naming
from dmc.client.catalog import Catalog
from dmc.client.crew import Crew
from dmc.client.following import asked_anew, made_anew
from dmc.client.link import Link
from dmc.client.model import ObservedPath
from dmc.client.originals import put_away
from dmc.client.ownership import Ownership
from dmc.client.queues import Bucket, Stage
from dmc.client.records import OutboxRecord, OutboxStatus, Trashed, decode_path, encode_path, parked
from dmc.client.roots import Roots
from dmc.client.transport import Interrupted, LocalFault, Transport
from dmc.client.verdict import MOST_ATTEMPTS, Verdict
from dmc.clock import Clock
from dmc.errors import DmcError, Unavailable, UnknownItem, WholeFileMismatch, WrongStatus
from dmc.files import Disk

AWAY_S = 60.0
"""Seconds until a folder that is away is looked for again."""


class Homing:
    """The way home of one server's results."""

    def __init__(
        self,
        link: Link,
        catalog: Catalog,
        crew: Crew,
        clock: Clock,
        *,
        disk: Disk,
        roots: Roots,
        client: str,
        came_home: Callable[[OutboxRecord], None],
    ) -> None:
        self._link = link
        self._catalog = catalog
        self._queues = catalog.queues
        self._crew = crew
        self._clock = clock
        self._disk = disk
        self._roots = roots
        self._observed = roots.observed()
        self._client = client
        self._came_home = came_home

    def step(self) -> None:
        """Start what can be started."""
        if not self._link.standing.up:
            return
        while self._crew.free(self._link.lane("fetch")) and (found := self._take(Stage.FETCH)):
            self._fetch(found)
        while self._crew.free(self._link.lane("tell")) and (found := self._take(Stage.ACKNOWLEDGE)):
            self._acknowledge(found)

    def _take(self, stage: Stage) -> OutboxRecord | None:
        while (record_id := self._queues.take(Bucket(stage, self._link.name))) is not None:
            record = self._catalog.get(record_id)
            if record is not None:
                return record
            self._queues.return_unharmed(record_id)
        return None

    def _root(self, record: OutboxRecord) -> ObservedPath:
        key = record.root or encode_path(record.path.parent)
        return self._observed.get(key) or ObservedPath(decode_path(key))

    # --- Fetch -----------------------------------------------------------------------------------------------------

    def _fetch(self, record: OutboxRecord) -> None:
        root = self._root(record)
        folder, owned = deliver.target_folder(record, root), root.ownership
        if self._has_no_place(record, folder):
            return
        earlier = {known.id for known in self._catalog.at_path(record.path)}
        newer = min(earlier, default=record.id) < record.id
        names = naming.names(record.path, deliver.ending_of(record), self._clock.now(), self._client, newer=newer)
        first_two = [folder / next(names), folder / next(names)] if record.adopted and record.result_path is None else []
        likely = [path for path in first_two if self._catalog.owner_of_result(path) is None]
        self._crew.submit(
            self._link.lane("fetch"),
            partial(_fetch_job, self._link.transport, record, folder, likely, self._disk, self._crew.stopping, owned),
            partial(self._fetched, record.id),
            partial(self._not_done, record.id, "fetch"),
        )

    def _has_no_place(self, record: OutboxRecord, folder: Path) -> bool:
        """Whether the result would land on what is not its folder: then it waits, at the server, until that is back."""
        observed = self._observed.get(record.root or "")
        if observed is None or not folder.is_relative_to(observed.apart or observed.path) or not self._roots.home_is_offline(record.root):
            return False
        place = observed.path if observed.apart is None and self._roots.is_offline(record.root) else observed.results
        self._say_once(record, LocalFault(f"{place.name} is offline: its result waits.", "Mount it, or see: dmc client folder list"))
        self._queues.put_off(record.id, self._clock.monotonic(), self._link.draw, AWAY_S)
        return True

    def _fetched(self, record_id: str, found: Path | None) -> None:
        self._link.worked()
        record = self._catalog.get(record_id)
        if record is None or record.status is not OutboxStatus.FINISHED_SUCCESSFUL or record.result is None:
            self._queues.return_unharmed(record_id)
        elif found is not None:
            self._home(record_id, found)
        else:
            if record.result_path is None:
                place = encode_path(self._place(record))
                record = self._catalog.update(record_id, lambda kept: kept.changed(result_path=place)) or record
            self._put_in_place(record)

    def _home(self, record_id: str, place: Path) -> None:
        record = self._catalog.update(
            record_id, lambda kept: kept.changed(status=OutboxStatus.FETCHED, result_path=encode_path(place), reason=None)
        )
        self._queues.give_back(record_id)
        if record is not None:
            self._link.log.info("home", record=record_id, item=record.item_id, name=place.name)
            self._roots.home_is_offline(record.root)  # Now that it holds something it is marked.
            self._came_home(record)

    def _place(self, record: OutboxRecord) -> Path:
        folder = deliver.target_folder(record, self._root(record))
        older = [known for known in self._catalog.at_path(record.path) if known.id < record.id]
        names = naming.names(record.path, deliver.ending_of(record), self._clock.now(), self._client, newer=bool(older))
        return deliver.choose(folder, names, lambda path: self._is_promised(path, record.id))

    def _is_promised(self, path: Path, to: str) -> bool:
        """Whether a result of another record than `to` is on its way to `path`."""
        owner = self._catalog.owner_of_result(path)
        other = self._catalog.get(owner) if owner not in (None, to) else None
        return other is not None and other.status is not OutboxStatus.ACKNOWLEDGED

    def _put_in_place(self, record: OutboxRecord) -> None:
        target = decode_path(record.result_path or "")
        temp, owned = deliver.temp_path(record, target.parent), self._root(record).ownership
        self._crew.submit(
            self._link.lane("fetch"),
            partial(_place_job, self._link.transport, record, temp, target, self._disk, self._crew.stopping, owned),
            partial(self._placed, record.id, target),
            partial(self._not_done, record.id, "deliver"),
        )

    def _placed(self, record_id: str, target: Path, in_place: bool) -> None:
        if in_place:
            self._home(record_id, target)
        else:
            # Somebody took the name in this very moment: the next one.
            self._catalog.update(record_id, lambda kept: kept.changed(result_path=None))
            self._queues.return_unharmed(record_id)

    # --- Acknowledge -----------------------------------------------------------------------------------------------

    def _acknowledge(self, record: OutboxRecord) -> None:
        item_id = record.item_id or ""
        digest = record.result.sha512_checksum if record.result else record.sha512
        self._crew.submit(
            self._link.lane("tell"),
            partial(_acknowledge_job, self._link.transport, record, item_id, digest, self._root(record), self._disk, self._clock),
            partial(self._acknowledged, record.id),
            partial(self._not_done, record.id, "acknowledge"),
        )

    def _acknowledged(self, record_id: str, trashed: Trashed | None) -> None:
        def change(kept: OutboxRecord) -> OutboxRecord | None:
            status = OutboxStatus.ACKNOWLEDGED if kept.status.is_at_server else kept.status
            return kept.changed(status=status, trash=trashed or kept.trash) if kept.status.is_at_server or trashed else None

        self._link.worked()
        self._catalog.update(record_id, change)
        self._queues.give_back(record_id)

    # --- What goes wrong -------------------------------------------------------------------------------------------

    def _not_done(self, record_id: str, what: str, problem: Exception) -> None:
        now = self._clock.monotonic()
        record = self._catalog.get(record_id)
        if record is None or isinstance(problem, Interrupted):
            self._queues.return_unharmed(record_id)
            return
        if isinstance(problem, UnknownItem):
            self._catalog.update(record_id, asked_anew)
        elif isinstance(problem, OSError | LocalFault):
            told = deliver.local(problem, what) if isinstance(problem, OSError) else problem
            self._say_once(record, told)
        elif isinstance(problem, WrongStatus | WholeFileMismatch) and what == "acknowledge":
            self._catalog.update(record_id, made_anew)
        else:
            self._follow(record, self._link.note(problem, record.attempts, what, record_id), problem)
            return
        self._queues.put_off(record_id, now, self._link.draw)

    def _follow(self, record: OutboxRecord, verdict: Verdict, problem: Exception) -> None:
        if verdict is Verdict.SERVER_PAUSED:
            self._queues.return_unharmed(record.id)
            return
        if verdict is Verdict.PARK and record.attempts + 1 >= MOST_ATTEMPTS:
            self._catalog.update(record.id, lambda kept: parked(kept, problem))
        elif verdict is Verdict.PARK or not isinstance(problem, Unavailable):
            self._catalog.update(record.id, lambda kept: kept.changed(attempts=kept.attempts + 1, reason=str(problem)))
        self._queues.put_off(record.id, self._clock.monotonic(), self._link.draw)

    def _say_once(self, record: OutboxRecord, problem: DmcError) -> None:
        """Write the reason of a delay into the record, once, so that `dmc status` can tell it."""
        self._link.log.warning("delivery delayed", record=record.id, code=problem.code, message=problem.message)
        if record.reason != problem.message:
            self._catalog.update(record.id, lambda kept: kept.changed(reason=problem.message))


def _acknowledge_job(
    transport: Transport, record: OutboxRecord, item_id: str, digest: str, root: ObservedPath, disk: Disk, clock: Clock
) -> Trashed | None:
    """Tell the server, and only then put the original away. Runs in a worker thread."""
    transport.acknowledge(item_id, digest)
    return put_away(record, root, disk, clock.now())


def _fetch_job(
    transport: Transport, record: OutboxRecord, folder: Path, likely: list[Path], disk: Disk, stop: Callable[[], bool], owned: Ownership
) -> Path | None:
    """Fetch the result of `record` to its temporary name, or find it delivered already. Runs in a worker thread."""
    if record.result is None or record.item_id is None:
        raise WrongStatus("there is no result to fetch.")
    if record.result_path is not None:
        place = decode_path(record.result_path)
        if deliver.is_result(record, place):
            deliver.put_in_place(record, deliver.temp_path(record, place.parent), place, disk)
            _bring_sidecars(transport, record, place, disk, stop, owned)
            return place
        folder = place.parent
    for path in likely:
        if deliver.is_result(record, path):
            _bring_sidecars(transport, record, path, disk, stop, owned)
            return path
    try:
        deliver.make_folders(folder, disk, owned)
    except OSError as problem:
        raise deliver.local(problem, "creating the folder for the result") from None  # Its name may be no text.
    temp = deliver.temp_path(record, folder)
    transport.fetch(record.item_id, record.result, temp, stop)
    deliver.dress(temp, record, disk, owned)
    return None


def _place_job(
    transport: Transport, record: OutboxRecord, temp: Path, target: Path, disk: Disk, stop: Callable[[], bool], owned: Ownership
) -> bool:
    """Publish the result, then what belongs beside it; False if somebody else has the result's name."""
    if not deliver.put_in_place(record, temp, target, disk):
        return False
    _bring_sidecars(transport, record, target, disk, stop, owned)
    return True


def _bring_sidecars(
    transport: Transport, record: OutboxRecord, place: Path, disk: Disk, stop: Callable[[], bool], owned: Ownership
) -> None:
    item_id = record.item_id or ""
    deliver.bring_sidecars(record, place, lambda facts, temp: transport.fetch(item_id, facts, temp, stop, True), disk, owned)
