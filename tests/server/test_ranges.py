"""Ranges and preconditions, row by row."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmc.server.ranges import MOST_RANGES, Span, decide, http_date, to_http_date

ETAG = '"abc"'
MODIFIED = datetime(2026, 11, 21, 8, 9, 10, 500, tzinfo=UTC)
DATE = "Sat, 21 Nov 2026 08:09:10 GMT"
EARLIER = "Sat, 21 Nov 2026 08:09:09 GMT"
LATER = "Sat, 21 Nov 2026 08:09:11 GMT"


def ask(method: str = "GET", size: int = 10, **fields: str) -> tuple[int, list[tuple[int, int]]]:
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    answer = decide(method, headers, etag=ETAG, last_modified=MODIFIED, size=size)
    return answer.status, [(span.start, span.stop) for span in answer.spans]


@pytest.mark.parametrize(
    ("wanted", "spans"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=2-5", [(2, 6)]),
        ("bytes=5-", [(5, 10)]),
        ("bytes=-3", [(7, 10)]),
        ("bytes=-99", [(0, 10)]),
        ("bytes=8-99", [(8, 10)]),
        ("bytes=0-9", [(0, 10)]),
        (f"bytes=3-{'9' * 40}", [(3, 10)]),
        ("BYTES=1-2", [(1, 3)]),
        ("bytes= 1-2 , ", [(1, 3)]),
    ],
)
def test_D2_a_single_range_is_served_exactly(wanted: str, spans: list[tuple[int, int]]) -> None:
    assert ask(Range=wanted) == (206, spans)


@pytest.mark.parametrize(
    "wanted",
    ["items=0-1", "bytes", "bytes=", "bytes=a-b", "bytes=5-2", "bytes=-", "bytes=1-2;3-4", "bytes=١-٢", "bytes=--1", "bytes=0x1-2"],
)
def test_D3_what_is_no_list_of_byte_ranges_is_ignored(wanted: str) -> None:
    assert ask(Range=wanted) == (200, [])


@pytest.mark.parametrize("method", ["HEAD", "POST"])
def test_D3_other_methods_know_no_ranges(method: str) -> None:
    assert ask(method, Range="bytes=0-1") == (200, [])


@pytest.mark.parametrize("wanted", ["bytes=10-", "bytes=10-20", "bytes=-0", f"bytes={'9' * 30}-", "bytes=10-,-0"])
def test_D4_nothing_satisfiable_is_416(wanted: str) -> None:
    assert ask(Range=wanted) == (416, [])


@pytest.mark.parametrize("wanted", ["bytes=0-", "bytes=-1", "bytes=5-9"])
def test_D4_an_empty_file_is_served_whole(wanted: str) -> None:
    assert ask(size=0, Range=wanted) == (200, [])


def test_D5_several_ranges_keep_their_order_and_drop_what_is_not_there() -> None:
    assert ask(Range="bytes=5-6,0-1") == (206, [(5, 7), (0, 2)])
    assert ask(Range="bytes=0-1,20-30") == (206, [(0, 2)])


def test_D5_more_than_the_file_or_too_many_ranges_are_the_whole() -> None:
    assert ask(Range="bytes=0-6,3-9") == (200, [])
    assert ask(size=1000, Range="bytes=" + ",".join(f"{n}-{n}" for n in range(MOST_RANGES)))[0] == 206
    assert ask(size=1000, Range="bytes=" + ",".join(f"{n}-{n}" for n in range(MOST_RANGES + 1))) == (200, [])


@pytest.mark.parametrize(
    ("condition", "status"),
    [(ETAG, 206), ('"other"', 200), ("W/" + ETAG, 200), (DATE, 206), (EARLIER, 200), (LATER, 200), ("garbage", 200), (f'{ETAG}, "x"', 200)],
)
def test_D6_if_range_compares_exactly(condition: str, status: int) -> None:
    assert ask(Range="bytes=0-1", If_Range=condition)[0] == status


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"If-Match": ETAG}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"x", "abc"'}, 200),
        ({"If-Match": "W/" + ETAG}, 412),
        ({"If-Match": '"x"'}, 412),
        ({"If-None-Match": ETAG}, 304),
        ({"If-None-Match": "W/" + ETAG}, 304),
        ({"If-None-Match": '"x"'}, 200),
        ({"If-None-Match": "*"}, 304),
        ({"If-Modified-Since": DATE}, 304),
        ({"If-Modified-Since": LATER}, 304),
        ({"If-Modified-Since": EARLIER}, 200),
        ({"If-Modified-Since": "garbage"}, 200),
        ({"If-Unmodified-Since": EARLIER}, 412),
        ({"If-Unmodified-Since": DATE}, 200),
        ({"If-Match": ETAG, "If-Unmodified-Since": EARLIER}, 200),
        ({"If-None-Match": '"x"', "If-Modified-Since": LATER}, 200),
        ({"If-Match": '"x"', "If-None-Match": ETAG}, 412),
        ({"If-Match": ETAG, "If-None-Match": ETAG}, 304),
        ({"If-None-Match": ETAG, "Range": "bytes=0-1"}, 304),
        ({"If-Match": '"x"', "Range": "bytes=0-1"}, 412),
    ],
)
def test_D7_preconditions_come_in_the_order_of_the_rfc(fields: dict[str, str], status: int) -> None:
    assert ask(**{name.replace("-", "_"): value for name, value in fields.items()})[0] == status


def test_dates_go_there_and_back() -> None:
    assert to_http_date(MODIFIED) == DATE
    assert http_date(DATE) == MODIFIED.replace(microsecond=0)
    assert http_date(None) is None


@given(st.text(alphabet="bytes=0123456789-, \t", max_size=40), st.integers(0, 50))
def test_D2_whatever_is_asked_every_span_lies_in_the_file(wanted: str, size: int) -> None:
    answer = decide("GET", {"Range": wanted}, etag=ETAG, last_modified=MODIFIED, size=size)
    assert answer.status in (200, 206, 416)
    assert bool(answer.spans) == (answer.status == 206)
    for span in answer.spans:
        assert isinstance(span, Span)
        assert 0 <= span.start < span.stop <= size
