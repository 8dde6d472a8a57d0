"""What is served of an item: immutable bytes, and the header fields that tell of them. Opens nothing by itself."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO
from urllib.parse import quote

from dmc.server.ranges import to_http_date
from dmc.server.tus_headers import digest_field

CONTENT_TYPES = {
    ".mkv": "video/x-matroska",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mov": "video/quicktime",
    ".opus": "audio/ogg",
    ".ogg": "audio/ogg",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".flac": "audio/flac",
    ".wav": "audio/wav",
    ".webp": "image/webp",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".avif": "image/avif",
}
"""Shown in the browser; everything else is offered for saving only."""

IMMUTABLE = "private, max-age=31536000, immutable"
"""For URLs that carry a digest."""


@dataclass(frozen=True, slots=True)
class Representation:
    """Immutable bytes with what is known about them; `open` gives a new file object at its start."""

    size: int
    sha512: str
    last_modified: datetime
    file_name: str
    open: Callable[[], BinaryIO]
    caching: str = "private, no-cache"

    @property
    def etag(self) -> str:
        return f'"{self.sha512}"'

    @property
    def content_type(self) -> str:
        return CONTENT_TYPES.get(os.path.splitext(self.file_name)[1].lower(), "application/octet-stream")


def headers_of(bytes_: Representation) -> dict[str, str]:
    """The fields of every answer about `bytes_`, with or without them."""
    return {
        "ETag": bytes_.etag,
        "Last-Modified": to_http_date(bytes_.last_modified),
        "Accept-Ranges": "bytes",
        "Cache-Control": bytes_.caching,
        "Repr-Digest": digest_field(bytes.fromhex(bytes_.sha512)),
        "Content-Disposition": disposition(bytes_.file_name, inline=bytes_.content_type != "application/octet-stream"),
    }


def disposition(file_name: str, *, inline: bool) -> str:
    """`Content-Disposition` for any name: an ASCII fallback, and the real one percent-encoded (RFC 6266, RFC 8187)."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%;' else "_" for c in file_name)
    kind = "inline" if inline else "attachment"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(file_name, safe='', errors='replace')}"
