"""Quiet hours: when this machine shall not convert, as people say it: `mon-fri 08:00-18:00`, `22:00-07:00`, `sat-sun`.

Pure: a moment and a zone in, quiet or not and until when out. A window begins on the days it names and may end on the next
day. It is a span of real time between two local clock times: at the hour that a zone skips, its edge is the moment of the skip; at the hour
that comes twice, it begins at the first and ends at the last.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dmc.errors import BadSettings, UsageFault

EndAction = Literal["finish", "freeze", "put-back"]
"""What becomes of running conversions when quiet begins."""

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MIN = 24 * 60
_LOOK_AHEAD_D = 8
_STRICTNESS: tuple[EndAction, ...] = ("finish", "freeze", "put-back")
_EXAMPLE = 'For example "mon-fri 08:00-18:00", "22:00-07:00" or "sat,sun".'


@dataclass(frozen=True, slots=True)
class Window:
    """One span per day of `days` (0 = Monday): from minute `start` of that day to minute `end`, of the next day if that is not later."""

    text: str
    days: frozenset[int]
    start: int
    end: int
    end_action: EndAction = "finish"


@dataclass(frozen=True, slots=True)
class Quiet:
    """It is quiet `until` then (None: for longer than a week), by the window of this text."""

    text: str
    until: datetime | None
    end_action: EndAction


def parse_window(text: str, end_action: EndAction = "finish") -> Window:
    """A window from days and times in either order; raises BadSettings with an example."""
    days: set[int] = set()
    times: list[tuple[int, int]] = []
    for word in text.lower().replace(" ,", ",").replace(", ", ",").split():
        if word[0].isdigit():
            times.append(_times(word, text))
        else:
            days |= {day for part in word.split(",") for day in _days(part, text)}
    if len(times) > 1 or not (times or days):
        raise BadSettings(f"{text!r} is no window of time.", _EXAMPLE)
    start, end = times[0] if times else (0, _DAY_MIN)
    return Window(text, frozenset(days or range(7)), start, end, end_action)


def _times(word: str, text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})", word)
    if found is None:
        raise BadSettings(f"{word!r} in {text!r} is no pair of times.", _EXAMPLE)
    hours = [int(found[1]), int(found[3])]
    minutes = [int(found[2]), int(found[4])]
    start, end = (hour * 60 + minute for hour, minute in zip(hours, minutes, strict=True))
    if max(minutes) > 59 or start >= _DAY_MIN or end > _DAY_MIN:
        raise BadSettings(f"{word!r} in {text!r} holds a time that no clock shows.", _EXAMPLE)
    if start == end:
        raise BadSettings(f"{word!r} in {text!r} begins when it ends.", 'A whole day is "00:00-24:00".')
    return start, end


def _days(part: str, text: str) -> list[int]:
    first, _, last = part.partition("-")
    if first[:3] not in DAYS or (last and last[:3] not in DAYS) or len(first) < 3:
        raise BadSettings(f"{part!r} in {text!r} is no day.", f"Days are {', '.join(DAYS)}. {_EXAMPLE}")
    begin, end = DAYS.index(first[:3]), DAYS.index((last or first)[:3])
    return [day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)]


class QuietHours:
    """Windows in one time zone; asked with a moment, never with the machine's clock."""

    def __init__(self, windows: Sequence[Window] = (), zone: tzinfo = UTC) -> None:
        self._windows = tuple(windows)
        self.zone = zone

    def at(self, now: datetime) -> Quiet | None:
        """Whether it is quiet at `now` (aware), and until when: windows that overlap or meet count as one, the strictest action wins."""
        if not self._windows:
            return None
        today = now.astimezone(self.zone).date()
        spans = sorted(
            (span for day in range(-2, _LOOK_AHEAD_D) for span in self._spans(today + timedelta(days=day))), key=lambda span: span[0]
        )
        active = [span for span in spans if span[0] <= now < span[1]]
        if not active:
            return None
        window = max((span[2] for span in active), key=lambda window: _STRICTNESS.index(window.end_action))
        until = now
        for start, end, _ in spans:
            if start <= until:
                until = max(until, end)
        is_endless = until >= now + timedelta(days=_LOOK_AHEAD_D - 1)
        return Quiet(window.text, None if is_endless else until, window.end_action)

    def _spans(self, day: date) -> list[tuple[datetime, datetime, Window]]:
        spans = []
        for window in self._windows:
            if day.weekday() in window.days:
                start = _moment(day, window.start, self.zone, last=False)
                end = _moment(day, window.end + (0 if window.end > window.start else _DAY_MIN), self.zone, last=True)
                spans.append((start, end, window))
        return spans


def _moment(day: date, minute: int, zone: tzinfo, *, last: bool) -> datetime:
    """When the clocks of `zone` show minute `minute` of `day`: the first or last time if twice, the moment of the skip if never."""
    shown = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)  # noqa: DTZ001 - the zone comes next
    one, other = (shown.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if one <= other:
        return other if last else one
    early, late = other, one  # A skipped time: read by the rule after the skip it is too early, by the rule before too late.
    offset = early.astimezone(zone).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) / 2
        early, late = (middle, late) if middle.astimezone(zone).utcoffset() == offset else (early, middle)
    return late.replace(microsecond=0)


def zone_of(name: str) -> tzinfo:
    """The time zone of that name; of this machine if it is empty. Raises BadSettings."""
    try:
        if name:
            return ZoneInfo(name)
        with Path("/etc/localtime").open("rb") as rules:
            return ZoneInfo.from_file(rules, key="localtime")
    except (ZoneInfoNotFoundError, ValueError, OSError) as problem:
        if not name:
            return UTC
        raise BadSettings(f"there is no time zone {name!r} on this machine.", 'For example "Europe/Berlin"; see tzselect.') from problem


def moment_of(text: str, now: datetime, zone: tzinfo) -> datetime:
    """A time to come, from `07:00` (the next one) or RFC 3339; raises UsageFault."""
    found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text.strip())
    if found:
        today = now.astimezone(zone).date()
        minute = int(found[1]) * 60 + int(found[2])
        days = (today + timedelta(days=ahead) for ahead in (0, 1))
        return next(moment for day in days if (moment := _moment(day, minute, zone, last=False)) > now)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageFault(f"{text!r} is no time.", "For example 07:00, or 2026-11-21T07:00:00Z.") from None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
    if moment <= now:
        raise UsageFault(f"{text} is over.", "Name a time to come.")
    return moment.astimezone(UTC)
