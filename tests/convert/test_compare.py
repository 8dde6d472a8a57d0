"""What a receipt calls kept is what the result says: near is not equal."""

from pathlib import Path

import av
import pytest

from dmc.conversions import MediaType
from dmc.convert.compare import _tag_entries, stream_entries
from dmc.convert.facts import MediaFacts, StreamFacts
from dmc.convert.plan import Plan, StreamPlan
from dmc.convert.transcode import Transcoded
from tests.convert.clips import clip
from tests.convert.works import convert


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


def test_what_a_stream_says_of_itself_is_told_where_it_is_lost(tmp_path: Path) -> None:
    clip(tmp_path / "plain.mkv")
    source = tmp_path / "said.mkv"
    with av.open(str(tmp_path / "plain.mkv")) as plain, av.open(str(source), "w") as out:
        copies = {stream.index: out.add_stream_from_template(stream, opaque=True) for stream in plain.streams}
        copies[0].metadata["CAMERA_ANGLE"] = "left"
        for packet in plain.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                out.mux(packet)
    (entry, *_) = convert(source, "mp4", tmp_path / "mp4").receipt.streams
    assert (entry.outcome, "not kept: tag CAMERA_ANGLE" in entry.reason) == ("changed", True)
    (entry, *_) = convert(source, "h265", tmp_path / "mkv").receipt.streams
    assert "not kept" not in entry.reason


def _tracks(*defaults: bool) -> MediaFacts:
    tracks = [StreamFacts(n, "audio", "aac", dispositions=("default",) if chosen else ()) for n, chosen in enumerate(defaults)]
    return MediaFacts(media_type=MediaType.VIDEO, container="matroska,webm", file_size=1, streams=tuple(tracks))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ((False, True), (False, True), [False, False]),
        ((False, True), (True, False), [False, True]),
        ((True, True), (False, False), [True, True]),
        ((True,), (False,), [False]),  # Players choose it anyway.
    ],
)
def test_which_track_players_are_to_choose_is_compared(before: tuple[bool, ...], after: tuple[bool, ...], told: list[bool]) -> None:
    streams = tuple(StreamPlan(n, "audio", "aac", "copy", "kept", "fits") for n in range(len(before)))
    plan = Plan("convert", "", "mkv", "mkv", streams)
    entries = stream_entries(plan, _tracks(*before), _tracks(*after), Transcoded(targets={n: n for n in range(len(before))}))
    assert ["not kept: flag default" in entry.reason for entry in entries] == told
    assert [entry.outcome == "changed" for entry in entries] == told


@pytest.mark.parametrize("kind", ["mp4", "h265", "vp9"])
def test_the_track_that_players_are_to_choose_stays_the_same(tmp_path: Path, kind: str) -> None:
    source = clip(tmp_path / "film.mkv", sound=({"codec": "aac"}, {"codec": "aac", "flags": ["default"]}))
    done = convert(source, kind, tmp_path / kind)
    assert not [entry.reason for entry in done.receipt.streams if "flag" in entry.reason]
    assert ["default" in stream.dispositions for stream in done.facts.streams if stream.type == "audio"] == [False, True]
