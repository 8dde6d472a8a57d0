"""Timecodes keep to the pictures that they count."""

from fractions import Fraction

import pytest

from dmc.convert.timecode import moved

NTSC, FAST = Fraction(30000, 1001), Fraction(60000, 1001)


@pytest.mark.parametrize(
    ("code", "rate", "seconds", "found"),
    [
        ("01:00:00:00", Fraction(25), Fraction(1), "01:00:01:00"),
        ("01:00:00:20", Fraction(25), Fraction("0.4"), "01:00:01:05"),
        ("23:59:59:24", Fraction(25), Fraction(1, 25), "00:00:00:00"),
        ("00:00:59;29", NTSC, 1 / NTSC, "00:01:00;02"),
        ("00:09:59;29", NTSC, 1 / NTSC, "00:10:00;00"),
        ("01:00:00;00", NTSC, Fraction(600 * 999 + 600, 1000), "01:10:00;00"),
        ("00:00:59;59", FAST, 1 / FAST, "00:01:00;04"),
        ("00:00:59:29", NTSC, 1 / NTSC, "00:01:00:00"),
        ("00:00:00:00", Fraction(24), Fraction("0.99"), "00:00:00:23"),
        ("reel 7", Fraction(25), Fraction(1), "reel 7"),
    ],
)
def test_the_timecode_of_a_later_picture(code: str, rate: Fraction, seconds: Fraction, found: str) -> None:
    assert moved(code, rate, seconds) == found


def test_drop_frame_counts_every_picture_once_a_day() -> None:
    """All codes of eleven minutes, one picture at a time: each follows the one before, and none comes twice."""
    code, seen = "00:59:00;02", set()
    for _ in range(11 * 1800):
        assert code not in seen
        seen.add(code)
        code = moved(code, NTSC, 1 / NTSC)
    assert not any(c.endswith((";00", ";01")) and c[6:8] == "00" and c[4] != "0" for c in seen)
