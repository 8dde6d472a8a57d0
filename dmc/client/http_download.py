"""Fetches one result by HTTP ranges into a part file, and proves it: length, ETag, SHA-512 over the whole file, fsync.

A note beside the part file (written first, synced) says whose bytes these are; only with the same note a fetch goes on
where it stopped. An answer is used only if it is exactly the part that was asked for.
"""

import asyncio
import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import aiohttp

from dmc.client.http_calls import TRANSFER, Calls, not_ours
from dmc.client.transport import Interrupted, LocalFault, note_beside
from dmc.errors import DmcError, ServerUnreachable, VerificationFailed
from dmc.files import CHUNK, RealDisk, sha512_of, translate, write_durably
from dmc.jobs import MadeFile
from dmc.protocol import ITEMS

_Made = TypeVar("_Made")
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass(frozen=True, slots=True)
class Note:
    """Whose bytes a part file holds."""

    url: str
    etag: str
    size: int
    sha512: str


class HttpDownload:
    """The fetching of one result into `temp`."""

    def __init__(self, calls: Calls, item_id: str, result: MadeFile, temp: Path, stop: Callable[[], bool], *, beside: bool = False) -> None:
        self._calls = calls
        self._url = f"{ITEMS}/{item_id}/" + (f"sidecars/{quote(result.file_name, safe='')}" if beside else "result")
        self._result = result
        self._temp = temp
        self._stop = stop
        self._disk = RealDisk()

    async def run(self) -> None:
        try:
            note = await asyncio.to_thread(self._read_note)
            have = await asyncio.to_thread(self._part_size, note)
            if have < self._result.file_size or note is None:
                await self._receive(note, have)
            await asyncio.to_thread(self._prove)
        except OSError as problem:
            raise _local(problem) from None

    async def _receive(self, note: Note | None, have: int) -> None:
        await _on_disk(self._check_room, have)
        headers = {}
        if have and note is not None:
            headers = {"Range": f"bytes={have}-", "If-Range": note.etag}
        async with self._calls.opened("GET", self._url, headers=headers, within=TRANSFER, fine=(416,)) as answer:
            if answer.status == 416 or answer.headers.get("Content-Encoding", "identity") != "identity":
                await _on_disk(self._discard)
                raise not_ours("it is not the result as it was asked for")
            start = self._start_of(answer, note, have)
            if start == 0:
                await _on_disk(self._begin, answer)
            await self._store(answer, start)

    def _check_room(self, have: int) -> None:
        """What cannot fit is not begun: other programs need what is left of the disk. Some file systems do not say what there is."""
        disk = shutil.disk_usage(self._temp.parent)
        if disk.total > 0 and disk.free < self._result.file_size - have:
            raise OSError(errno.ENOSPC, "No space left on device")

    def _start_of(self, answer: aiohttp.ClientResponse, note: Note | None, have: int) -> int:
        """Where the bytes of this answer belong: 0 for a whole file, `have` for exactly the part that was missing."""
        size = self._result.file_size
        if answer.status == 200:
            if answer.content_length not in (None, size):
                raise not_ours(f"the result has {answer.content_length} bytes instead of {size}")
            return 0
        found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if answer.status != 206 or found is None or note is None or answer.headers.get("ETag") != note.etag:
            raise not_ours("it is not the part that was asked for")
        if tuple(map(int, found.groups())) != (have, size - 1, size):
            raise not_ours("it is not the part that was asked for")
        return have

    def _begin(self, answer: aiohttp.ClientResponse) -> None:
        """An empty part file, and before its first byte the note whose it is."""
        self._discard()
        etag = answer.headers.get("ETag", "")
        if etag and not etag.startswith("W/"):
            note = Note(self._url, etag, self._result.file_size, self._result.sha512_checksum)
            write_durably(self._disk, note_beside(self._temp), json.dumps(asdict(note)).encode())
        fd = os.open(self._temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.close(fd)

    async def _store(self, answer: aiohttp.ClientResponse, at: int) -> None:
        fd = await _on_disk(os.open, self._temp, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        pending = bytearray()
        try:
            async for part in answer.content.iter_any():
                pending += part
                if at + len(pending) > self._result.file_size:
                    raise not_ours("it is longer than announced")
                if self._stop():
                    raise Interrupted("the client is stopping.")
                if len(pending) >= CHUNK:
                    at += await _on_disk(_write, fd, bytes(pending), at)
                    pending.clear()
        finally:
            # What arrived is kept, also when the line was cut: the next fetch goes on from there.
            try:
                at += await _on_disk(_write, fd, bytes(pending), at)
            finally:
                os.close(fd)
        if at != self._result.file_size:
            raise ServerUnreachable("the result ended too early.")

    def _prove(self) -> None:
        if self._temp.stat().st_size != self._result.file_size or sha512_of(self._temp) != self._result.sha512_checksum:
            self._discard()
            raise VerificationFailed("what was fetched is not the result that the server announced.", "It is fetched again.")
        self._disk.sync_file(self._temp)

    def _read_note(self) -> Note | None:
        try:
            note = Note(**json.loads(note_beside(self._temp).read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        mine = (self._url, self._result.file_size, self._result.sha512_checksum)
        return note if (note.url, note.size, note.sha512) == mine else None

    def _part_size(self, note: Note | None) -> int:
        try:
            size = self._temp.stat().st_size if note is not None else 0
        except FileNotFoundError:
            return 0
        return size if size <= self._result.file_size else 0

    def _discard(self) -> None:
        for path in (self._temp, note_beside(self._temp)):
            path.unlink(missing_ok=True)


def _write(fd: int, data: bytes, at: int) -> int:
    view = memoryview(data)
    done = 0
    while done < len(data):
        done += os.pwrite(fd, view[done:], at + done)
    return done


async def _on_disk(call: Callable[..., _Made], *arguments: object) -> _Made:
    """A call to this machine's disk while an answer is read: its faults must not pass for those of the network."""
    try:
        return await asyncio.to_thread(call, *arguments)
    except OSError as problem:
        raise _local(problem) from None


def _local(problem: OSError) -> DmcError:
    told = translate(problem, "storing the result")
    return LocalFault(told.message, told.hint, code=told.code)
