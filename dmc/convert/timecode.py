"""Timecodes as cameras write them, `HH:MM:SS:FF`: where they stand, what MP4 takes, moved on by some seconds. Pure. Source: SMPTE ST 12-1.

With a semicolon before the pictures it is drop-frame: at 29.97 (59.94) pictures a second the first two (four) numbers of every minute but
each tenth are left out, so that the timecode keeps up with the clock.
"""

import re
from collections.abc import Mapping
from fractions import Fraction

_CODE = re.compile(r"(\d{2}):(\d{2}):(\d{2})([:;.])(\d{2,3})", re.ASCII)

_MOST_PICTURES = 255
"""A second of a timecode track counts its pictures in one byte."""


def said_in(tags: Mapping[str, str]) -> str | None:
    """The timecode among the tags of a stream or a file."""
    return next((value for key, value in tags.items() if key.lower() == "timecode"), None)


def fits(code: str, rate: tuple[int, int] | None) -> bool:
    """Can a timecode track of MP4 begin with `code`, at `rate` pictures a second? Drop-frame it counts only at multiples of 30."""
    said = _CODE.fullmatch(code.strip())
    counted = round(Fraction(*rate)) if rate is not None else 0
    if said is None or not 1 <= counted <= _MOST_PICTURES or (said[4] in ";." and counted % 30):
        return False
    return all(int(said[part]) < limit for part, limit in ((1, 24), (2, 60), (3, 60), (5, counted)))


def same(one: str, other: str | None) -> bool:
    """Do both mean the same picture? Pictures are written with two digits or with three."""
    first, second = _CODE.fullmatch(one.strip()), _CODE.fullmatch((other or "").strip())
    if first is None or second is None:
        return one == other
    return first.groups()[:4] == second.groups()[:4] and int(first[5]) == int(second[5])


def moved(code: str, rate: Fraction, seconds: Fraction) -> str:
    """The timecode of the picture that is shown `seconds` after the one with `code`, at `rate` pictures a second.

    What is no timecode stays as it is; after 24 hours it begins again.
    """
    said = _CODE.fullmatch(code.strip())
    counted = round(rate)
    if said is None or counted <= 0:
        return code
    hours, minutes, secs, pictures = (int(said[n]) for n in (1, 2, 3, 5))
    dropped = counted // 15 if said[4] in ";." and counted % 30 == 0 else 0
    number = ((60 * hours + minutes) * 60 + secs) * counted + pictures
    in_minutes = 60 * hours + minutes
    number -= dropped * (in_minutes - in_minutes // 10)
    return _written(number + (rate * seconds + Fraction(1, 1000)).__floor__(), counted, dropped, said[4], len(said[5]))


def _written(number: int, counted: int, dropped: int, mark: str, digits: int) -> str:
    ten_minutes = 600 * counted - 9 * dropped
    number %= 144 * ten_minutes
    if dropped:
        tens, rest = divmod(number, ten_minutes)
        number += 9 * dropped * tens + (dropped * ((rest - dropped) // (60 * counted - dropped)) if rest >= dropped else 0)
    secs, pictures = divmod(number, counted)
    return f"{secs // 3600:02d}:{secs // 60 % 60:02d}:{secs % 60:02d}{mark}{pictures:0{digits}d}"
