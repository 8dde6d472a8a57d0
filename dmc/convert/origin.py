"""When and where something was recorded, as its tags or its EXIF say. Pure; what makes no sense is as if it were not said."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

_MOMENTS = ("com.apple.quicktime.creationdate", "date_recorded", "creation_time", "date")
"""Tags that tell the moment, the best first: that of the camera before that of the file."""

_UNSET = {1904, 1970}
"""Years of clocks that were never set: those in which QuickTime and Unix begin."""

_PLACES = re.compile(r"(location|iso6709|xyz)(-\w{3})?$", re.IGNORECASE)
_ISO_6709 = re.compile(r"([+-])(\d{2}|\d{4}|\d{6})(\.\d+)?([+-])(\d{3}|\d{5}|\d{7})(\.\d+)?(?:[+-]|/|CRS|$)")

EXIF_IFD, GPS_IFD = 0x8769, 0x8825
_TAKEN, _DIGITISED, _TAKEN_OFFSET, _DIGITISED_OFFSET = 0x9003, 0x9004, 0x9011, 0x9012


@dataclass(frozen=True, slots=True)
class Origin:
    """`recorded_at` is ISO 8601, with an offset where one was told; `latitude` and `longitude` are degrees, north and east positive."""

    recorded_at: str | None = None
    latitude: float | None = None
    longitude: float | None = None


def of_tags(tags: Mapping[str, str]) -> Origin:
    """From the tags of a container or a stream; places as ISO 6709 writes them."""
    known = {key.lower(): value for key, value in tags.items()}
    moments = (_moment(known[key]) for key in _MOMENTS if key in known)
    places = (_place(value) for key, value in known.items() if _PLACES.search(key))
    latitude, longitude = next((place for place in places if place is not None), (None, None))
    return Origin(next((moment for moment in moments if moment is not None), None), latitude, longitude)


def of_exif(exif: Mapping[int, Any], gps: Mapping[int, Any]) -> Origin:
    """From the EXIF directory and the GPS directory of a picture, by tag number."""
    pairs = ((_TAKEN, _TAKEN_OFFSET), (_DIGITISED, _DIGITISED_OFFSET))
    moments = (_exif_moment(exif.get(tag), exif.get(offset)) for tag, offset in pairs)
    latitude, longitude = _degrees(gps.get(2), gps.get(1), 90), _degrees(gps.get(4), gps.get(3), 180)
    if latitude is None or longitude is None:
        latitude = longitude = None
    return Origin(next((moment for moment in moments if moment is not None), None), latitude, longitude)


def _moment(text: str) -> str | None:
    """`text` in one way of writing; None for no moment, a bare year (that of a release), or a clock that was never set."""
    words = text.strip()
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", words):
            return None if date.fromisoformat(words).year in _UNSET else words
        found = datetime.fromisoformat(words)
    except ValueError:
        return None
    if len(words) < len("2000-01-01T00:00") or found.year in _UNSET:
        return None
    return found.isoformat().replace("+00:00", "Z")


def _exif_moment(text: Any, offset: Any) -> str | None:
    if not isinstance(text, str):
        return None
    said = re.fullmatch(r"(\d{4}):(\d{2}):(\d{2}) (\d{2}:\d{2}:\d{2})", text.strip("\0 "))
    if said is None:
        return None
    zone = offset.strip("\0 ") if isinstance(offset, str) else ""
    return _moment(f"{said[1]}-{said[2]}-{said[3]}T{said[4]}{zone if re.fullmatch(r'[+-][0-9]{2}:[0-9]{2}|Z', zone) else ''}")


def _place(text: str) -> tuple[float, float] | None:
    said = _ISO_6709.match(text.strip())
    if said is None:
        return None
    latitude, longitude = _angle(said[1], said[2], said[3], 2), _angle(said[4], said[5], said[6], 3)
    return (latitude, longitude) if abs(latitude) <= 90 and abs(longitude) <= 180 else None


def _angle(sign: str, digits: str, fraction: str | None, first: int) -> float:
    """Degrees, degrees and minutes, or degrees, minutes and seconds, run together; the last of them may have a fraction."""
    parts = [float(part) for part in _split(digits, first)]
    parts[-1] += float(fraction or 0)
    found: float = sum(part / 60**power for power, part in enumerate(parts))
    return round(-found if sign == "-" else found, 6)


def _split(digits: str, first: int) -> Iterator[str]:
    yield digits[:first]
    for at in range(first, len(digits), 2):
        yield digits[at : at + 2]


def _degrees(parts: Any, side: Any, most: float) -> float | None:
    """Degrees, minutes and seconds as EXIF keeps them; None where they are missing, divided by zero, or beyond the globe."""
    try:
        found: float = sum(float(part) / 60**power for power, part in enumerate(parts))
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    if not math.isfinite(found) or found > most or found < 0 or not isinstance(side, str):
        return None
    return round(-found if side.strip("\0 ").upper() in ("S", "W") else found, 6)
