"""Where something was recorded, taken out on request: tags of video and sound, EXIF and XMP of pictures. Pure.

Rather too much goes than too little: what cannot be followed is taken out as a whole. What makers hide in notes of their own
kind, and what people wrote into titles, nobody can know.
"""

import re
import struct
from dataclasses import replace

from dmc.convert.facts import MediaFacts
from dmc.convert.receipt import MetadataEntry

PLACE_TAGS = re.compile(r"(location|gps|iso6709|xyz$)", re.IGNORECASE)
"""Names of tags that hold a place."""

_PLACE_IN_XMP = re.compile(rb"GPS|Location|City|Country|ProvinceState|:State")
_GPS_POINTER = 0x8825
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of one value by EXIF type. Source: TIFF 6.0, section 2; EXIF 2.32, table 4."""


def removed(what: str) -> MetadataEntry:
    """How the receipt says that a place is gone."""
    return MetadataEntry(kind="GPS", outcome="changed", detail=f"{what} removed, as asked")


def place_tags(facts: MediaFacts) -> list[str]:
    """The names of all tags that hold a place."""
    return [key for tags in (facts.tags, *(s.tags for s in facts.streams)) for key in tags if PLACE_TAGS.search(key)]


def without_places(facts: MediaFacts) -> MediaFacts:
    """`facts` without the tags that hold a place, so that nobody writes them."""
    streams = tuple(s.having(tags=_placeless(s.tags)) for s in facts.streams)
    return replace(facts, tags=_placeless(facts.tags), streams=streams, latitude=None, longitude=None)


def _placeless(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if not PLACE_TAGS.search(key)}


def names_a_place(key: str) -> bool:
    """May a text of a picture by that name hold a place? ImageMagick writes EXIF, XMP and IPTC as texts, too."""
    return PLACE_TAGS.search(key) is not None or key.lower().startswith("raw profile type")


def xmp_names_a_place(xmp: bytes) -> bool:
    """Does an XMP packet hold coordinates or the name of a place?"""
    return _PLACE_IN_XMP.search(xmp) is not None


def exif_without_place(exif: bytes) -> bytes | None:
    """`exif` with its GPS directory blanked out, and nothing pointing there; every other byte where it was.

    None if it cannot be followed: then it must go as a whole.
    """
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return None
    made = bytearray(exif)
    try:
        (start,) = struct.unpack_from(f"{order}I", made, 4)
        (count,) = struct.unpack_from(f"{order}H", made, start)
        for entry in range(start + 2 + 12 * (count - 1), start + 1, -12):
            (tag,) = struct.unpack_from(f"{order}H", made, entry)
            if tag == _GPS_POINTER:
                (directory,) = struct.unpack_from(f"{order}I", made, entry + 8)
                _blank_directory(made, directory, order)
                _take_out(made, start, entry, order)
    except struct.error:
        return None
    return bytes(made)


def _blank_directory(exif: bytearray, start: int, order: str) -> None:
    (count,) = struct.unpack_from(f"{order}H", exif, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        _tag, kind, number, at = struct.unpack_from(f"{order}HHII", exif, entry)
        size = _SIZES.get(kind, 1) * number
        if size > 4:
            end = min(at + size, len(exif))
            exif[at:end] = bytes(max(0, end - at))
    end = min(start + 2 + 12 * count + 4, len(exif))
    exif[start:end] = bytes(end - start)


def _take_out(exif: bytearray, start: int, entry: int, order: str) -> None:
    """Remove an entry of the directory at `start`; what follows it moves up, with the pointer to the next directory."""
    (count,) = struct.unpack_from(f"{order}H", exif, start)
    end = min(start + 2 + 12 * count + 4, len(exif))
    exif[entry:end] = exif[entry + 12 : end] + bytes(12)
    struct.pack_into(f"{order}H", exif, start, count - 1)
