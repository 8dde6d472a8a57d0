"""From a request's body into a file: one loop that keeps every byte that arrived, however the request ends.

Waits for bytes end after a time without any, below a floor rate, or when somebody else needs the upload; storing never
does. It decides nothing about the upload: it says how the body ended, and the caller answers.
"""

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum

from aiohttp import BodyPartReader, StreamReader, web

from dmc.errors import DiskFull
from dmc.server.incoming import Hash, IncomingFile
from dmc.server.offload import Offload
from dmc.server.policy import MIB, ServerLimits
from dmc.server.replies import HttpRefusal

READ_AHEAD = MIB
"""Bytes that may wait in memory while earlier ones are written."""


class Ending(Enum):
    """How a body ended."""

    COMPLETE = "complete"
    CUT = "cut"
    OVERLONG = "overlong"
    IDLE = "idle"
    SLOW = "slow"
    TAKEN_OVER = "taken over"
    SHUTDOWN = "shutdown"


class _Ended(Exception):
    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.value)
        self.ending = ending


class Interrupt:
    """Lets somebody else end a wait for bytes, with a reason; the first reason counts."""

    def __init__(self) -> None:
        self.reason: Ending | None = None
        self._scope: asyncio.Timeout | None = None

    def fire(self, reason: Ending) -> None:
        """End the wait under way, and every later one."""
        if self.reason is None:
            self.reason = reason
            if self._scope is not None:
                self._scope.reschedule(asyncio.get_running_loop().time())

    async def guard(self, wait: Callable[[], Awaitable[list[bytes]]], seconds: float) -> list[bytes]:
        """The bytes that `wait` brings within `seconds`; raises _Ended at the limit or when fired."""
        if self.reason is not None:
            raise _Ended(self.reason)
        try:
            async with asyncio.timeout(seconds) as self._scope:
                return await wait()
        except TimeoutError:
            raise _Ended(self.reason or Ending.IDLE) from None
        finally:
            self._scope = None


class Pace:
    """Whether a sender keeps to the floor rate; only time spent waiting for it counts."""

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._waited = 0.0
        self._bytes = 0

    def note(self, waited: float, count: int) -> None:
        """Count a wait and what it brought; raises _Ended when a whole window was too slow."""
        self._waited += waited
        self._bytes += count
        if self._waited >= self._limits.floor_window_s:
            if self._bytes < self._limits.floor_rate * self._waited:
                raise _Ended(Ending.SLOW)
            self._waited, self._bytes = 0.0, 0


class PlainBody:
    """The body of a request as it comes."""

    def __init__(self, content: StreamReader) -> None:
        self._content = content
        self._taken = 0
        content.set_read_chunk_size(READ_AHEAD)
        if content.exception() is None:
            content.read_nowait(0)  # Takes nothing, but what was halted at the smaller bound flows again.

    async def read(self) -> list[bytes]:
        """What has arrived, at least a byte; empty at the end. Raises ConnectionError if the body is cut.

        In pieces as they came: to put them together would cost a copy of everything.
        """
        pieces: list[bytes] = []
        try:
            while not pieces or self._taken < self._content.total_bytes:
                piece, _ = await self._content.readchunk()
                if piece:
                    pieces.append(piece)
                    self._taken += len(piece)
                elif self._content.at_eof():
                    break
        except web.RequestPayloadError as problem:
            raise ConnectionResetError("the body is cut") from problem
        return pieces

    def left_over(self) -> list[bytes]:
        """What had arrived before a wait ended.

        aiohttp refuses to hand it out once the connection is lost, though it still holds it (its public reads raise first), and
        every byte that arrived is kept. A test cuts uploads at each byte and so notices if this changes.
        """
        return [self._content._read_nowait(-1)]


class PartBody:
    """One file of a multipart form. Of a cut one nothing is kept, so there is never anything left over."""

    def __init__(self, part: BodyPartReader) -> None:
        self._part = part

    async def read(self) -> list[bytes]:
        try:
            piece = await self._part.read_chunk(READ_AHEAD)
        except (web.RequestPayloadError, ValueError, AssertionError) as problem:
            raise ConnectionResetError("the form is cut") from problem
        return [piece] if piece else []

    def left_over(self) -> list[bytes]:
        return []


class Receiver:
    """Moves one body into one file, `most` bytes at most; `part` is the hash of a part that has a checksum of its own.

    `room` is asked now and then and raises DiskFull when the disk has gone below its floor. `durable`: what came is a promise, even
    if it is only a part of the body.
    """

    def __init__(
        self,
        file: IncomingFile,
        offload: Offload,
        limits: ServerLimits,
        interrupt: Interrupt,
        room: Callable[[], None],
        *,
        durable: bool = True,
    ) -> None:
        self._file = file
        self._offload = offload
        self._limits = limits
        self._interrupt = interrupt
        self._room = room
        self._durable = durable
        self._follower: asyncio.Future[None] | None = None
        self._unchecked = 0

    async def receive(self, body: PlainBody | PartBody, most: int, part: Hash | None = None) -> Ending:
        """Store the body, and make it durable if it shall be. Raises DiskFull with the offset at what was really stored, DiskFault."""
        goal = self._file.offset + most
        try:
            try:
                ending = await self._loop(body, goal, part)
            except _Ended as ended:
                ending = ended.ending
                await self._store(body.left_over(), goal, part)
        finally:
            await self._settle()
        return ending

    async def _loop(self, body: PlainBody | PartBody, goal: int, part: Hash | None) -> Ending:
        pace = Pace(self._limits)
        now = asyncio.get_running_loop().time
        while True:
            began = now()
            try:
                pieces = await self._interrupt.guard(body.read, self._limits.idle_timeout_s)
            except ConnectionError:
                raise _Ended(Ending.CUT) from None
            waited = now() - began
            if not pieces:
                return Ending.COMPLETE
            if not await self._store(pieces, goal, part):
                return Ending.OVERLONG
            pace.note(waited, sum(map(len, pieces)))

    async def _store(self, pieces: list[bytes], goal: int, part: Hash | None) -> bool:
        """Store what fits; False if there was more."""
        size, room = sum(map(len, pieces)), goal - self._file.offset
        if size > room:
            pieces = [b"".join(pieces)[:room]]
        if size and room:
            self._unchecked += min(size, room)
            if self._unchecked >= self._limits.sync_every:
                self._unchecked = 0
                await self._offload.quick(self._room)
            await self._offload.disk(self._file.append, pieces, part)
            if not self._file.is_hashed and (self._follower is None or self._follower.done()):
                await self._join()
                self._follower = asyncio.ensure_future(self._offload.disk(self._file.follow))
        return size <= room

    async def _settle(self) -> None:
        """Whatever happened: what is stored becomes durable, if it shall be, and nobody reads the file any more."""
        if self._durable:
            await self._offload.disk(self._file.sync)
        await self._join()

    async def _join(self) -> None:
        if self._follower is not None:
            follower, self._follower = self._follower, None
            await follower


async def proceed(request: web.Request) -> None:
    """The checks are done: tell a client that asked first that it may send the body."""
    expected = request.headers.get("Expect")
    if expected is None:
        return
    if expected.lower() != "100-continue":
        raise HttpRefusal(417, "BadRequest", f"the server cannot do what Expect asks: {expected[:40]!r}.")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # The answer itself has not begun yet.


async def expect_later(request: web.Request) -> None:
    """In place of aiohttp's own answer to `Expect`, which says 100 before any check was made."""


def refuse_if_full(free: int, limits: ServerLimits) -> None:
    """Raise DiskFull when less than the floor is free."""
    if free < limits.disk_floor_bytes:
        raise DiskFull("the server's disk is full.", "What was sent is kept; it goes on when there is space again.")
