"""One open upload: its record on disk, its file, and who is at it right now. Decides nothing."""

import asyncio

from pydantic import ConfigDict

from dmc.server.incoming import IncomingFile
from dmc.server.policy import Announcement
from dmc.server.receiving import Interrupt

STATE_FILE = "upload.json"
"""Stands beside the bytes from before the client hears of the upload until it is an item."""

ARRIVING = "arriving"
"""What a file is called that comes in one request, until it is complete. Half of it is worth nothing, and known by this name; no
record stands beside it."""


class UploadRecord(Announcement):
    """What `upload.json` holds. One that is not resumable comes in one request and is worth nothing after it: it is not written down."""

    model_config = ConfigDict(frozen=True, extra="allow")  # What a newer version noted is kept, so that the upload outlives a rollback.

    item_id: str
    created_at: str
    file_name: str
    resumable: bool = True


class Upload:
    """One open upload. Whoever touches its file holds `lock`; `interrupt` is that of the request that receives right now."""

    def __init__(self, record: UploadRecord, file: IncomingFile, touched: float) -> None:
        self.record = record
        self.file = file
        self.lock = asyncio.Lock()
        self.interrupt: Interrupt | None = None
        self.waiting = 0
        """Requests that want the upload; one that receives gives way to them."""
        self.touched = touched
        """Monotonic time of the last request that did something with it."""

    @property
    def is_complete(self) -> bool:
        """Whether all announced bytes are here."""
        return self.record.length == self.file.offset

    @property
    def missing(self) -> int:
        """Bytes that still have to come, as far as the length is known."""
        return 0 if self.record.length is None else self.record.length - self.file.offset
