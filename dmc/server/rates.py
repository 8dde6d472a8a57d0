"""How often one address may ask, and how often it may fail to sign in. Buckets that fill again with time; nothing is kept for long.

A valid token is never refused for failures of its neighbours: behind one address there may be many. Guessing is what the
failures bound, and what the requests bound is a client gone wild.
"""

import ipaddress
import math
from collections import OrderedDict

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from dmc.clock import Clock
from dmc.server.peers import Peers
from dmc.server.replies import HttpRefusal

MOST_ADDRESSES = 10_000
"""Addresses that are remembered; of more, the ones that were quiet longest are forgotten."""

MINUTE_S = 60.0


class Buckets:
    """A bucket per key: `per_minute` drops each minute, at most a minute's worth saved up. 0 per minute: no bound."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._size = float(per_minute)
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, key: str) -> float:
        """Seconds until there is a drop for `key`; 0 if there is one now."""
        if not self._size:
            return 0.0
        missing = 1.0 - self._filled(key)
        return max(0.0, missing * MINUTE_S / self._size)

    def take(self, key: str) -> float:
        """Take a drop; returns what `wait_s` said before. Nothing is taken from an empty bucket."""
        wait = self.wait_s(key)
        if self._size and not wait:
            self._left[key] = (self._filled(key) - 1.0, self._clock.monotonic())
            self._left.move_to_end(key)
            while len(self._left) > MOST_ADDRESSES:
                self._left.popitem(last=False)
        return wait

    def _filled(self, key: str) -> float:
        left, at = self._left.get(key, (self._size, 0.0))
        return min(self._size, left + (self._clock.monotonic() - at) * self._size / MINUTE_S)


class Rates:
    """The bounds of one server."""

    def __init__(self, peers: Peers, clock: Clock, *, requests_per_minute: int, failed_sign_ins_per_minute: int) -> None:
        self._peers = peers
        self._requests = Buckets(requests_per_minute, clock)
        self._failures = Buckets(failed_sign_ins_per_minute, clock)

    @property
    def middleware(self) -> Middleware:
        """Refuses an address that asks too often."""

        @web.middleware
        async def bound(request: web.Request, handler: Handler) -> web.StreamResponse:
            wait = self._requests.take(_network(self._peers.address_of(request)))
            if wait:
                raise _too_often("there are too many requests from this address.", wait)
            return await handler(request)

        return bound

    def check_sign_in(self, request: web.Request) -> None:
        """Before a secret that could be guessed is looked at: refuse an address that failed too often."""
        wait = self._failures.wait_s(_network(self._peers.address_of(request)))
        if wait:
            raise _too_often("too many sign-ins from this address failed.", wait)

    def note_failure(self, request: web.Request) -> None:
        """A secret was wrong; refuses instead of the plain answer once there were too many."""
        wait = self._failures.take(_network(self._peers.address_of(request)))
        if wait:
            raise _too_often("too many sign-ins from this address failed.", wait)


def _too_often(message: str, wait_s: float) -> HttpRefusal:
    return HttpRefusal(429, "TooOften", message, "Wait a little.", {"Retry-After": str(math.ceil(wait_s))})


def _network(address: str) -> str:
    """Who is bounded together: one IPv4 address, or the /64 of an IPv6 one, which belongs to one household."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
    return address
