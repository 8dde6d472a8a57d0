"""What the server takes, decided before the first byte: conversion type, media type, size, disk space, open uploads. Pure.

Everything here raises a refusal with a sentence, or returns what was settled. The worker's probe has the last word on
what a file really is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from dmc.broker.room import in_words
from dmc.conversions import (
    CONVERSION_TYPES,
    DEFAULT_CONVERSIONS,
    ConversionType,
    MediaType,
    check_fits,
    find_conversion,
    guess_media_type,
)
from dmc.errors import BadRequest, DiskFull, TooLarge, Unsupported
from dmc.server.replies import RETRY_AFTER_S, HttpRefusal

MIB = 1024 * 1024


@dataclass(frozen=True)
class ServerLimits:
    """Bounds of the server; bytes and seconds."""

    max_file_size: int = 200 * 1024**3
    disk_floor_bytes: int = 1024**3
    max_open_uploads_per_client: int = 100
    idle_timeout_s: float = 60.0
    floor_rate: float = 256.0
    """Bytes per second below which an upload counts as stalled, measured over `floor_window_s` of waiting."""
    floor_window_s: float = 600.0
    take_over_s: float = 20.0
    """How long a request waits for another one to give an upload back."""
    expiry_s: float = 24 * 3600.0
    sync_every: int = 16 * MIB
    media_types: tuple[MediaType, ...] = tuple(MediaType)
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    base_path: str = ""
    requests_per_minute: int = 0
    failed_sign_ins_per_minute: int = 10
    max_bytes_per_client: int = 0
    max_bytes_total: int = 0
    trash_days: float = 0.0
    conversions: Mapping[str, ConversionType] = field(default_factory=lambda: CONVERSION_TYPES)


class Announcement(BaseModel):
    """What a client says about a file before it sends it. `length` is None where it is not known yet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: str
    label: str
    length: int | None
    conversion_type: str
    options: dict[str, Any] = Field(default_factory=dict)
    sha512: str | None = None
    idempotency_key: str | None = None
    partial: bool = False
    """One part of a concatenation: bytes only, it never becomes an item by itself."""
    metadata: str = ""
    """The `Upload-Metadata` field as it came."""


def settle_conversion(name: str | None, label: str, limits: ServerLimits) -> str:
    """The conversion type for a file called `label`: `name`, or the default of its medium.

    Raises UnknownConversion, UnfitConversion, Unsupported.
    """
    medium = guess_media_type(label)
    if name is None:
        if medium is None:
            raise BadRequest(
                f"say what {label!r} shall become: conversion_type is missing.", f"Known are: {', '.join(limits.conversions)}."
            )
        name = DEFAULT_CONVERSIONS[medium]
    kind = find_conversion(name, limits.conversions)
    if medium is not None:
        check_fits(kind, medium)
        check_medium(medium, limits)
    return kind.name


def check_medium(medium: MediaType, limits: ServerLimits) -> None:
    """Raise Unsupported for a medium that this server does not take."""
    if medium not in limits.media_types:
        taken = ", ".join(sorted(limits.media_types)) or "nothing"
        raise Unsupported(f"this server does not take {medium}.", f"It takes: {taken}.")


def check_size(length: int | None, limits: ServerLimits) -> None:
    """Raise TooLarge for more bytes than a file may have."""
    if length is not None and length > limits.max_file_size:
        raise TooLarge(f"the file has {length} bytes, and this server takes at most {limits.max_file_size}.")


def check_space(wanted: int, *, free: int, reserved: int, limits: ServerLimits) -> None:
    """Raise DiskFull if `wanted` more bytes would go below the floor; `reserved` bytes are promised to open uploads."""
    if free - reserved < wanted + limits.disk_floor_bytes:
        left = max(0, free - reserved - limits.disk_floor_bytes)
        raise DiskFull(
            f"the server's disk has no room for this file: it needs {in_words(wanted)}, {in_words(left)} are free.",
            "Try again later, or free some space on the server.",
        )


def check_open_count(count: int, limits: ServerLimits) -> None:
    """Refuse one more open upload of a client that has `count`."""
    if count >= limits.max_open_uploads_per_client:
        raise HttpRefusal(
            429,
            "TooManyUploads",
            f"this client has {count} unfinished uploads already.",
            "Finish or delete some of them.",
            {"Retry-After": str(RETRY_AFTER_S)},
        )
