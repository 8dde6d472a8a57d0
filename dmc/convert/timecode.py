"""Timecodes as cameras write them, `HH:MM:SS:FF`, moved on by some seconds. Pure. Source: SMPTE ST 12-1.

With a semicolon before the pictures it is drop-frame: at 29.97 (59.94) pictures a second the first two (four) numbers of every minute but
each tenth are left out, so that the timecode keeps up with the clock.
"""

import re
from fractions import Fraction

_CODE = re.compile(r"(\d{2}):(\d{2}):(\d{2})([:;.])(\d{2,3})", re.ASCII)


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
