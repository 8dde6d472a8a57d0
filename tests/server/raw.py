"""Requests by hand over a socket, for what no well-behaved client does."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

from dmc.protocol import OFFSET_TYPE
from tests.server.conftest import House


class Raw:
    """One connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> tuple[int, dict[str, str]]:
        """Status and header fields (names in lower case) of the next answer; its body stays unread."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    async def rest(self) -> bytes:
        """All that comes until the server closes."""
        return await self._reader.read()

    async def take(self, count: int) -> bytes:
        return await self._reader.readexactly(count)

    def reset(self) -> None:
        """Close with a TCP reset instead of an orderly end."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.close()

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


@contextlib.asynccontextmanager
async def connection(house: House) -> AsyncIterator[Raw]:
    raw = Raw(*await asyncio.open_connection(*house.address))
    try:
        yield raw
    finally:
        await raw.close()


def request(house: House, method: str, path: str, **fields: str | int) -> bytes:
    """The head of a request with the default token."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {house.secret}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def patch(house: House, path: str, offset: int, length: int, **fields: str | int) -> bytes:
    """The head of a PATCH whose body is announced to have `length` bytes."""
    known: dict[str, str | int] = {"Tus_Resumable": "1.0.0", "Content_Type": OFFSET_TYPE, "Upload_Offset": offset}
    return request(house, "PATCH", path, **known, Content_Length=length, **fields)
