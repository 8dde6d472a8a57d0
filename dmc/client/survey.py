"""What lies between this client and a server: whether it answers and lets the client in, whose clock is wrong, and what a proxy refuses.

For `dmc doctor`. Sends nothing of anybody: one question, and two megabytes of blanks to a place that reads no more than a list.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from pydantic import ValidationError

from dmc.client.http_calls import PROBE, Calls, LoopThread, not_ours
from dmc.client.model import ServerAddress
from dmc.client.trust import trust_of
from dmc.clock import Clock
from dmc.errors import DmcError
from dmc.protocol import CHECK, SERVER, SERVICE, Identity

LARGE = 2_000_000
"""Bytes of a request that a proxy with its usual limits of one megabyte refuses."""
_BLOCK = b" " * 50_000


@dataclass(frozen=True, slots=True)
class Survey:
    """`skew_s`: how far the server's clock is ahead of this one's, to the second. `between`: what a proxy says it is."""

    server: str
    is_tls: bool
    problem: DmcError | None = None
    signed_in: bool = False
    skew_s: float | None = None
    between: str = ""
    refuses_large: bool = False


def survey(address: ServerAddress, clock: Clock) -> Survey:
    """Look at one server; a fault of the way is part of the answer."""
    is_tls = address.url.startswith("https://")
    thread = LoopThread("dmc-survey")
    calls = Calls(address.url, address.token, trust_of(address.fingerprint, address.ca_file))

    async def look() -> Survey:
        asked = clock.now()
        reply = await calls.call("GET", SERVER, within=PROBE)
        try:
            identity = Identity.model_validate(reply.json())
        except ValidationError:
            raise not_ours("another service answers") from None
        if identity.service != SERVICE:
            raise not_ours("another service answers")
        return Survey(
            address.name,
            is_tls,
            signed_in=identity.version is not None,
            skew_s=skew_of(reply.headers.get("Date", ""), asked, clock.now()),
            between=reply.headers.get("Via", ""),
            refuses_large=await _refuses_large(calls),
        )

    try:
        return thread.run(look())
    except DmcError as problem:
        return Survey(address.name, is_tls, problem)
    finally:
        thread.close(calls.close)


def skew_of(date: str, asked: datetime, answered: datetime) -> float | None:
    """Seconds that the clock behind `date` (RFC 9110) is ahead; 0 if it fits what this one showed meanwhile, to the second."""
    try:
        there = parsedate_to_datetime(date)
    except ValueError:
        return None
    early, late = (there - answered).total_seconds(), (there - asked).total_seconds() + 1
    return early if early > 0 else late if late < 0 else 0.0


async def _refuses_large(calls: Calls) -> bool:
    """Whether somebody before dmc refuses a large request: what dmc itself says is JSON with an `error`."""

    async def blanks() -> AsyncIterator[bytes]:
        for _ in range(LARGE // len(_BLOCK)):
            yield _BLOCK

    fine = tuple(range(300, 600))
    try:
        async with calls.opened("POST", CHECK, data=blanks(), within=PROBE, fine=fine) as answer:
            body = await answer.content.read(1000)
            return answer.status == 413 and b'"error"' not in body
    except DmcError:
        return False  # Whoever hung up early did so before all was sent; that may be anybody.
