"""Options are checked by what they are; times as people write them."""

from fractions import Fraction
from typing import Any

import pytest

from dmc.conversions import OPTIONS, check_options, describe
from dmc.errors import BadRequest
from dmc.options import seconds_of


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (90, 90),
        (90.0, 90),
        ("90", 90),
        ("1:30", 90),
        ("00:01:30.000", 90),
        (0.1, Fraction(1, 10)),
        ("100:00:00", 360000),
        (0, 0),
        (1e-3, Fraction(1, 1000)),
    ],
)
def test_a_time_is_a_number_of_seconds_or_a_clock(written: Any, seconds: Any) -> None:
    assert seconds_of(written) == seconds


@pytest.mark.parametrize(
    "written", [-1, True, None, "", "1:60", "61:00", "-1", "1e3", "abc", "1:2:3:4", float("nan"), float("inf"), 1e12, [1], "١"]
)
def test_what_is_no_time_is_refused(written: Any) -> None:
    assert seconds_of(written) is None


@pytest.mark.parametrize("name", ["h264", "h265", "vp9", "av1", "web", "mkv", "mp4", "opus", "mp3", "aac", "flac"])
def test_video_and_sound_can_be_cut(name: str) -> None:
    check_options(name, {"start": "00:00:01.5", "end": 2})
    kind = next(kind for kind in describe() if kind["name"] == name)
    assert {"name": "start", "summary": OPTIONS[name]["start"].summary, "default": None, "type": "time"} in kind["options"]


@pytest.mark.parametrize("name", ["webp", "avif", "jpeg", "png"])
def test_pictures_cannot(name: str) -> None:
    with pytest.raises(BadRequest, match="no option 'start'"):
        check_options(name, {"start": 1})


@pytest.mark.parametrize("options", [{"start": 2, "end": 2}, {"start": "0:03", "end": 2}, {"end": 0}])
def test_the_end_is_after_the_start(options: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match="is not after the start"):
        check_options("h264", options)


def test_a_wrong_time_is_answered_with_what_is_one() -> None:
    with pytest.raises(BadRequest) as caught:
        check_options("opus", {"start": "soon"})
    assert "HH:MM:SS.mmm" in caught.value.hint
