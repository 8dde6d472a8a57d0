"""Preconditions and byte ranges: what to answer to a GET or HEAD of immutable bytes. Pure.

The order is that of RFC 9110 section 13.2.2; ranges follow section 14. A `Range` that cannot be read, has an unknown
unit or comes with a method other than GET is ignored, as is one whose `If-Range` does not match exactly: a client that
gets all the bytes is slow, one that gets bytes of another file is broken.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

MOST_RANGES = 16
"""More ranges than this in one request are answered with the whole."""

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_SPEC = re.compile(r"(\d*)-(\d*)", re.ASCII)
_HUGE = 10**19


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `start` up to, not including, `stop`; never empty."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is 200, 206, 304, 412 or 416; `spans` is filled for 206 only."""

    status: int
    spans: tuple[Span, ...] = ()


def decide(method: str, headers: Mapping[str, str], *, etag: str, last_modified: datetime, size: int) -> Answer:
    """The answer for bytes with the strong, quoted `etag`. `headers`: values of repeated fields joined with commas."""
    modified = last_modified.astimezone(UTC).replace(microsecond=0)
    failed = _failed_precondition(method, headers, etag, modified)
    if failed is not None:
        return Answer(failed)
    wanted = headers.get("Range")
    if method != "GET" or wanted is None or not _same_as_before(headers.get("If-Range"), etag, modified):
        return Answer(200)
    return _ranges(wanted, size)


def _failed_precondition(method: str, headers: Mapping[str, str], etag: str, modified: datetime) -> int | None:
    if (match := headers.get("If-Match")) is not None:
        if not _matches(match, etag, weak=False):
            return 412
    elif (unmodified := http_date(headers.get("If-Unmodified-Since"))) is not None and modified > unmodified:
        return 412
    not_modified = 304 if method in ("GET", "HEAD") else 412
    if (none_match := headers.get("If-None-Match")) is not None:
        return not_modified if _matches(none_match, etag, weak=True) else None
    since = http_date(headers.get("If-Modified-Since"))
    if since is not None and method in ("GET", "HEAD") and modified <= since:
        return 304
    return None


def _matches(field: str, etag: str, *, weak: bool) -> bool:
    if field.strip() == "*":
        return True
    return any(f'"{tag}"' == etag and (weak or not is_weak) for is_weak, tag in _TAG.findall(field))


def _same_as_before(if_range: str | None, etag: str, modified: datetime) -> bool:
    """RFC 9110 section 13.1.5: a strong ETag that is the same, or a date that is exactly the same."""
    if if_range is None:
        return True
    value = if_range.strip()
    if value.startswith(('"', "W/")):
        return value == etag
    return http_date(value) == modified


def _ranges(field: str, size: int) -> Answer:
    specs = _parse(field)
    if specs is None or size == 0:
        return Answer(200)
    spans = [span for first, last in specs if (span := _fit(first, last, size)) is not None]
    if not spans:
        return Answer(416)
    if len(specs) > MOST_RANGES or sum(span.length for span in spans) > size:
        return Answer(200)
    return Answer(206, tuple(spans))


def _parse(field: str) -> list[tuple[int | None, int | None]] | None:
    """(first, last) of each range, `(None, n)` for the last n bytes; None if this is no list of byte ranges."""
    unit, equals, rest = field.partition("=")
    if not equals or unit.strip().lower() != "bytes":
        return None
    specs: list[tuple[int | None, int | None]] = []
    for part in rest.split(","):
        text = part.strip(" \t")
        if not text:
            continue
        found = _SPEC.fullmatch(text)
        if found is None or text == "-":
            return None
        first, last = _number(found[1]), _number(found[2])
        if first is not None and last is not None and last < first:
            return None
        specs.append((first, last))
    return specs or None


def _number(digits: str) -> int | None:
    if not digits:
        return None
    return int(digits) if len(digits) < 19 else _HUGE


def _fit(first: int | None, last: int | None, size: int) -> Span | None:
    """The range cut to `size` bytes; None if nothing of it is there."""
    if first is None:
        count = min(last or 0, size)
        return Span(size - count, size) if count else None
    if first >= size:
        return None
    return Span(first, size if last is None else min(last + 1, size))


def http_date(text: str | None) -> datetime | None:
    """The moment that an HTTP date names; None if it is none."""
    if text is None:
        return None
    try:
        moment = parsedate_to_datetime(text.strip())
    except (TypeError, ValueError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def to_http_date(moment: datetime) -> str:
    """`Sat, 21 Nov 2026 08:09:10 GMT`."""
    return format_datetime(moment.astimezone(UTC).replace(microsecond=0), usegmt=True)
