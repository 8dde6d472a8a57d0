"""When and where: what cameras, phones and programs write, and what is nonsense."""

import pytest

from dmc.convert.origin import Origin, of_exif, of_tags


@pytest.mark.parametrize(
    ("tags", "moment"),
    [
        ({"creation_time": "2019-05-04T12:33:01.000000Z"}, "2019-05-04T12:33:01Z"),
        ({"creation_time": "2019-05-04 12:33:01"}, "2019-05-04T12:33:01"),
        (
            {"creation_time": "2019-05-04T10:33:01Z", "com.apple.quicktime.creationdate": "2019-05-04T12:33:01+0200"},
            "2019-05-04T12:33:01+02:00",
        ),
        ({"DATE": "2016-01-10"}, "2016-01-10"),
        ({"date": "1999"}, None),
        ({"creation_time": "1904-01-01T00:00:00Z"}, None),
        ({"creation_time": "1970-01-01T00:00:00Z"}, None),
        ({"creation_time": "yesterday"}, None),
        ({"creation_time": "2019-13-04T12:33:01Z", "date": "2019-03-04"}, "2019-03-04"),
        ({}, None),
    ],
)
def test_a_moment_is_taken_from_the_best_tag_that_makes_sense(tags: dict[str, str], moment: str | None) -> None:
    assert of_tags(tags).recorded_at == moment


@pytest.mark.parametrize(
    ("key", "text", "place"),
    [
        ("location", "+48.1372+011.5755/", (48.1372, 11.5755)),
        ("location-eng", "-15.8355-048.0153/", (-15.8355, -48.0153)),
        ("com.apple.quicktime.location.ISO6709", "+37.3318-122.0312+010.500/", (37.3318, -122.0312)),
        ("\u00a9xyz", "+4026.7667-07958.9333/", (40.446112, -79.982222)),
        ("location", "+402646.5-0795856.25CRSWGS_84/", (40.446250, -79.982292)),
        ("location", "+91.0000+011.5755/", None),
        ("location", "48.1, 11.5", None),
        ("location", "", None),
        ("comment", "+48.1372+011.5755/", None),
    ],
)
def test_a_place_is_read_as_iso_6709_writes_it(key: str, text: str, place: tuple[float, float] | None) -> None:
    found = of_tags({key: text})
    assert (found.latitude, found.longitude) == (place or (None, None))


def test_exif_tells_both() -> None:
    found = of_exif({0x9003: "2008:10:22 16:28:39"}, {1: "S", 2: (43.0, 28.0, 2.8), 3: "W", 4: (11.0, 53.0, 6.0)})
    assert found == Origin("2008-10-22T16:28:39", -43.467444, -11.885)


@pytest.mark.parametrize(
    ("exif", "gps"),
    [
        ({0x9003: "0000:00:00 00:00:00"}, {1: "N", 2: (float("nan"), 0.0, 0.0), 3: "E", 4: (1.0, 0.0, 0.0)}),
        ({0x9003: "    :  :     :  :  "}, {1: "N", 2: (91.0, 0.0, 0.0), 3: "E", 4: (1.0, 0.0, 0.0)}),
        ({0x9003: 4711}, {1: "N", 2: "north", 3: "E", 4: (1.0, 0.0, 0.0)}),
        ({}, {2: (1.0, 0.0, 0.0), 4: (1.0, 0.0, 0.0)}),
    ],
)
def test_nonsense_in_exif_is_nothing(exif: dict[int, object], gps: dict[int, object]) -> None:
    assert of_exif(exif, gps) == Origin()
