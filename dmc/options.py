"""Options of a conversion: what each may be, said in words, and as the API lists it. Data and checks only.

Which conversion type takes which of them stands in conversions.py.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

_CLOCK = re.compile(r"(?:(?:(\d{1,4}):)?([0-5]?\d):)?(\d{1,6})(\.\d{1,9})?", re.ASCII)
_LATEST_S = 10_000_000
"""About 116 days; nothing that dmc takes is longer."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a conversion: a number within bounds, one of some words, a time (seconds, or HH:MM:SS.mmm), or yes or no."""

    name: str
    summary: str
    least: float | None = None
    most: float | None = None
    whole: bool = False
    words: tuple[str, ...] = ()
    time: bool = False

    @property
    def said(self) -> str:
        """What values are allowed, in words."""
        if self.time:
            return "seconds as a number from 0, or a time as HH:MM:SS.mmm"
        if self.words:
            return f"one of {', '.join(self.words)}"
        if self.least is None or self.most is None:
            return "true or false"
        return f"a {'whole ' if self.whole else ''}number from {self.least:g} to {self.most:g}"

    def described(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """As the API lists it: type `number`, `integer`, `word`, `time` or `boolean`, its bounds or words, and what `settings` of a
        type say."""
        found: dict[str, Any] = {"name": self.name, "summary": self.summary, "default": settings.get(self.name)}
        if self.time:
            return {**found, "type": "time"}
        if self.words:
            return {**found, "type": "word", "words": list(self.words)}
        if self.least is None or self.most is None:
            return {**found, "type": "boolean"}
        return {**found, "type": "integer" if self.whole else "number", "least": self.least, "most": self.most}

    def takes(self, value: Any) -> bool:
        """Is `value` (as JSON gives it) allowed?"""
        if self.time:
            return seconds_of(value) is not None
        if self.words:
            return value in self.words
        if self.least is None or self.most is None:
            return isinstance(value, bool)
        fits = isinstance(value, int) or (isinstance(value, float) and not self.whole)
        return fits and not isinstance(value, bool) and self.least <= value <= self.most


def seconds_of(value: Any) -> Fraction | None:
    """The seconds that a time means, exactly: a number, or text as `HH:MM:SS.mmm`, `MM:SS` or `SS.mmm`; None for no time.

    `90`, `90.0`, `"90"`, `"1:30"` and `"00:01:30.000"` are the same.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    said = _CLOCK.fullmatch(value if isinstance(value, str) else _written(value))
    if said is None:
        return None
    hours, minutes, seconds, rest = said.groups()
    if minutes is not None and int(seconds) >= 60:
        return None
    found = 3600 * int(hours or 0) + 60 * int(minutes or 0) + int(seconds) + Fraction(rest or 0)
    return found if found <= _LATEST_S else None


def _written(number: int | float) -> str:
    """As people write it: floating point has no exact tenths, its shortest writing has."""
    return str(number) if isinstance(number, int) else f"{number:.9f}".rstrip("0").rstrip(".")
