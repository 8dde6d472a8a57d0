"""How many bytes a client, and all clients together, may have here: asked before the first byte of a file is taken."""

from collections.abc import Callable, Iterable

from dmc.broker.allowance import Allowance
from dmc.server.offload import Offload
from dmc.server.upload import Upload

Held = Callable[[str], tuple[int, int]]
"""Bytes that the items of a client, and those of all, have on the disk. Blocking."""


class Quota:
    """See the top of this file. Where there is no bound nothing is counted."""

    def __init__(self, held: Held, offload: Offload, allowance: Allowance) -> None:
        self._held = held
        self._offload = offload
        self._allowance = allowance

    async def check(self, client_id: str, wanted: int, uploads: Iterable[Upload]) -> None:
        """Raise DiskFull, TooLarge for `wanted` bytes more than may be; `uploads` are all that are open, but for the one asked about."""
        if not self._allowance:
            return
        mine, of_all = await self._offload.quick(self._held, client_id)
        for upload in uploads:
            size = upload.record.length or upload.file.offset
            of_all += size
            mine += size if upload.record.client_id == client_id else 0
        self._allowance.check(wanted, of_client=mine, of_all=of_all)
