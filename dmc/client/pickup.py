"""Finds drops: hints and walks give paths, quiet ones are looked into, and what is wanted is written into the outbox before any network.

The walk is the truth, a hint only hurries it. A file that keeps changing is looked at for ever and blocks nobody. Belongs to the
sync thread; only `examine` runs in a worker.
"""

import heapq
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice

from dmc.client.admit import Admit
from dmc.client.catalog import Catalog
from dmc.client.crew import Crew
from dmc.client.examine import Finding, Moving, NotOurs, examine
from dmc.client.hints import Hints
from dmc.client.model import Timing
from dmc.client.roots import Root, Roots
from dmc.client.scan import Found
from dmc.client.settle import Seen, Signature, found_busy, look, quiet_at, signature_of
from dmc.clock import Clock
from dmc.conversions import MediaType
from dmc.log import Log

_LOG = Log("client")

AT_ONCE = 500
"""Entries of a walk per step, so that no step takes long."""
MOST_CANDIDATES = 4096
"""Files that wait to become quiet before a walk pauses: memory stays flat in front of any number of new files."""
MOST_PASSED = 200_000
"""Files remembered as not wanted; past it they are forgotten and looked into again."""


@dataclass(slots=True)
class Candidate:
    """A file that may become a drop. `record_id` is set when it is looked at anew for a record; `root` is None for a file added by hand."""

    root: Root | None
    seen: Seen
    record_id: str | None = None
    in_work: bool = False
    reported: bool = False


class Pickup:
    """The way from the folder into the outbox."""

    def __init__(
        self,
        *,
        roots: Roots,
        catalog: Catalog,
        admit: Admit,
        crew: Crew,
        clock: Clock,
        timing: Timing,
        draw: random.Random,
        hints: Hints,
        passed_over: Callable[[Root, str], None],
    ) -> None:
        self._roots = roots
        self._catalog = catalog
        self._admit = admit
        self._crew = crew
        self._clock = clock
        self._timing = timing
        self._draw = draw
        self._hints = hints
        self._passed_over = passed_over
        self._candidates: dict[str, Candidate] = {}
        self._due: list[tuple[float, str]] = []
        self._passed: dict[int, int] = {}
        self._found: list[tuple[str, Candidate, Signature, Finding]] = []

    @property
    def looking_at(self) -> int:
        """Files that may become drops."""
        return len(self._candidates)

    @property
    def idle(self) -> bool:
        """Every root was walked, and nothing that was found is still being looked at."""
        now = self._clock.monotonic()
        return not self._candidates and not any(root.has_work(now) for root in self._roots.all)

    def step(self) -> float:
        """Do what is due; returns the monotonic time at which something will be."""
        now = self._clock.monotonic()
        self._admit_found()
        self._take_hints(now)
        self._walk(now)
        self._ripen(now)
        times = [root.next_walk_at for root in self._roots.all]
        if any(root.has_work(now) for root in self._roots.all) and len(self._candidates) < MOST_CANDIDATES:
            times.append(now)
        if self._due and self._crew.free("hash"):
            times.append(self._due[0][0])
        return min(times, default=now + self._timing.rescan_s)

    def rescan(self) -> None:
        """Walk every root now: the machine slept, or somebody asked."""
        for root in self._roots.all:
            root.next_walk_at = self._clock.monotonic()

    def look_again(self, record_id: str) -> None:
        """The file of a record that was not sent is not what it was."""
        record = self._catalog.get(record_id)
        if record is None or not record.is_sendable:
            return
        path = str(record.path)
        signature = _look_at(path)
        if signature is None:
            self._gone(record_id)
        else:
            seen = look(None, signature, self._clock.monotonic())
            self._watch(path, Candidate(self._roots.by_key(record.root), seen, record_id))

    # --- Finding ---------------------------------------------------------------------------------------------------

    def _take_hints(self, now: float) -> None:
        for key, heard in self._hints.take().items():
            root = self._roots.by_key(key)
            if root is None:
                continue
            root.hear(heard, now)
            for path in heard.paths if heard.paths and not root.is_offline() else ():
                if root.takes(path) and (signature := _look_at(path)) is not None:
                    self._consider(root, path, signature, now)

    def _walk(self, now: float) -> None:
        for root in self._roots.all:
            if len(self._candidates) >= MOST_CANDIDATES:
                return
            count = 0
            for told in islice(root.walking(now, self._timing, self._draw), AT_ONCE):
                count += 1
                if isinstance(told, Found):
                    self._consider(root, told.path, told.signature, now)
                else:
                    _LOG.debug("passed over", name=os.path.basename(told.path), reason=told.reason)
            if count < AT_ONCE:
                root.walked()

    def _consider(self, root: Root, path: str, signature: Signature, now: float) -> None:
        candidate = self._candidates.get(path)
        if candidate is not None:
            if candidate.seen.signature != signature:
                candidate.seen = look(candidate.seen, signature, now)
                self._plan(path, candidate)
            return
        if any(known.signature.same_content(signature) for known in self._catalog.at_path(path)):
            return
        if self._passed.get(hash(path)) == hash(signature) or root.leaves(path, signature):
            return
        self._watch(path, Candidate(root, look(None, signature, now)))

    def _watch(self, path: str, candidate: Candidate) -> None:
        self._candidates[path] = candidate
        self._plan(path, candidate)

    def _plan(self, path: str, candidate: Candidate) -> None:
        polled = candidate.root is not None and candidate.root.polled
        heapq.heappush(self._due, (quiet_at(candidate.seen, self._timing, polled=polled), path))

    # --- Ripening --------------------------------------------------------------------------------------------------

    def _ripen(self, now: float) -> None:
        while self._due and self._due[0][0] <= now and self._crew.free("hash"):
            _, path = heapq.heappop(self._due)
            candidate = self._candidates.get(path)
            if candidate is None or candidate.in_work:
                continue
            polled = candidate.root is not None and candidate.root.polled
            if quiet_at(candidate.seen, self._timing, polled=polled) <= now:
                self._ripe(path, candidate, now)

    def _ripe(self, path: str, candidate: Candidate, now: float) -> None:
        signature = _look_at(path)
        if signature is None:
            self._ended(path, candidate, candidate.seen.signature, NotOurs(gone=True))
        elif signature != candidate.seen.signature:
            candidate.seen = look(candidate.seen, signature, now)
            self._plan(path, candidate)
            self._report(path, candidate, now)
        else:
            candidate.in_work = True
            wanted = candidate.root.observed.media_types if candidate.root else frozenset(MediaType)
            job = partial(examine, path, signature, wanted, self._crew.stopping)
            self._crew.submit("hash", job, partial(self._examined, path, candidate, signature), partial(self._failed, path, candidate))

    def _failed(self, path: str, candidate: Candidate, problem: Exception) -> None:
        _LOG.error("fault", what="examine", name=os.path.basename(path), fault=repr(problem))
        self._again(path, candidate)

    def _examined(self, path: str, candidate: Candidate, examined: Signature, finding: Finding) -> None:
        self._found.append((path, candidate, examined, finding))

    def _admit_found(self) -> None:
        """What came out of the worker since the last step: all of it in one durable step."""
        if not self._found:
            return
        found, self._found = self._found, []
        with self._catalog.together():
            for each in found:
                self._ended(*each)

    def _ended(self, path: str, candidate: Candidate, examined: Signature, finding: Finding) -> None:
        candidate.in_work = False
        if isinstance(finding, Moving):
            self._again(path, candidate)
            return
        self._candidates.pop(path, None)
        if isinstance(finding, NotOurs):
            if finding.gone:
                self._gone(candidate.record_id)
            else:
                self._pass_over(path, examined)
                if candidate.root is not None:
                    self._passed_over(candidate.root, path)
        elif not self._admit.take(path, candidate.root, examined, finding, candidate.record_id):
            self._pass_over(path, examined)
        if candidate.root is not None and candidate.seen.signature != examined:
            # It changed while it was looked into, and that was heard: what was found then stands, the change is looked at now.
            self._consider(candidate.root, path, candidate.seen.signature, self._clock.monotonic())

    def _again(self, path: str, candidate: Candidate) -> None:
        candidate.in_work = False
        now = self._clock.monotonic()
        signature = _look_at(path)
        if signature is None:
            self._candidates.pop(path, None)
            self._gone(candidate.record_id)
            return
        candidate.seen = found_busy(look(candidate.seen, signature, now), now)
        self._plan(path, candidate)
        self._report(path, candidate, now)

    def _gone(self, record_id: str | None) -> None:
        """A file of which nothing was sent is no more: so is its record, unless its whole root is away."""
        if record_id is None:
            return
        record = self._catalog.get(record_id)
        root = self._roots.by_key(record.root) if record else None
        if root is None or root.is_there():
            self._admit.gone(record_id)

    def _pass_over(self, path: str, signature: Signature) -> None:
        if len(self._passed) >= MOST_PASSED:
            self._passed.clear()
        self._passed[hash(path)] = hash(signature)

    def _report(self, path: str, candidate: Candidate, now: float) -> None:
        if not candidate.reported and now - candidate.seen.first > self._timing.report_busy_s:
            candidate.reported = True
            _LOG.warning("never quiet", name=os.path.basename(path), minutes=round((now - candidate.seen.first) / 60))


def _look_at(path: str) -> Signature | None:
    try:
        return signature_of(os.lstat(path))
    except OSError:
        return None
