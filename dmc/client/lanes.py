"""The servers, each with the stages that deal with it, and which of them takes a file. Belongs to the sync thread."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dmc.client import route
from dmc.client.asking import Asking
from dmc.client.catalog import Catalog
from dmc.client.crew import Crew
from dmc.client.homing import Homing
from dmc.client.link import Link
from dmc.client.model import ServerAddress, Timing
from dmc.client.pins import Pins
from dmc.client.queues import Bucket, Stage
from dmc.client.reach import Standing
from dmc.client.records import OutboxRecord
from dmc.client.roots import Roots
from dmc.client.sending import Sending
from dmc.client.transport import Transport
from dmc.clock import Clock
from dmc.files import Disk
from dmc.log import Log

_LOG = Log("client")


@dataclass(frozen=True, slots=True)
class Lane:
    """One server with the stages that deal with it."""

    link: Link
    sending: Sending
    asking: Asking
    homing: Homing


class Lanes:
    """All lanes, in the order of the settings. `look_again`: the file of a record is not what it was; `came_home`: its result is there."""

    def __init__(
        self,
        servers: Sequence[tuple[ServerAddress, Transport]],
        *,
        catalog: Catalog,
        roots: Roots,
        crew: Crew,
        clock: Clock,
        disk: Disk,
        timing: Timing,
        draw: random.Random,
        pins: Pins,
        client: str,
        look_again: Callable[[str], None],
        came_home: Callable[[OutboxRecord], None],
    ) -> None:
        self._queues = catalog.queues
        self._unroutable: set[Bucket] = set()

        def lane(address: ServerAddress, transport: Transport) -> Lane:
            link = Link(address, transport, pins=pins, crew=crew, clock=clock, timing=timing, draw=draw)
            asking = Asking(link, catalog, crew, clock)
            homing = Homing(link, catalog, crew, clock, disk=disk, roots=roots, client=client, came_home=came_home)
            sending = Sending(link, catalog, crew, clock, look_again=look_again, fresh=asking.fresh, is_away=roots.is_away)
            return Lane(link, sending, asking, homing)

        self._lanes = [lane(address, transport) for address, transport in servers]
        for name, count in self._queues.servers().items():
            if name not in {address.name for address, _ in servers}:
                _LOG.warning("server not in the settings", server=name, records=count)

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes)

    def step(self, now: float) -> list[float]:
        """Do what is due; returns the monotonic times at which something will be."""
        times = []
        off = self._queues.wake(now)
        if off is not None:
            times.append(off)
        routed = self._route(now)
        for lane in self._lanes:
            times.append(lane.link.step(now))
            lane.sending.step(routed.get(lane.link.name, ()))
            asked_at = lane.asking.step()
            if asked_at is not None:
                times.append(asked_at)
            lane.homing.step()
            if lane.link.standing.send_at > now:
                times.append(lane.link.standing.send_at)
        return times

    def hurry(self) -> None:
        """Look at once whether the servers are there."""
        for lane in self._lanes:
            lane.link.hurry()

    @property
    def all_down(self) -> bool:
        """Every server was asked and did not answer."""
        return all(lane.link.standing.up is False for lane in self._lanes)

    def standings(self) -> dict[str, Standing]:
        return {lane.link.name: lane.link.standing for lane in self._lanes}

    def sent(self) -> dict[str, int]:
        """Bytes that the servers have of the records being uploaded."""
        return {record_id: count for lane in self._lanes for record_id, count in lane.sending.sent.items()}

    def _route(self, now: float) -> dict[str, list[Bucket]]:
        """The queues of records that have no server yet, by the server that takes them now."""
        routed: dict[str, list[Bucket]] = {}
        ready = {lane.link.name for lane in self._lanes if lane.link.standing.takes_files(now)}
        addresses = [lane.link.address for lane in self._lanes]
        for bucket in self._queues.buckets(Stage.NEW):
            name = route.choose(addresses, ready, bucket.media_type, bucket.conversion_type)
            if name is not None:
                routed.setdefault(name, []).append(bucket)
            elif bucket not in self._unroutable and not route.any_fits(addresses, bucket.media_type, bucket.conversion_type):
                self._unroutable.add(bucket)
                _LOG.warning("no server for", media=bucket.media_type, to=bucket.conversion_type)
        return routed
