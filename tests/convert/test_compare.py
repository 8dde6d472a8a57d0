"""What a receipt calls kept is what the result says: near is not equal."""

import pytest

from dmc.convert.compare import _tag_entries


@pytest.mark.parametrize(
    ("key", "then", "now", "outcome"),
    [
        ("location", "+48.1372+011.5755/", "+48.1372+011.5755/", "kept"),
        ("location", "+48.1372+011.5755/", "+48.1372+11.5755/", "lost"),  # That is no place any more.
        ("location", "+48.1372+011.5755/", "+48.13720+011.57550/", "kept"),
        ("location", "+48.1372+011.5755/", "+48.0000+000.0000/", "lost"),
        ("location", "+48.1372+011.5755/", "+48.9999+011.5755/", "lost"),
        ("creation_time", "2024-05-01T10:00:00.000000Z", "2024-05-01 10:00:00", "kept"),
        ("creation_time", "2024-05-01T10:00:00.000000Z", "2024-05-01T11:00:00.000000Z", "lost"),
        ("track", "10", "1", "lost"),
        ("title", "Version 1.5", "Version 1.9", "lost"),
        ("title", "A title", "A title\x00\r\n", "kept"),
        ("model", "X-T 30", "X-T 3", "lost"),
    ],
)
def test_a_tag_is_kept_only_where_it_says_the_same(key: str, then: str, now: str, outcome: str) -> None:
    (entry,) = _tag_entries({key: then}, {key: now})
    assert entry.outcome == outcome
