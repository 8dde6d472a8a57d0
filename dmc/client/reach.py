"""Is the server there, and when to ask again: pure. States go in, states come out; all times are monotonic seconds.

Full jitter between tries, so that a hundred clients do not come back in the same second; `Retry-After` is a floor; a
success or any byte that got through starts the count anew. A new file or a person's click asks at once, at most once a second.
"""

import random
from dataclasses import dataclass, replace

from dmc.clock import backoff

BASE_S = 1.0
CAP_S = 60.0
HURRY_S = 1.0
"""Seconds between two tries that somebody asked for."""
PAUSE_S = 300.0
"""Seconds between tries while the server says no to this client as a whole (sign-in needed, not allowed, other protocol)."""
FULL_S = 60.0
"""Seconds for which nothing is sent to a server without space."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one server. `up` None: not asked yet. `next_at`: when to ask again; `send_at`: from when on it takes files."""

    up: bool | None = None
    failures: int = 0
    next_at: float = 0.0
    asked_at: float = float("-inf")
    send_at: float = 0.0
    paused: bool = False
    accepting: bool = True
    reason: str | None = None

    def takes_files(self, now: float) -> bool:
        return self.up is True and self.accepting and now >= self.send_at


def asked(standing: Standing, now: float) -> Standing:
    """A try has begun."""
    return replace(standing, asked_at=now)


def answered(standing: Standing, now: float, *, accepting: bool, again_s: float) -> Standing:
    """The server answered as itself."""
    return replace(standing, up=True, failures=0, next_at=now + again_s, paused=False, accepting=accepting, reason=None)


def progressed(standing: Standing) -> Standing:
    """Bytes got through: whatever comes next is counted from the start."""
    return standing if standing.failures == 0 else replace(standing, failures=0)


def silent(standing: Standing, now: float, reason: str, draw: random.Random, retry_after_s: float | None = None) -> Standing:
    """The server did not answer, or not as itself."""
    wait = max(backoff(standing.failures, base=BASE_S, cap=CAP_S, draw=draw), retry_after_s or 0.0)
    return replace(standing, up=False, failures=standing.failures + 1, next_at=now + wait, paused=False, reason=reason)


def refused(standing: Standing, now: float, reason: str, draw: random.Random) -> Standing:
    """The server says no to this client as a whole; only a person can change that, so it is asked rarely."""
    wait = PAUSE_S * draw.uniform(0.75, 1.25)
    return replace(standing, up=False, failures=standing.failures + 1, next_at=now + wait, paused=True, reason=reason)


def crowded(standing: Standing, now: float, draw: random.Random, *, full: bool, retry_after_s: float | None = None) -> Standing:
    """The server is there, but takes no files for a while; asking after items goes on."""
    least = FULL_S * draw.uniform(0.75, 1.25) if full else backoff(standing.failures, base=BASE_S, cap=CAP_S, draw=draw)
    return replace(standing, send_at=now + max(least, retry_after_s or 0.0), failures=standing.failures + 1)


def hurried(standing: Standing, now: float) -> Standing:
    """Somebody has a reason to ask now: a new file, another network, a click. A pause and a floor of the server still hold."""
    if standing.up or standing.paused:
        return standing
    return replace(standing, next_at=min(standing.next_at, max(now, standing.asked_at + HURRY_S)))
