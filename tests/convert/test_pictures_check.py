"""A result is decoded again and looked at: what is not the picture is found out, and nothing that is."""

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageStat

from dmc.convert import pictures
from dmc.convert.gallery import Gallery
from dmc.convert.limits import Limits
from dmc.convert.pictures_check import check_likeness
from dmc.convert.pictures_small import small
from dmc.errors import DamagedMedia, DmcError, VerificationFailed
from tests.convert.rooms import a_job

SIZE = (400, 278)


def _scene(size: tuple[int, int] = SIZE) -> Image.Image:
    soft = Image.merge("RGB", [Image.linear_gradient("L").rotate(50 * band).resize(size) for band in range(3)])
    noise = Image.frombytes("RGB", size, random.Random(1).randbytes(3 * size[0] * size[1]))
    return Image.blend(soft, noise, 0.2)


def _webp(picture: Image.Image, **settings: Any) -> bytes:
    written = io.BytesIO()
    picture.save(written, "WEBP", **{"quality": 82, "method": 4, **settings})
    return written.getvalue()


def _convert(
    folder: Path, picture: Image.Image, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[bytes], bytes], **settings: Any
) -> Gallery:
    """Convert `picture`; `spoil` gets at what was written before it is checked. `settings`: how the source is saved."""
    whole, gallery = pictures._Conversion._write, Gallery()

    def write(self: Any, again: Image.Image, seen: Any, fitting: Any, target: Path) -> None:
        whole(self, again, seen, fitting, target)
        target.write_bytes(spoil(target.read_bytes()))

    monkeypatch.setattr(pictures._Conversion, "_write", write)
    source = folder / "scene.png"
    picture.save(source, icc_profile=picture.info.get("icc_profile"), **settings)
    job = a_job(folder, f"scene-{picture.width}", original=str(source), conversion_type="webp", label=source.name)
    pictures.convert(job, Limits(), lambda *_: None, gallery.picture)
    return gallery


def test_a_good_one_passes_and_gets_its_poster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (SIZE, (1200, 834), (33, 20)):
        gallery = _convert(tmp_path, _scene(size), monkeypatch, bytes)
        assert (gallery.size, gallery.notes) == (size, [])
        wanted = small(Image.open(io.BytesIO(_webp(_scene(size)))), 320, None)
        assert gallery.still is not None and gallery.still.size == wanted.size
        assert max(wanted.size) == min(320, max(size))
        assert max(ImageStat.Stat(ImageChops.difference(gallery.still, wanted)).mean) < 1


@pytest.mark.parametrize(
    "other",
    [
        Image.new("RGB", SIZE),
        Image.new("RGB", SIZE, (255, 255, 255)),
        _scene().transpose(Image.Transpose.ROTATE_180),
        ImageChops.invert(_scene()),
        _scene((278, 400)),
        _scene((401, 278)),
    ],
    ids=["black", "white", "upside down", "a negative", "on its side", "wider"],
)
def test_another_picture_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: Image.Image) -> None:
    with pytest.raises(VerificationFailed):
        _convert(tmp_path, _scene(), monkeypatch, lambda _: _webp(other))


def test_one_part_that_is_not_the_source_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = _scene()
    ImageDraw.Draw(other).rectangle((300, 100, 330, 130), fill=(0, 0, 0))
    with pytest.raises(VerificationFailed):
        _convert(tmp_path, _scene(), monkeypatch, lambda _: _webp(other))
    with pytest.raises(VerificationFailed):
        check_likeness(_scene(), other)


def _film(*turns: int) -> list[Image.Image]:
    return [_scene((120, 120)).rotate(turn) for turn in turns]


def _as_frames(film: list[Image.Image]) -> dict[str, Any]:
    return {"save_all": True, "append_images": film[1:], "duration": 100}


def test_each_frame_of_an_animation_that_loses_quality_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = _film(0, 90, 180, 270)
    for number, shown in enumerate((right, _film(0, 90, 0, 270), _film(0, 180, 90, 270))):
        (tmp_path / str(number)).mkdir()

        def spoil(_: bytes, shown: list[Image.Image] = shown) -> bytes:
            return _webp(shown[0], **_as_frames(shown))

        if shown is right:
            _convert(tmp_path / str(number), right[0], monkeypatch, spoil, **_as_frames(right))
        else:
            with pytest.raises(VerificationFailed, match=r"frame [23] of the result does not look like the source's"):
                _convert(tmp_path / str(number), right[0], monkeypatch, spoil, **_as_frames(right))


@pytest.mark.parametrize("left", [0, 11, 30, 200, 0.3, 0.7, 0.99, -1])
def test_a_result_that_is_cut_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: float) -> None:
    with pytest.raises(DmcError) as caught:
        _convert(tmp_path, _scene(), monkeypatch, lambda data: data[: int(left * len(data)) if 0 < left < 1 else int(left)])
    assert isinstance(caught.value, DamagedMedia | VerificationFailed)


def _accepted(source: Image.Image, data: bytes, check: Callable[[Image.Image, Image.Image], None]) -> bool:
    try:
        with Image.open(io.BytesIO(data)) as result:
            result.load()
            check(source, result)
    except (OSError, EOFError, SyntaxError, ValueError, VerificationFailed):
        return False
    return True


def _as_a_whole(source: Image.Image, result: Image.Image) -> None:
    if result.size != source.size or max(ImageStat.Stat(ImageChops.difference(source, result)).mean) > 40:
        raise VerificationFailed("another picture")


def test_broken_bytes_are_found_that_a_look_at_the_whole_misses() -> None:
    """Neither WebP nor its codec has a checksum: what a broken byte does is seen by its results, or not at all."""
    source, chance = _scene(), random.Random(3)
    whole = _webp(source)
    damaged = []
    for _ in range(60):
        flipped = bytearray(whole)
        flipped[chance.randrange(40, len(whole))] ^= 1 << chance.randrange(8)
        begin = chance.randrange(40, len(whole) - 600)
        damaged += [bytes(flipped), whole[:begin] + bytes(600) + whole[begin + 600 :]]
    missed = sum(_accepted(source, data, check_likeness) for data in damaged)
    missed_before = sum(_accepted(source, data, _as_a_whole) for data in damaged)
    assert _accepted(source, whole, check_likeness)
    assert missed <= len(damaged) // 8
    assert missed < missed_before / 3


@pytest.mark.parametrize("to", ["webp", "avif", "jpeg"])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (16, 16), (17, 33), (90, 700), (640, 63)])
def test_no_good_one_is_refused(tmp_path: Path, to: str, size: tuple[int, int]) -> None:
    chance = random.Random(5)
    noise = Image.frombytes("RGB", size, bytes(chance.choice((0, 255)) for _ in range(3 * size[0] * size[1])))
    lines = Image.new("RGB", size)
    ImageDraw.Draw(lines).line([(x, y) for x in range(0, size[0], 2) for y in (0, size[1])], fill=(255, 0, 255))
    clear = noise.copy()
    clear.putalpha(Image.frombytes("L", size, chance.randbytes(size[0] * size[1])))
    for number, hard in enumerate((noise, lines, clear)):
        source = tmp_path / f"{number}.png"
        hard.save(source)
        job = a_job(tmp_path, f"hard-{number}", original=str(source), conversion_type=to, label=source.name)
        pictures.convert(job, Limits(), lambda *_: None)


def _animation() -> bytes:
    return _webp(_scene(), save_all=True, append_images=[ImageChops.invert(_scene())])


def test_a_still_that_became_an_animation_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VerificationFailed):
        _convert(tmp_path, _scene(), monkeypatch, lambda _: _animation())


def test_a_poster_that_cannot_be_made_fails_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("no colours")

    monkeypatch.setattr("dmc.convert.gallery.small", broken)
    gallery = _convert(tmp_path, _scene(), monkeypatch, bytes)
    assert gallery.still is None
    assert gallery.notes == ["the poster could not be made: no colours"]
