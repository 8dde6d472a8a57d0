"""`GET /api/v1/events`: the feed as server-sent events. Snapshot first, or a replay for who comes back; then what happens.

Events: `snapshot`, `item` (an item as it is now), `gone`, `progress`, `resync` (the stream ends; come back without a
number), `ping`. Ids are `<epoch>-<number>`.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from dmc.protocol import EVENTS
from dmc.server.auth import caller_of
from dmc.server.calls import Call, Parameter, add
from dmc.server.feed import Event, Feed, Subscriber

PING_S = 15.0
RETRY_MS = 3000
STUCK_S = 60.0
"""A client that takes nothing for so long is gone."""


class Events:
    """The endpoint of the live feed."""

    def __init__(self, feed: Feed, *, still_known: Callable[[web.Request], Awaitable[bool]], ping_s: float = PING_S) -> None:
        self._feed = feed
        self._still_known = still_known
        self._ping_s = ping_s

    def add_routes(self, app: web.Application) -> None:
        last = Parameter("Last-Event-ID", "The id of the last event that was seen")
        told = Call("What happens, as server-sent events", reply="text/event-stream", headers=(last,))
        add(app, "GET", EVENTS, self._stream, told, head=False)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        # Subscribed before the snapshot is taken: what happens meanwhile waits in the queue and comes after it.
        subscriber, missed = await self._feed.subscribe(caller_of(request), _last_seen(request))
        try:
            reply = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
            reply.content_type = "text/event-stream"
            reply.force_close()
            await reply.prepare(request)
            await self._send_all(request, reply, subscriber, missed)
            return reply
        finally:
            self._feed.leave(subscriber)

    async def _send_all(self, request: web.Request, reply: web.StreamResponse, subscriber: Subscriber, missed: list[Event] | None) -> None:
        await _write(reply, f"retry: {RETRY_MS}\n\n")
        if missed is None:
            number = self._feed.number
            await _write(reply, self._text("snapshot", await self._feed.snapshot(subscriber.caller), number))
        for event in missed or ():
            await _write(reply, self._text(event.kind, event.data, event.number))
        now = asyncio.get_running_loop().time
        asked_at = now()
        while not subscriber.lost and request.transport is not None:
            if now() - asked_at >= self._ping_s:
                # A stream may outlive its caller's token or session by weeks.
                if not await self._still_known(request):
                    return
                asked_at = now()
            try:
                async with asyncio.timeout(self._ping_s):
                    event_or_end = await subscriber.waiting.get()
            except TimeoutError:
                await _write(reply, "event: ping\ndata: {}\n\n")
                continue
            if event_or_end is not None:
                await _write(reply, self._text(event_or_end.kind, event_or_end.data, event_or_end.number))
        if request.transport is not None:
            await _write(reply, "event: resync\nid: \ndata: {}\n\n")

    def _text(self, kind: str, data: dict[str, Any], number: int) -> str:
        return f"event: {kind}\nid: {self._feed.epoch}-{number}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


async def _write(reply: web.StreamResponse, text: str) -> None:
    try:
        async with asyncio.timeout(STUCK_S):
            await reply.write(text.encode())
    except TimeoutError:
        raise ConnectionResetError("a listener takes no events") from None


def _last_seen(request: web.Request) -> tuple[str, int] | None:
    epoch, _, number = request.headers.get("Last-Event-ID", "").rpartition("-")
    return (epoch, int(number)) if epoch and number.isascii() and number.isdigit() and len(number) < 19 else None
