"""Quiet hours on a clock that only tests move: midnight, the two nights of summer time, the end of a month."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dmc.errors import BadSettings, UsageFault
from dmc.quiet_hours import QuietHours, moment_of, parse_window, zone_of

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime:
    """A moment by the clocks of Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


def quiet(*windows: str) -> QuietHours:
    return QuietHours([parse_window(text) for text in windows], BERLIN)


@pytest.mark.parametrize("text", ["mon-fri 08:00-18:00", "08:00-18:00 mon-fri", "Mon-Friday 8:00-18:00", "mon,tue-thu, fri 08:00-18:00"])
def test_days_and_times_come_in_either_order(text):
    window = parse_window(text)
    assert (window.days, window.start, window.end) == (frozenset(range(5)), 480, 1080)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no window"),
        ("8-18", "no pair of times"),
        ("25:00-26:00", "no clock shows"),
        ("08:00-08:61", "no clock shows"),
        ("08:00-08:00", "begins when it ends"),
        ("funday 08:00-18:00", "no day"),
        ("mo 08:00-18:00", "no day"),
        ("08:00-09:00 10:00-11:00", "no window"),
    ],
)
def test_what_makes_no_sense_is_refused_with_an_example(text, words):
    with pytest.raises(BadSettings, match=words):
        parse_window(text)


def test_a_window_holds_its_begin_and_not_its_end():
    hours = quiet("mon-fri 08:00-18:00")
    assert hours.at(at("2026-11-20T07:59:59")) is None
    assert hours.at(at("2026-11-20T08:00")).until == at("2026-11-20T18:00")
    assert hours.at(at("2026-11-20T17:59:59")) is not None
    assert hours.at(at("2026-11-20T18:00")) is None
    assert hours.at(at("2026-11-21T12:00")) is None, "that is a Saturday"


def test_a_night_belongs_to_the_day_it_begins_on_and_ends_after_midnight():
    hours = quiet("fri 22:00-07:00")
    assert hours.at(at("2026-11-20T06:00")) is None, "the night from Thursday"
    assert hours.at(at("2026-11-20T23:59")).until == at("2026-11-21T07:00")
    assert hours.at(at("2026-11-21T00:00")).until == at("2026-11-21T07:00")
    assert hours.at(at("2026-11-21T23:00")) is None


def test_the_end_of_a_month_and_of_a_year_are_nights_like_any_other():
    hours = quiet("22:00-07:00")
    assert hours.at(at("2027-02-28T23:00")).until == at("2027-03-01T07:00")
    assert hours.at(at("2028-02-28T23:00")).until == at("2028-02-29T07:00")
    assert hours.at(at("2026-12-31T23:00")).until == at("2027-01-01T07:00")


def test_the_night_that_loses_an_hour_is_an_hour_shorter():
    hours = quiet("22:00-07:00")
    began = at("2026-03-28T22:00")
    found = hours.at(began)
    assert found.until - began.astimezone(UTC) == timedelta(hours=8)


def test_the_night_that_gains_an_hour_is_an_hour_longer():
    hours = quiet("22:00-07:00")
    began = at("2026-10-24T22:00")
    assert hours.at(began).until - began.astimezone(UTC) == timedelta(hours=10)


def test_edges_at_a_skipped_time_are_the_moment_of_the_skip():
    skip = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    ends, begins = quiet("01:00-02:30"), quiet("02:30-04:00")
    assert ends.at(skip - timedelta(minutes=1)).until == skip
    assert ends.at(skip) is None
    assert begins.at(skip - timedelta(seconds=1)) is None
    assert begins.at(skip).until == at("2026-03-29T04:00")


def test_a_time_that_comes_twice_begins_with_the_first_and_ends_with_the_last():
    first, last = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    ends, begins = quiet("22:00-02:30"), quiet("02:30-05:00")
    assert ends.at(first).until == last
    assert ends.at(last) is None
    assert begins.at(first - timedelta(seconds=1)) is None
    assert begins.at(first) is not None
    assert begins.at(last) is not None


def test_windows_that_meet_count_as_one_and_the_strictest_says_what_becomes_of_the_running():
    hours = QuietHours(
        [parse_window("20:00-22:00"), parse_window("22:00-24:00", "freeze"), parse_window("mon 21:00-06:00", "put-back")], BERLIN
    )
    assert hours.at(at("2026-11-21T20:30")).until == at("2026-11-22T00:00")
    assert hours.at(at("2026-11-21T20:30")).end_action == "finish"
    assert hours.at(at("2026-11-21T22:30")).end_action == "freeze"
    assert (hours.at(at("2026-11-23T22:30")).end_action, hours.at(at("2026-11-23T22:30")).until) == ("put-back", at("2026-11-24T06:00"))


def test_what_is_always_quiet_has_no_end():
    assert quiet("00:00-24:00").at(at("2026-11-21T12:00")).until is None
    assert quiet("sat-sun").at(at("2026-11-21T12:00")).until == at("2026-11-23T00:00")
    assert quiet("fri-mon 08:00-09:00").at(at("2026-11-22T08:30")) is not None


def test_every_minute_of_a_year_agrees_with_the_clock_on_the_wall():
    """But for the edges of the two odd nights, quiet is what the wall clock says."""
    hours = quiet("mon-fri 08:00-18:00", "22:15-06:45")
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    while moment.year == 2026:
        wall = moment.astimezone(BERLIN)
        minute = wall.hour * 60 + wall.minute
        expected = (wall.weekday() < 5 and 480 <= minute < 1080) or minute >= 1335 or minute < 405
        assert (hours.at(moment) is not None) == expected, wall
        moment += timedelta(minutes=443)


def test_a_time_to_come_is_the_next_one_or_a_moment():
    now = at("2026-11-21T22:00").astimezone(UTC)
    assert moment_of("07:00", now, BERLIN) == at("2026-11-22T07:00")
    assert moment_of("23:30", now, BERLIN) == at("2026-11-21T23:30")
    assert moment_of("2026-11-22T07:00:00Z", now, BERLIN) == datetime(2026, 11, 22, 7, tzinfo=UTC)
    assert moment_of("2026-11-22 07:00", now, BERLIN) == at("2026-11-22T07:00")
    with pytest.raises(UsageFault, match="is over"):
        moment_of("2026-11-20T07:00:00Z", now, BERLIN)
    with pytest.raises(UsageFault, match="is no time"):
        moment_of("tomorrow", now, BERLIN)


def test_zones_are_known_by_name():
    assert zone_of("Europe/Berlin") == BERLIN
    assert zone_of("").utcoffset(datetime(2026, 1, 1, tzinfo=UTC)) is not None
    with pytest.raises(BadSettings, match="no time zone"):
        zone_of("Middle/Earth")
