"""What a query string asks for in a list of items: read and checked."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from aiohttp import web

from dmc.conversions import MediaType
from dmc.errors import BadRequest
from dmc.items import Status
from dmc.protocol import PAGE_LIMIT
from dmc.server.calls import Parameter
from dmc.server.overview import Asked

LONGEST = 255
_TIME = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d(\.\d{1,6})?)?)?Z?)?)?)?")

PAGED_BY = (
    Parameter("cursor", "Go on after this item, as the page before said"),
    Parameter("limit", "So many at most", {"type": "integer", "minimum": 1, "maximum": PAGE_LIMIT, "default": PAGE_LIMIT}),
)
LISTED_BY = (
    Parameter("client_id", "Only of this client; others than one's own need the admin scope"),
    Parameter("status", "Only in these statuses", {"type": "array", "items": {"enum": [status.value for status in Status]}}),
    Parameter("media_type", "Only of this medium", {"enum": [medium.value for medium in MediaType]}),
    Parameter("conversion_type", "Only of this conversion type", {"type": "string", "maxLength": LONGEST}),
    Parameter("q", "Only with this text in the name", {"type": "string", "maxLength": LONGEST}),
    Parameter("since", "Only made at this time or later; its beginning is enough", {"type": "string", "pattern": f"^({_TIME.pattern})?$"}),
    Parameter("until", "Only made before this time", {"type": "string", "pattern": f"^({_TIME.pattern})?$"}),
    Parameter("id", "These items, instead of all", {"type": "array", "items": {"type": "string"}, "maxItems": PAGE_LIMIT}),
    *PAGED_BY,
)

Word = TypeVar("Word", bound=StrEnum)


def asked_of(request: web.Request, client_id: str | None) -> Asked:
    """What the query asks for of the items of `client_id` (None: of all). Raises BadRequest."""
    query = request.query
    return Asked(
        client_id=client_id,
        statuses=frozenset(_word(Status, text, "status") for text in query.getall("status", [])),
        media_type=_word(MediaType, query["media_type"], "media type") if query.get("media_type") else None,
        conversion_type=_text(query, "conversion_type") or None,
        text=_text(query, "q"),
        since=_time(query, "since"),
        until=_time(query, "until"),
    )


def limit_of(request: web.Request) -> int:
    """How many items a page may hold. Raises BadRequest."""
    text = request.query.get("limit")
    if text is None:
        return PAGE_LIMIT
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= PAGE_LIMIT:
        raise BadRequest(f"limit must be a number from 1 to {PAGE_LIMIT}.")
    return int(text)


def _word(words: type[Word], text: str, what: str) -> Word:
    try:
        return words(text)
    except ValueError:
        raise BadRequest(f"there is no {what} {text[:40]!r}.", f"There are: {', '.join(words)}.") from None


def _text(query: Mapping[str, str], name: str) -> str:
    text = query.get(name, "")
    if len(text) > LONGEST:
        raise BadRequest(f"{name} may have at most {LONGEST} signs.")
    return text


def _time(query: Mapping[str, str], name: str) -> str:
    """A time or its beginning, without the Z: what is compared then is text with text of one length or more."""
    text = query.get(name, "")
    if text and not _TIME.fullmatch(text):
        raise BadRequest(f"{name} must be a time in UTC or its beginning.", "Like 2026-11, 2026-11-21 or 2026-11-21T13:25:00Z.")
    return text.removesuffix("Z")
