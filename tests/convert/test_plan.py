"""Plans: copy before encode, nothing left out silently, whole-file outcomes with reasons."""

import json
from typing import Any

import pytest

from dmc.conversions import MediaType
from dmc.convert.facts import ChapterFacts, MediaFacts, StreamFacts
from dmc.convert.plan import Plan, plan
from dmc.convert.recipes import RECIPES
from dmc.errors import BadRequest

MP4, MKV = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"


def video(index: int = 0, codec: str = "h264", **fields: Any) -> StreamFacts:
    values: dict[str, Any] = {"width": 640, "height": 360, "pix_fmt": "yuv420p", "depth": 8, "chroma": "420", "rate": (25, 1)}
    return StreamFacts(index, "video", codec, **{**values, **fields})


def sound(index: int = 1, codec: str = "aac", **fields: Any) -> StreamFacts:
    return StreamFacts(index, "audio", codec, **{"sample_rate": 48000, "channels": 2, "layout": "stereo", **fields})


def file(*streams: StreamFacts, container: str = MP4, **fields: Any) -> MediaFacts:
    medium = MediaType.VIDEO if any(s.type == "video" and not s.cover for s in streams) else MediaType.AUDIO
    return MediaFacts(medium, container, 1_000_000, 10.0, 0.0, streams, **{"tags": {"major_brand": "isom"}, **fields})


def planned(kind: str, facts: MediaFacts, **options: Any) -> Plan:
    return plan(facts, RECIPES[kind], options)


def test_what_fits_is_copied_and_only_the_rest_is_encoded() -> None:
    made = planned("h265", file(video(), sound(), sound(2, "opus"), sound(3, "wmav2")))
    assert [s.action for s in made.streams] == ["encode", "copy", "copy", "encode"]
    assert made.streams[3].reason == "wmav2 becomes Opus"
    assert made.outcome == "convert"
    assert made.gated


@pytest.mark.parametrize(
    ("kind", "facts", "reason"),
    [
        ("h265", file(video(codec="hevc"), sound()), "already H.265"),
        ("h264", file(video(), sound(codec="pcm_s16le")), "already H.264"),
        ("mkv", file(video(), container=MKV), "already Matroska"),
        ("opus", file(sound(0, "opus"), container="ogg"), "already Ogg Opus"),
        ("mp3", file(sound(0, "mp3"), StreamFacts(1, "video", "mjpeg", cover=True), container="mp3"), "already MP3"),
        ("web", file(video(), sound(), index_first=True), "already H.264 in MP4, with its index first"),
        ("mp4", file(video(), sound(), index_first=True), "already MP4"),
        ("aac", file(sound(0)), "already M4A"),
        ("flac", file(sound(0, "flac"), container="flac"), "already FLAC"),
        ("vp9", file(video(codec="vp9"), container=MKV), "already VP9"),
        ("vp9", file(video(depth=10, transfer=16)), "cannot keep HDR: vp9 is written with 8 bits here"),
    ],
)
def test_a_source_that_is_already_as_wished_is_skipped(kind: str, facts: MediaFacts, reason: str) -> None:
    made = planned(kind, facts)
    assert (made.outcome, made.reason) == ("skip", reason)


@pytest.mark.parametrize("options", [{"crf": 30}, {"height": 180}])
def test_an_explicit_wish_for_less_is_not_skipped(options: dict[str, Any]) -> None:
    made = planned("h264", file(video(), sound()), **options)
    assert made.outcome == "convert"
    assert made.streams[0].action == "encode"


@pytest.mark.parametrize("brand", ["qt  ", "3gp4", None])
def test_what_mp4s_demuxer_reads_is_not_all_mp4(brand: str | None) -> None:
    made = planned("mp4", file(video(), sound(), tags={"major_brand": brand} if brand else {}))
    assert (made.outcome, [s.action for s in made.streams]) == ("convert", ["copy", "copy"])


def test_sound_that_the_container_cannot_hold_is_not_lost_by_a_change_of_container() -> None:
    made = planned("mp4", file(video(), sound(codec="pcm_s16le"), container=MKV))
    assert [(s.action, s.reason) for s in made.streams] == [("copy", "copied without change"), ("encode", "pcm_s16le becomes AAC")]


@pytest.mark.parametrize(
    ("codec", "samples", "bits"),
    [
        ("pcm_s16le", "s16", "s16"),
        ("pcm_s24le", "s32", "s32"),
        ("pcm_f32le", "flt", "s32"),
        ("alac", "s32p", "s32"),
        ("aac", "fltp", "s16"),
    ],
)
def test_flac_has_as_many_bits_as_the_source(codec: str, samples: str, bits: str) -> None:
    work = planned("flac", file(sound(0, codec, sample_format=samples), container="wav")).streams[0].sound
    assert work is not None and work.sample_format == bits


def test_another_container_is_a_copy() -> None:
    made = planned("h264", file(video(), sound(), container=MKV), container="mp4")
    assert [s.action for s in made.streams] == ["copy", "copy"]
    assert made.container == "mp4"


def test_a_web_file_with_its_index_at_the_end_is_written_anew_without_encoding() -> None:
    made = planned("web", file(video(), sound()))
    assert made.outcome == "convert"
    assert [s.action for s in made.streams] == ["copy", "copy"]
    assert not made.gated


@pytest.mark.parametrize(
    "fields",
    [
        {"depth": 10, "pix_fmt": "yuv420p10le"},
        {"chroma": "444", "pix_fmt": "yuv444p"},
        {"interlaced": True},
        {"width": 3840, "height": 2160},
        {"transfer": 16},
    ],
)
def test_web_encodes_what_browsers_do_not_play(fields: dict[str, Any]) -> None:
    work = planned("web", file(video(**fields), sound())).streams[0].video
    assert work is not None
    assert work.pix_fmt == "yuv420p"
    assert max(work.width, work.height) <= 1920


@pytest.mark.parametrize("dynamic", ["HDR10+", "Dolby Vision"])
def test_dynamic_hdr_is_never_flattened(dynamic: str) -> None:
    facts = file(video(codec="vp9", transfer=16, depth=10, dynamic_hdr=dynamic), sound())
    for kind in ("h264", "h265", "web"):
        made = planned(kind, facts)
        assert made.outcome == "skip"
        assert dynamic in made.reason
    assert planned("mkv", facts).streams[0].action == "copy"


def test_depth_chroma_range_and_aspect_stay() -> None:
    work = (
        planned("h265", file(video(depth=12, chroma="422", pix_fmt="yuv422p12le", sample_aspect=(11, 12), colour_range=2))).streams[0].video
    )
    assert work is not None
    assert (work.pix_fmt, work.sample_aspect, work.colour_range, work.filters) == ("yuv422p12le", (11, 12), 2, ())
    full = planned("h265", file(video(pix_fmt="yuvj420p", codec="mjpeg"))).streams[0].video
    assert full is not None
    assert (full.pix_fmt, full.colour_range) == ("yuvj420p", 2)


def test_what_must_change_is_said_in_words() -> None:
    made = planned("h264", file(video(codec="ffv1", width=161, height=121, depth=12, interlaced=True, alpha=True)))
    work = made.streams[0].video
    assert work is not None
    assert (work.width, work.height, work.pix_fmt) == (162, 122, "yuv420p10le")
    for words in ("deinterlaced", "12 bits become 10", "161x121", "transparency is lost"):
        assert words in made.streams[0].reason


def test_static_hdr_goes_to_the_encoder() -> None:
    facts = file(video(codec="av1", depth=10, pix_fmt="yuv420p10le", transfer=16, primaries=9, mastering="G(1,2)", light_level="1000,400"))
    works = {kind: planned(kind, facts).streams[0].video for kind in ("h264", "h265", "web")}
    assert dict(works["h265"].params) == {"master-display": "G(1,2)", "max-cll": "1000,400", "hdr10": "1"}  # type: ignore[union-attr]
    assert dict(works["h264"].params) == {"mastering-display": "G(1,2)", "cll": "1000,400"}  # type: ignore[union-attr]
    assert works["web"].params == ()  # type: ignore[union-attr]
    assert (works["web"].primaries, works["web"].transfer) == (1, 1)  # type: ignore[union-attr]


def test_height_is_that_of_the_upright_picture_and_never_enlarges() -> None:
    turned = video(codec="vp9", width=1920, height=1080, matrix=(0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30))
    work = planned("h264", file(turned), height=960).streams[0].video
    assert work is not None
    assert (work.width, work.height) == (960, 540)
    same = planned("h264", file(video(codec="vp9")), height=2000).streams[0].video
    assert same is not None
    assert (same.width, same.height) == (640, 360)


def test_every_stream_that_is_left_out_is_named_with_a_reason() -> None:
    streams = (
        video(),
        sound(),
        video(2, empty=True, decodable=False),
        StreamFacts(3, "subtitle", "hdmv_pgs_subtitle"),
        StreamFacts(4, "subtitle", "ass"),
        StreamFacts(5, "data", None, decodable=False, packets=3),
        StreamFacts(6, "attachment", None, decodable=False, file_name="f.ttf"),
        StreamFacts(7, "video", "mjpeg", cover=True),
        StreamFacts(8, "audio", None, decodable=False),
    )
    mp4 = planned("h265", file(*streams), container="mp4")
    assert [s.action for s in mp4.streams] == ["encode", "copy", "drop", "drop", "encode", "drop", "drop", "copy", "drop"]
    assert all(s.reason for s in mp4.streams)
    assert [s.index for s in mp4.losses] == [3, 5, 6, 8]
    mkv = planned("h265", file(*streams))
    assert [s.action for s in mkv.streams] == ["encode", "copy", "drop", "copy", "copy", "drop", "copy", "copy", "drop"]


def test_on_loss_refuse_refuses_real_losses_only() -> None:
    lossy = file(video(), StreamFacts(1, "data", None, decodable=False))
    assert planned("h265", lossy).outcome == "convert"
    refused = planned("h265", lossy, on_loss="refuse")
    assert (refused.outcome, refused.code) == ("refuse", "LossRefused")
    harmless = file(video(), video(1, empty=True, decodable=False))
    assert planned("h265", harmless, on_loss="refuse").outcome == "convert"


def test_the_titles_of_chapters_are_not_lost_with_their_track() -> None:
    facts = file(sound(0), StreamFacts(1, "data", None, packets=1), chapters=(ChapterFacts(0, 1, "one"),))
    assert planned("mkv", facts).losses == []


def test_one_sound_track_is_taken_for_a_sound_file_the_default_one() -> None:
    made = planned("opus", file(video(), sound(1), sound(2, dispositions=("default",)), StreamFacts(3, "subtitle", "ass")))
    assert [s.action for s in made.streams] == ["drop", "drop", "encode", "drop"]
    assert [s.index for s in made.losses] == [1]


def test_mp3_has_two_channels_and_known_rates() -> None:
    made = planned("mp3", file(sound(0, "flac", channels=6, sample_rate=96000)))
    work = made.streams[0].sound
    assert work is not None
    assert (work.layout, work.sample_rate) == ("stereo", 48000)
    assert "6 channels are mixed down to 2" in made.streams[0].reason


@pytest.mark.parametrize(
    ("kind", "facts"),
    [("opus", file(video())), ("mkv", file(video(codec="wmv2"), sound(codec="wmav2"))), ("h265", file(video(width=8, height=8)))],
)
def test_what_cannot_be_made_is_refused_with_a_reason(kind: str, facts: MediaFacts) -> None:
    made = planned(kind, facts)
    assert (made.outcome, made.code) == ("refuse", "Unsupported")
    assert made.reason
    assert made.hint


def test_unknown_options_are_refused_and_plans_survive_json() -> None:
    with pytest.raises(BadRequest):
        planned("h264", file(video()), quality=3)
    assert json.loads(json.dumps(planned("h265", file(video(), sound())).to_plain()))["streams"][0]["action"] == "encode"
