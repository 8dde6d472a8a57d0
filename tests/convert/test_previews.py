"""Facts and previews beside a result: there for every medium, upright, drawn from what is there, and never a reason to fail."""

import base64
import hashlib
import io
import itertools
import math
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from dmc.conversions import MediaType
from dmc.convert import previews
from dmc.convert.facts import MediaFacts, StreamFacts, playing_s
from dmc.convert.gallery import BARS, MOST_SHOTS, Gallery, Shots, Wave, peaks
from dmc.convert.limits import Limits
from dmc.convert.pictures_small import small
from dmc.convert.previews import is_black, leave_products, look, orientation_by
from dmc.convert.probe import probe
from dmc.convert.sidedata import matrix_of_rotation
from dmc.errors import Cancelled
from dmc.products import Preview, Products
from tests.convert.clips import clip, song, tone
from tests.convert.works import Done, convert

PLACE = {"location": "+48.1372+011.5755/", "creation_time": "2019-05-04T12:33:01.000000Z"}


def products(done: Done) -> Products:
    found = Products.read((done.out / "facts.json").read_bytes())
    assert found is not None
    return found


def opened(out: Path, preview: Preview | None) -> Image.Image:
    """The picture that `preview` tells of, checked against what it says."""
    assert preview is not None
    data = (out / preview.file_name).read_bytes()
    assert (len(data), hashlib.sha512(data).hexdigest()) == (preview.file_size, preview.sha512_checksum)
    picture = Image.open(io.BytesIO(data))
    assert picture.format == "WEBP"
    picture.load()
    return picture


def test_a_video_gets_poster_sprite_and_facts(tmp_path: Path) -> None:
    done = convert(clip(tmp_path / "clip.mp4", size=(640, 480), tags=PLACE), "h265", tmp_path / "out", previews=True)
    assert sorted(os.listdir(done.out)) == ["facts.json", "poster.webp", "receipt.json", "result.mkv", "sprite.webp"]
    told = products(done)
    assert opened(done.out, told.poster).size == (320, 240)
    sprite = told.sprite
    assert sprite is not None
    assert (sprite.columns, sprite.rows, sprite.width, sprite.height) == (5, math.ceil(sprite.frames / 5), 160, 120)
    assert 8 <= sprite.frames <= 20
    assert opened(done.out, sprite).size == (5 * 160, sprite.rows * 120)
    facts = told.facts
    assert (facts.width, facts.height, facts.video_codec, facts.audio_codec) == (640, 480, "hevc", "aac")
    assert facts.duration_s == pytest.approx(1.0, abs=0.1)
    assert (facts.recorded_at, facts.latitude, facts.longitude) == ("2019-05-04T12:33:01Z", 48.1372, 11.5755)
    assert (told.notes, told.waveform) == ((), None)


def test_a_sound_gets_a_waveform_as_loud_as_it_is(tmp_path: Path) -> None:
    done = convert(song(tmp_path / "song.flac", "flac", seconds=2.0), "opus", tmp_path / "out", previews=True)
    told = products(done)
    wave = opened(done.out, told.waveform).convert("RGBA")
    assert wave.size == (BARS, previews.WAVE_HEIGHT)
    inked = [sum(wave.getpixel((x, y))[3] > 0 for y in range(wave.height)) for x in range(100, 540)]  # type: ignore[index,misc]
    assert all(0.2 < height / wave.height < 0.4 for height in inked)  # The tone reaches 0.3 of full scale.
    assert (told.poster, told.sprite, told.facts.audio_codec, told.facts.video_codec) == (None, None, "opus", None)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_picture_gets_an_upright_poster_and_a_placeholder(tmp_path: Path, orientation: int) -> None:
    source = Image.new("RGB", (800, 600), "red")
    source.paste("blue", (0, 0, 400, 600))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0x9003] = "2020:02:29 08:15:00"
    exif.get_ifd(0x8769)[0x9011] = "+01:00"
    source.save(tmp_path / "photo.jpg", exif=exif)
    done = convert(tmp_path / "photo.jpg", "webp", tmp_path / "out", previews=True)
    told = products(done)
    poster = opened(done.out, told.poster)
    upright = (320, 240) if orientation in (1, 3) else (240, 320)
    assert poster.size == upright
    assert (told.facts.width, told.facts.height) == ((800, 600) if orientation in (1, 3) else (600, 800))
    blue = {1: (10, 120), 3: (310, 120), 6: (120, 10), 8: (120, 310)}[orientation]
    red, _green, seen = poster.convert("RGB").getpixel(blue)  # type: ignore[misc]
    assert seen > 150 > red
    assert told.facts.recorded_at == "2020-02-29T08:15:00+01:00"
    uri = told.facts.placeholder
    assert uri is not None
    assert max(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).size) == 16


def test_what_stays_as_it_is_gets_previews_of_the_original(tmp_path: Path) -> None:
    video = convert(clip(tmp_path / "clip.mkv"), "h264", tmp_path / "a", previews=True)
    assert (video.report.kind, products(video).facts.video_codec) == ("skipped", "h264")
    assert products(video).sprite is not None
    small_song = song(tmp_path / "small.mp3", "libmp3lame", seconds=0.3, layout="mono", rate=16000)
    sound = convert(small_song, "opus", tmp_path / "b", previews=True, keep_if_larger=False)
    assert (sound.report.kind, products(sound).facts.audio_codec) == ("kept-original", "mp3")
    assert products(sound).waveform is not None
    Image.new("RGB", (2000, 1000), "green").save(tmp_path / "photo.webp")
    still = convert(tmp_path / "photo.webp", "webp", tmp_path / "c", previews=True)
    assert still.report.kind == "skipped"
    assert (opened(still.out, products(still).poster).size, products(still).facts.width) == ((320, 160), 2000)


def test_a_place_that_was_asked_to_be_removed_is_in_no_facts(tmp_path: Path) -> None:
    done = convert(clip(tmp_path / "clip.mp4", tags=PLACE), "h264", tmp_path / "out", previews=True, strip_location=True)
    told = products(done).facts
    assert (told.latitude, told.longitude, told.recorded_at) == (None, None, "2019-05-04T12:33:01Z")


def test_who_does_not_ask_gets_none(tmp_path: Path) -> None:
    done = convert(clip(tmp_path / "clip.mp4"), "h264", tmp_path / "out", keep_if_larger=True)
    assert "facts.json" not in os.listdir(done.out)


def test_a_preview_that_cannot_be_made_fails_nothing_and_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object) -> Image.Image:
        raise ValueError("no paint")

    monkeypatch.setattr("dmc.convert.gallery.shot", broken)
    done = convert(clip(tmp_path / "clip.mp4"), "h265", tmp_path / "out", previews=True)
    assert done.report.kind == "converted"
    told = products(done)
    assert (told.poster, told.sprite, told.facts.width) == (None, None, 64)
    assert any("no paint" in note for note in told.notes)


def test_a_wish_to_stop_is_heard_while_previews_are_made() -> None:
    with pytest.raises(Cancelled), Gallery().noting("the poster"):
        raise Cancelled("cancelled.")


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_video_that_is_turned_gets_upright_previews(tmp_path: Path, degrees: int) -> None:
    matrix = matrix_of_rotation(degrees)
    done = convert(clip(tmp_path / "clip.mp4", size=(96, 64), matrix=matrix), "mkv", tmp_path / "out", previews=True)
    told = products(done)
    upright = (96, 64) if degrees % 180 == 0 else (64, 96)
    assert opened(done.out, told.poster).size == (told.facts.width, told.facts.height) == upright
    assert orientation_by(matrix) == {0: 1, 90: 8, 180: 3, 270: 6}[degrees]


def test_pixels_that_are_not_square_are_shown_square(tmp_path: Path) -> None:
    done = convert(clip(tmp_path / "clip.mp4", size=(96, 96), aspect=Fraction(4, 3)), "mkv", tmp_path / "out", previews=True)
    assert opened(done.out, products(done).poster).size == (128, 96)


def test_the_poster_is_not_black_where_anything_else_is(tmp_path: Path) -> None:
    source = clip(tmp_path / "clip.mkv")
    facts, gallery = probe(source, Limits()), Gallery()
    black, grey = Image.new("RGB", (32, 24)), Image.new("RGB", (32, 24), (128, 128, 128))
    gallery.shots.taken = [(float(n), grey if n in (3, 17) else black) for n in range(20)]
    leave_products(tmp_path, gallery, source, facts, facts, Limits())
    told = Products.read((tmp_path / "facts.json").read_bytes())
    assert told is not None
    assert not is_black(opened(tmp_path, told.poster))


def test_shots_are_spread_over_the_whole_whatever_its_length() -> None:
    picture = Image.new("RGB", (1, 1))
    for length in (3, 100, 7200):
        shots = Shots()
        for n in range(length * 25):
            if shots.wants(n / 25):
                shots.take(n / 25, picture)
        times = [at for at, _picture in shots.taken]
        assert 20 <= len(times) <= MOST_SHOTS
        gaps = [later - sooner for sooner, later in itertools.pairwise(times)]
        assert max(gaps) <= 1.5 * min(gaps) + 0.05
        assert times[-1] + 1.5 * max(gaps) > length


@pytest.mark.parametrize("seconds", [0.5, 7.0, 4000.0])
def test_a_wave_keeps_a_peak_at_its_place_whatever_the_length(seconds: float) -> None:
    wave, step = Wave(), 0.02
    for n in range(round(seconds / step)):
        wave.hear(5.0 + n * step, step, 0.9 if n == round(0.75 * seconds / step) else 0.1)
    drawn = wave.drawn()
    assert len(drawn) == BARS
    assert max(drawn) == 0.9
    assert abs(drawn.index(0.9) / BARS - 0.75) < 0.06


@pytest.mark.parametrize("bar_s", [0.002, 0.02, 10.0])
def test_peaks_are_those_of_the_samples(bar_s: float) -> None:
    found = list(peaks(tone(48_000, 4096), bar_s))
    assert found[0][0] == 1.0
    assert sum(length for _at, length, _peak in found) == pytest.approx(4096 / 48_000)
    assert all(peak == pytest.approx(0.3, abs=0.02) for _at, _length, peak in found)


def test_a_long_original_is_visited_and_not_decoded_as_a_whole(tmp_path: Path) -> None:
    source = clip(tmp_path / "long.mkv", seconds=40.0, params={"g": "25"}, sound=())
    facts, gallery, seen = probe(source, Limits()), Gallery(), []
    watch = gallery.watch
    gallery.watch = lambda stream, frame: (seen.append(frame.pts), watch(stream, frame))[1]  # type: ignore[method-assign,func-returns-value]
    look(gallery, source, facts, Limits())
    assert len(seen) == 20 == len(gallery.shots.taken)
    times = [at for at, _picture in gallery.shots.taken]
    assert all(n * 2 <= at + 0.01 <= (n + 1) * 2 for n, at in enumerate(times))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB", "YCbCr", "HSV", "I;16", "I", "F"])
def test_every_kind_of_picture_becomes_a_small_one(mode: str) -> None:
    picture = Image.new(mode, (1500, 700))
    made = small(picture, 320, picture.info.get("icc_profile"))
    assert made.mode in ("RGB", "RGBA")
    assert made.size == (320, 149)
    assert picture.size == (1500, 700)


def test_subtitles_that_last_longer_make_no_film_longer() -> None:
    film = StreamFacts(0, "video", "hevc", tags={"DURATION": "00:00:13.128000000"})
    words = StreamFacts(1, "subtitle", "subrip", duration_s=16.7)
    facts = MediaFacts(MediaType.VIDEO, "matroska", 1, duration_s=16.7, streams=(film, words))
    assert playing_s(facts) == 13.128
    assert playing_s(replace(facts, streams=(replace(film, duration_s=12.0), words))) == 12.0
    assert playing_s(replace(facts, streams=(replace(film, tags={}), words))) == 16.7
