"""What a file is: medium, streams, colours, rotation; and refusals in words."""

from fractions import Fraction
from pathlib import Path

import pytest
from av.video.frame import VideoFrame

from dmc.conversions import MediaType
from dmc.convert import sidedata
from dmc.convert.limits import Limits
from dmc.convert.probe import probe
from dmc.errors import DamagedMedia, DmcError, NotMedia, TooLarge, Unsupported
from tests.convert.clips import clip, song

LIMITS = Limits()
QUARTER_TURN = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)


@pytest.mark.parametrize(
    ("name", "medium"),
    [
        ("audio-mp3-cover-art-exif.mp3", MediaType.AUDIO),
        ("audio-m4a-named-aac.aac", MediaType.AUDIO),
        ("video-theora-named-ogg.ogg", MediaType.VIDEO),
        ("video-h264-second-video-track-empty.mp4", MediaType.VIDEO),
        ("image-gif-animated.gif", MediaType.IMAGE),
        ("image-webp-animated.webp", MediaType.IMAGE),
        ("image-apng-animated.apng", MediaType.IMAGE),
        ("image-avif-orientation3-icc.avif", MediaType.IMAGE),
    ],
)
def test_the_medium_is_what_is_inside_not_what_the_name_says(media: Path, name: str, medium: MediaType) -> None:
    assert probe(media / name, LIMITS).media_type is medium


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("audio-wav-header-only.wav", DamagedMedia),
        ("audio-aac-nero-chapters.m4b", DamagedMedia),
        ("corrupt-m4b-truncated-after-moov.m4b", DamagedMedia),
        ("audio-mpegh-unsupported-codec.mp4", Unsupported),
        ("image-heic-iphone-gps-icc.heic", Unsupported),
        ("image-gif-decompression-bomb-44-bytes.gif", TooLarge),
    ],
)
def test_odd_files_are_refused_with_a_sentence_and_a_hint(media: Path, name: str, kind: type[DmcError]) -> None:
    with pytest.raises(kind) as caught:
        probe(media / name, LIMITS, "yours.bin")
    assert caught.value.message.startswith("yours.bin")
    assert caught.value.hint


def test_limits_of_pixels_streams_and_length_are_kept(tmp_path: Path) -> None:
    file = clip(tmp_path / "clip.mkv", sound=({"codec": "aac"}, {"codec": "flac"}))
    for limits in (Limits(max_pixels=1000), Limits(max_streams=2), Limits(max_streams=1), Limits(max_duration_s=0.5)):
        with pytest.raises(TooLarge):
            probe(file, limits)


def test_subtitles_alone_are_not_media(tmp_path: Path) -> None:
    file = tmp_path / "words.srt"
    file.write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    with pytest.raises(NotMedia):
        probe(file, LIMITS)


def test_streams_are_stated_with_what_matters(tmp_path: Path) -> None:
    file = clip(
        tmp_path / "clip.mkv",
        codec="libx265",
        pix_fmt="yuv420p10le",
        aspect=Fraction(4, 3),
        sound=({"codec": "aac", "tags": {"language": "ger", "title": "Kommentar"}, "flags": ("comment",)},),
        chapters=((0, 0.5, "one"), (0.5, 1, "two")),
        attachments=(("font.ttf", "font/ttf", b"\0\1\0\0font"),),
        tags={"title": "A clip"},
    )
    facts = probe(file, LIMITS)
    picture, sound, font = facts.streams
    assert (picture.codec, picture.depth, picture.chroma, picture.sample_aspect, picture.rate) == ("hevc", 10, "420", (4, 3), (25, 1))
    assert (sound.codec, sound.channels, sound.sample_rate, sound.language) == ("aac", 2, 48000, "ger")
    assert "comment" in sound.dispositions
    assert (font.type, font.file_name, font.mimetype) == ("attachment", "font.ttf", "font/ttf")
    assert [(c.title, c.start_s) for c in facts.chapters] == [("one", 0.0), ("two", 0.5)]
    assert facts.tags["title"] == "A clip"


def test_an_empty_track_is_told_from_one_that_does_not_decode(media: Path) -> None:
    facts = probe(media / "video-h264-second-video-track-empty.mp4", LIMITS)
    assert [s.empty for s in facts.streams] == [False, True, False]
    broken = probe(media / "corrupt-mp4-audio-missing-stsd.mp4", LIMITS)
    assert [s.decodable for s in broken.streams] == [True, False]


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_the_display_matrix_is_read_whole_mirror_included(tmp_path: Path, ending: str) -> None:
    for matrix in (QUARTER_TURN, (0, 65536, 0, 65536, 0, 0, 0, 0, 1 << 30)):
        file = clip(tmp_path / f"turned.{ending}", matrix=matrix, sound=())
        assert probe(file, LIMITS).streams[0].matrix == matrix
    assert probe(clip(tmp_path / f"upright.{ending}", sound=()), LIMITS).streams[0].matrix is None


def test_rotation_alone_gives_the_same_matrix() -> None:
    assert sidedata.matrix_of_rotation(-90) == QUARTER_TURN
    assert sidedata.matrix_of_rotation(0) is None


def test_hdr_is_seen_in_the_bitstream_whatever_the_container_says(media: Path) -> None:
    plus = probe(media / "video-hevc-hdr10plus-vfr-phone.mp4", LIMITS).streams[0]
    assert (plus.transfer, plus.dynamic_hdr, plus.light_level) == (16, "HDR10+", "1000,200")
    vision = probe(media / "video-hevc-hlg-dolbyvision-editlist-rotated-vfr.mp4", LIMITS).streams[0]
    assert (vision.transfer, vision.dynamic_hdr, vision.matrix) == (18, "Dolby Vision", QUARTER_TURN)


def test_mastering_display_is_read_in_the_encoders_units(tmp_path: Path) -> None:
    mastering = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    params = {"x265-params": f"log-level=error:master-display={mastering}:max-cll=1000,400:hdr10=1"}
    file = clip(tmp_path / "hdr.mp4", codec="libx265", pix_fmt="yuv420p10le", colours=(9, 16, 9), params=params, sound=())
    seen = probe(file, LIMITS).streams[0]
    assert (seen.mastering, seen.light_level, seen.dynamic_hdr) == (mastering, "1000,400", None)


def test_an_index_at_the_end_is_noticed(tmp_path: Path) -> None:
    assert not probe(clip(tmp_path / "late.mp4", sound=()), LIMITS).index_first


def test_sound_is_sound(tmp_path: Path) -> None:
    facts = probe(song(tmp_path / "a.flac", "flac", layout="mono", rate=44100), LIMITS)
    assert facts.media_type is MediaType.AUDIO
    assert (facts.streams[0].channels, facts.streams[0].sample_rate) == (1, 44100)


def test_no_decoder_has_threads_while_the_log_is_listened_to(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has something to say would wait for ever for whoever ends its decoder."""
    seen: list[set[str]] = []
    others = _threads()
    notes_of = sidedata.notes_of

    def looked_on(frame: VideoFrame) -> sidedata.FrameNotes:
        seen.append(_threads() - others)
        return notes_of(frame)

    monkeypatch.setattr(sidedata, "notes_of", looked_on)
    probe(media / "video-hevc-hlg-dolbyvision-editlist-rotated-vfr.mp4", LIMITS)
    assert seen and not any(seen)


def _threads() -> set[str]:
    """This process' threads that FFmpeg's decoders have started."""
    return {task.name for task in Path("/proc/self/task").iterdir() if (task / "comm").read_text().startswith("av:")}
