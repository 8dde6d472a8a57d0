"""The one door to containers: whitelists, limits, and decoding that survives bad packets."""

from fractions import Fraction
from pathlib import Path

import pytest

from dmc.convert.decoder import Decoder, time_of
from dmc.convert.limits import Limits
from dmc.convert.media import ReadLog, codec_of, context_of, create_media, open_media, packets
from dmc.errors import DamagedMedia, NotFound, NotMedia, Unsupported
from tests.convert.clips import clip, song

LIMITS = Limits()


def _decode_all(path: Path, kind: str) -> Decoder:
    with open_media(path, LIMITS) as container:
        decoder = Decoder(next(s for s in container.streams if s.type == kind))
        for packet in packets(container, [decoder.stream]):
            decoder.decode(packet)
        decoder.decode(None)
        return decoder


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n"),
        ("list.mp4", "ffconcat version 1.0\nfile other.mkv\n"),
        ("net.m3u8", "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n"),
        ("manifest.mpd", '<?xml version="1.0"?><MPD></MPD>'),
    ],
)
def test_a_playlist_that_names_another_file_is_refused(tmp_path: Path, name: str, content: str) -> None:
    other = clip(tmp_path / "other.mkv")
    trap = tmp_path / name
    trap.write_text(content.format(other=other))
    with pytest.raises(NotMedia, match="playlist"):
        open_media(trap, LIMITS)


@pytest.mark.parametrize(
    ("content", "kind"), [(b"", NotMedia), (b"hello " * 500, NotMedia), (b"\0\0\0\x18ftypmp42" + bytes(900), DamagedMedia)]
)
def test_what_is_not_media_is_refused_with_a_hint(tmp_path: Path, content: bytes, kind: type[Exception]) -> None:
    file = tmp_path / "file.mp4"
    file.write_bytes(content)
    with pytest.raises(kind) as caught:
        open_media(file, LIMITS, "holiday.mp4")
    assert "holiday.mp4" in str(caught.value)
    assert getattr(caught.value, "hint", "")


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        open_media(tmp_path / "none.mp4", LIMITS)


def test_an_encrypted_file_is_told_from_a_damaged_one(media: Path) -> None:
    with pytest.raises(Unsupported, match="encrypted"):
        open_media(media / "encrypted-cenc-clearkey.mp4", LIMITS)


def test_pictures_beyond_the_limit_are_not_decoded(tmp_path: Path) -> None:
    large = clip(tmp_path / "large.mkv", size=(320, 240), sound=())
    with open_media(large, Limits(max_pixels=64 * 64)) as container:
        decoder = Decoder(container.streams.video[0])
        for packet in packets(container, [decoder.stream]):
            decoder.decode(packet)
    assert decoder.span.frames == 0
    assert decoder.span.errors > 0


def test_a_bad_packet_costs_itself_only(media: Path) -> None:
    decoder = _decode_all(media / "audio-mp3-cover-and-chapters.mp3", "audio")
    assert decoder.span.errors == 1
    assert decoder.span.frames == 117


def test_empty_packets_are_not_sent_and_ogg_times_are_counted(media: Path) -> None:
    sound = _decode_all(media / "video-theora-named-ogg.ogg", "audio").span
    assert sound.errors == 0
    assert sound.shown.start == 0
    assert sound.shown.end == Fraction(sound.samples, 48000)
    assert _decode_all(media / "video-theora-named-ogg.ogg", "video").span.frames == 242


def test_frames_held_back_to_the_end_have_right_times(tmp_path: Path) -> None:
    file = clip(tmp_path / "clip.mp4", sound=())
    seen = []
    with open_media(file, LIMITS) as container:
        decoder = Decoder(container.streams.video[0])
        for packet in [*packets(container, [decoder.stream]), None]:
            seen += [float(time_of(frame)) for frame in decoder.decode(packet)]
    assert seen == pytest.approx([n / 25 for n in range(25)], abs=0.001)


def test_no_streams_means_no_packets(tmp_path: Path) -> None:
    with open_media(song(tmp_path / "a.flac", "flac"), LIMITS) as container:
        assert list(packets(container, [], ReadLog())) == []


def test_a_stream_without_a_decoder_has_no_context(media: Path) -> None:
    with open_media(media / "audio-mpegh-unsupported-codec.mp4", LIMITS) as container:
        assert context_of(container.streams[0]) is None
        assert codec_of(container.streams[0]) is None


def test_only_known_containers_are_written(tmp_path: Path) -> None:
    with pytest.raises(Unsupported):
        create_media(tmp_path / "x.m3u8", "hls")
