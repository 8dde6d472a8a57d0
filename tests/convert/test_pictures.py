"""Pictures: upright once, nothing lost without being said, animations whole, bad files refused."""

import io
import itertools
import random
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageDraw, ImageFile, ImageSequence
from PIL.PngImagePlugin import PngInfo

from dmc.conversions import MediaType
from dmc.convert import pictures
from dmc.convert.limits import Limits
from dmc.convert.pictures_check import check_frames, check_likeness
from dmc.convert.pictures_frames import FrameFacts, upright
from dmc.convert.pictures_plan import plan_picture
from dmc.convert.pictures_tags import exif_without_orientation, upright_exif, upright_xmp
from dmc.convert.receipt import Receipt
from dmc.errors import DamagedMedia, NotMedia, TooLarge, Unsupported, VerificationFailed
from tests.convert.rooms import a_job

ORIENTATION = 0x0112
_NUMBERS = itertools.count()
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _scene(size: tuple[int, int] = (96, 64), mode: str = "RGB") -> Image.Image:
    """A picture that looks different in each of the eight orientations."""
    image = Image.new("RGB", size, (240, 240, 240))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, size[0] // 2, size[1] // 4), fill=(200, 30, 30))
    draw.rectangle((0, 0, size[0] // 8, size[1] - 1), fill=(30, 30, 200))
    return image.convert(mode)


def _exif(orientation: int | None = None) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x0132] = "2026:11:21 08:09:10"
    if orientation:
        exif[ORIENTATION] = orientation
    exif[0x8825] = {1: "N", 2: (48.0, 8.0, 0.0)}
    again = Image.Exif()
    again.load(exif.tobytes())  # as read from a file: only so does Pillow write the position into a TIFF
    return again


def _convert(folder: Path, source: Path, to: str, **limits: Any) -> tuple[Image.Image, Receipt]:
    """The result, loaded, and the receipt; the facts must be those of the file."""
    job = a_job(folder, f"{source.stem}-{next(_NUMBERS)}", original=str(source), conversion_type=to, label=source.name)
    seen: list[float] = []
    result, receipt = pictures.convert(job, Limits(**limits), lambda fraction, speed, eta: seen.append(fraction))
    made = Path(job.out_dir) / result.file_name
    assert made.stat().st_size == result.file_size
    assert [path.name for path in Path(job.out_dir).iterdir()] == [result.file_name]
    assert receipt.verification is not None and receipt.verification.passed
    assert seen == sorted(seen) and seen[-1] <= 1.0
    image = Image.open(io.BytesIO(made.read_bytes()))
    image.load()
    return image, receipt


def _fates(receipt: Receipt) -> dict[str, str]:
    return {entry.kind: entry.outcome for entry in receipt.metadata}


def _far(one: Image.Image, other: Image.Image) -> float:
    """Largest distance of any sample of two pictures made small."""
    small = [image.convert("RGB").resize((24, 24), Image.Resampling.BOX).tobytes() for image in (one, other)]
    return max(abs(a - b) for a, b in zip(*small, strict=True))


@pytest.mark.parametrize("to", ["webp", "avif", "png", "jpeg"])
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "avif", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright_exactly_once(tmp_path: Path, orientation: int, kind: str, to: str) -> None:
    source = tmp_path / f"scene.{kind}"
    _scene().save(source, exif=_exif(orientation), **({"quality": 95} if kind in ("jpeg", "webp") else {}))
    with Image.open(source) as image:
        reference = upright(_scene() if kind in ("png", "tiff") else Image.open(source).convert("RGB"), orientation)
        assert image.size == (96, 64) if kind != "tiff" else True
    result, receipt = _convert(tmp_path, source, to)
    assert result.size == reference.size
    assert _far(result, reference) < 24
    if to == "png":
        assert result.convert("RGB").tobytes() == reference.tobytes()
    assert result.getexif().get(ORIENTATION, 1) == 1
    assert result.getexif()[0x010F] == "Maker"
    assert _fates(receipt)["EXIF"] == _fates(receipt)["GPS"] == "kept"
    assert ("orientation" in _fates(receipt)) == (orientation != 1)


LONG = {
    ("image-apng-animated.apng", "avif"),
    ("image-apng-animated.apng", "png"),
    ("image-jpeg-orientation6-gps-camera.jpg", "avif"),
    ("image-jpeg-orientation6-gps-camera.jpg", "png"),
    ("image-webp-animated.webp", "avif"),
}
"""Take seconds each. To the other types these are converted like all; of films a GIF goes to AVIF, the WebP to PNG."""


@pytest.mark.parametrize("to", ["webp", "avif", "png", "jpeg"])
def test_every_real_picture_is_converted_or_refused_with_a_reason(media: Path, tmp_path: Path, to: str) -> None:
    refused = {}
    for source in sorted(media.glob("image-*")):
        if (source.name, to) in LONG:
            continue
        try:
            _is_converted(tmp_path, source, to)
        except (Unsupported, TooLarge) as problem:
            refused[source.name] = problem.code
            assert problem.hint
    assert refused == {"image-heic-iphone-gps-icc.heic": "Unsupported", "image-gif-decompression-bomb-44-bytes.gif": "TooLarge"}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "to"), sorted(LONG))
def test_what_takes_long_is_converted_too(media: Path, tmp_path: Path, name: str, to: str) -> None:
    _is_converted(tmp_path, media / name, to)


def _is_converted(folder: Path, source: Path, to: str) -> None:
    result, receipt = _convert(folder, source, to)
    assert max(result.size) > 1
    assert all(entry.detail for entry in receipt.metadata if entry.outcome != "kept")


def test_a_camera_picture_keeps_every_byte_of_its_exif_but_the_orientation(media: Path, tmp_path: Path) -> None:
    source = media / "image-jpeg-orientation6-gps-camera.jpg"
    with Image.open(source) as image:
        before = image.info["exif"].removeprefix(b"Exif\0\0")
        size = image.size
    result, receipt = _convert(tmp_path, source, "webp")
    after = result.info["exif"].removeprefix(b"Exif\0\0")
    assert result.size == size[::-1]
    assert len(after) == len(before)
    assert sum(a != b for a, b in zip(after, before, strict=True)) == 1
    assert _fates(receipt)["GPS"] == "kept"
    assert _fates(receipt)["IPTC"] == "lost"


@pytest.mark.parametrize(("to", "mode"), [("webp", "RGBA"), ("png", "RGBA")])
def test_transparency_is_kept(tmp_path: Path, to: str, mode: str) -> None:
    image = _scene().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(tmp_path / "a.tiff")
    result, receipt = _convert(tmp_path, tmp_path / "a.tiff", to)
    assert result.mode == mode
    assert result.getchannel("A").tobytes() == image.getchannel("A").tobytes()
    assert _fates(receipt)["transparency"] == "kept"


def test_transparency_goes_onto_white_in_a_jpeg(tmp_path: Path) -> None:
    Image.new("RGBA", (40, 40), (255, 0, 0, 0)).save(tmp_path / "a.png")
    result, receipt = _convert(tmp_path, tmp_path / "a.png", "jpeg")
    assert result.getpixel((20, 20)) == (255, 255, 255)
    assert _fates(receipt)["transparency"] == "changed"


def test_an_opaque_alpha_channel_is_no_transparency(tmp_path: Path) -> None:
    _scene(mode="RGBA").save(tmp_path / "a.png")
    result, receipt = _convert(tmp_path, tmp_path / "a.png", "webp")
    assert result.mode == "RGB"
    assert "transparency" not in _fates(receipt)


def _deep(path: Path, size: tuple[int, int] = (256, 4)) -> list[int]:
    values = [(index * 257 + 3) % 65536 for index in range(size[0] * size[1])]
    Image.frombytes("I;16", size, struct.pack(f"<{len(values)}H", *values)).save(path)
    return values


def test_sixteen_bits_of_grey_stay_in_a_png(tmp_path: Path) -> None:
    values = _deep(tmp_path / "deep.tiff")
    result, receipt = _convert(tmp_path, tmp_path / "deep.tiff", "png")
    assert result.mode == "I;16"
    assert list(struct.unpack(f"<{len(values)}H", result.tobytes())) == values
    assert "depth" not in _fates(receipt)


@pytest.mark.parametrize("to", ["webp", "jpeg"])
def test_sixteen_bits_become_eight_by_scaling_and_it_is_said(tmp_path: Path, to: str) -> None:
    Image.frombytes("I;16", (8, 8), struct.pack("<64H", *[32768] * 64)).save(tmp_path / "deep.png")
    result, receipt = _convert(tmp_path, tmp_path / "deep.png", to)
    assert abs(int(result.convert("L").getpixel((4, 4)) or 0) - 128) <= 2
    assert _fates(receipt)["depth"] == "changed"


def test_sixteen_bits_of_colour_that_pillow_cannot_read_are_said_to_be_lost(media: Path, tmp_path: Path) -> None:
    _, receipt = _convert(tmp_path, media / "image-tiff-16bit-rgba.tiff", "png")
    assert _fates(receipt)["depth"] == "lost"
    assert any("16 bits" in loss for loss in receipt.losses)


def test_colours_of_print_become_rgb_and_it_is_said(media: Path, tmp_path: Path) -> None:
    result, receipt = _convert(tmp_path, media / "image-jpeg-cmyk.jpg", "webp")
    assert result.mode == "RGB"
    assert _fates(receipt)["colours"] == "changed"


@pytest.mark.parametrize("to", ["webp", "avif", "png", "jpeg"])
def test_profile_xmp_resolution_and_texts_come_along(tmp_path: Path, to: str) -> None:
    texts = PngInfo()
    texts.add_text("Title", "A scene")
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="1"/></x:xmpmeta>'
    texts.add_itxt("XML:com.adobe.xmp", xmp.decode())
    _scene().save(tmp_path / "a.png", icc_profile=SRGB, pnginfo=texts, dpi=(300, 300))
    result, receipt = _convert(tmp_path, tmp_path / "a.png", to)
    fates = _fates(receipt)
    assert result.info["icc_profile"] == SRGB
    assert fates["ICC"] == fates["XMP"] == fates["resolution"] == "kept"
    assert fates["texts"] == ("kept" if to == "png" else "lost")


def test_a_profile_of_another_kind_of_picture_is_not_put_on(tmp_path: Path) -> None:
    grey = SRGB[:16] + b"GRAY" + SRGB[20:]
    _scene(mode="L").save(tmp_path / "a.png", icc_profile=grey)
    result, receipt = _convert(tmp_path, tmp_path / "a.png", "webp")
    assert "icc_profile" not in result.info
    assert _fates(receipt)["ICC"] == "lost"


def test_exif_that_cannot_be_read_does_not_stop_the_conversion(tmp_path: Path) -> None:
    for number, exif in enumerate((b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x88\x25")):
        source = tmp_path / f"odd{number}.jpg"
        _scene().save(source, exif=exif)
        result, receipt = _convert(tmp_path, source, "webp")
        assert result.size == (96, 64)
        assert _fates(receipt)["EXIF"] == "kept"


def test_exif_too_long_for_a_jpeg_is_said_to_be_lost(tmp_path: Path) -> None:
    exif = _exif()
    exif[0x010E] = "x" * 70_000
    _scene().save(tmp_path / "a.png", exif=exif)
    _, receipt = _convert(tmp_path, tmp_path / "a.png", "jpeg")
    assert _fates(receipt)["EXIF"] == _fates(receipt)["GPS"] == "lost"


# --- animations -------------------------------------------------------------------------------------------------------


def _film(path: Path, delays: list[int], shades: list[int], **settings: Any) -> None:
    frames = [Image.new("RGB", (32, 24), (shade, 255 - shade, 90)) for shade in shades]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=delays, optimize=False, **settings)


def _delays(image: Image.Image) -> list[float]:
    found = []
    for frame in ImageSequence.Iterator(image):
        frame.load()
        found.append(float(frame.info.get("duration", 0)))
    return found


@pytest.mark.parametrize("to", ["webp", "png"])
def test_an_animation_keeps_frames_delays_and_loops(tmp_path: Path, to: str) -> None:
    delays = [100, 40, 700, 20, 100]
    _film(tmp_path / "film.gif", delays, [0, 50, 100, 150, 200], loop=2)
    result, receipt = _convert(tmp_path, tmp_path / "film.gif", to)
    assert _delays(result) == delays
    assert result.info["loop"] == 3
    assert _fates(receipt)["animation"] == "kept"
    assert receipt.verification is not None and receipt.verification.decoded_frames == 5


def test_an_animated_avif_keeps_frames_and_delays(tmp_path: Path) -> None:
    delays = [100, 40, 700, 20, 100]
    _film(tmp_path / "film.gif", delays, [0, 50, 100, 150, 200], loop=2)
    result, receipt = _convert(tmp_path, tmp_path / "film.gif", "avif")
    assert _delays(result) == delays
    assert _fates(receipt)["animation"] == "kept"
    assert _fates(receipt)["repetitions"] == "lost"


def test_a_camera_picture_as_avif_keeps_every_byte_of_its_exif_but_one_entry(media: Path, tmp_path: Path) -> None:
    source = media / "image-jpeg-orientation6-gps-camera.jpg"
    with Image.open(source) as image:
        before = image.info["exif"].removeprefix(b"Exif\0\0")
    result, receipt = _convert(tmp_path, source, "avif")
    assert result.info["exif"] == exif_without_orientation(before)
    assert result.getexif().get(0x0112, 1) == 1
    assert _fates(receipt)["GPS"] == _fates(receipt)["EXIF"] == "kept"


@pytest.mark.parametrize(("loop", "plays"), [({}, 1), ({"loop": 0}, 0), ({"loop": 4}, 5)])
def test_loops_of_a_gif_are_counted_as_plays(tmp_path: Path, loop: dict[str, int], plays: int) -> None:
    _film(tmp_path / "film.gif", [50, 50], [0, 200], **loop)
    result, _ = _convert(tmp_path, tmp_path / "film.gif", "webp")
    assert result.info["loop"] == plays


@pytest.mark.parametrize("to", ["webp", "png"])
def test_frames_that_repeat_may_become_one_shown_longer(media: Path, tmp_path: Path, to: str) -> None:
    with Image.open(media / "image-gif-animated.gif") as image:
        total = sum(_delays(image))
    result, receipt = _convert(tmp_path, media / "image-gif-animated.gif", to)
    assert sum(_delays(result)) == total == 3100
    assert "repeat the one before" in next(entry.detail for entry in receipt.metadata if entry.kind == "animation")


def test_an_animation_in_a_jpeg_is_its_first_frame_and_the_rest_is_said_to_be_lost(tmp_path: Path) -> None:
    _film(tmp_path / "film.gif", [50, 50, 50], [0, 100, 200])
    result, receipt = _convert(tmp_path, tmp_path / "film.gif", "jpeg")
    assert _far(result, Image.new("RGB", (32, 24), (0, 255, 90))) < 24
    assert "2 of 3 frames" in str(receipt.losses)


def test_pages_of_a_tiff_are_no_animation(tmp_path: Path) -> None:
    _scene().save(tmp_path / "book.tiff", save_all=True, append_images=[_scene(), _scene()])
    result, receipt = _convert(tmp_path, tmp_path / "book.tiff", "webp")
    assert getattr(result, "n_frames", 1) == 1
    assert _fates(receipt)["further pictures"] == "lost"


def test_the_stand_in_of_an_animated_png_is_not_part_of_the_film(media: Path, tmp_path: Path) -> None:
    result, receipt = _convert(tmp_path, media / "image-png-16bit-rgba-animated.png", "webp")
    assert _delays(result) == [100, 1000]
    assert _fates(receipt)["further pictures"] == "lost"


def test_a_turned_animation_is_turned_in_every_frame(tmp_path: Path) -> None:
    frames = [_scene(), _scene().transpose(Image.Transpose.ROTATE_180)]
    frames[0].save(tmp_path / "film.png", save_all=True, append_images=frames[1:], duration=100, exif=_exif(6))
    result, _ = _convert(tmp_path, tmp_path / "film.png", "webp")
    assert result.size == (64, 96)
    for number, frame in enumerate(frames):
        result.seek(number)
        assert _far(result, upright(frame, 6)) < 24


# --- bad files --------------------------------------------------------------------------------------------------------


def test_a_truncated_picture_is_damaged(media: Path, tmp_path: Path) -> None:
    with pytest.raises(DamagedMedia):
        _convert(tmp_path, media / "corrupt-jpeg-truncated.jpg", "webp")


@pytest.mark.parametrize("kind", ["png", "gif", "webp", "avif", "tiff", "bmp", "jpeg"])
def test_a_picture_cut_anywhere_is_refused_or_whole(tmp_path: Path, kind: str) -> None:
    whole = io.BytesIO()
    _scene().save(whole, kind)
    data = whole.getvalue()
    for share in (1, 4, 7, 9):
        source = tmp_path / f"cut{share}.{kind}"
        source.write_bytes(data[: len(data) * share // 10])
        try:
            _convert(tmp_path, source, "png")
        except (DamagedMedia, NotMedia):
            continue


@given(st.integers(0, 3000), st.integers(0, 255))
def test_no_flipped_byte_does_worse_than_an_error_of_ours(tmp_path_factory: pytest.TempPathFactory, at: int, value: int) -> None:
    folder = tmp_path_factory.mktemp("flip")
    for kind in ("png", "gif", "webp"):
        whole = io.BytesIO()
        _scene((20, 16)).save(whole, kind)
        data = bytearray(whole.getvalue())
        data[at % len(data)] = value
        source = folder / f"flipped.{kind}"
        source.write_bytes(data)
        try:
            pictures.probe(source, Limits(max_pixels=1_000_000))
            _convert(folder, source, "png", max_pixels=1_000_000)
        except (DamagedMedia, NotMedia, TooLarge):
            continue


def test_a_bomb_is_refused_before_it_is_unfolded(media: Path, tmp_path: Path) -> None:
    Image.new("1", (3000, 3000)).save(tmp_path / "bomb.png")
    with pytest.raises(TooLarge):
        _convert(tmp_path, tmp_path / "bomb.png", "webp", max_pixels=1_000_000)
    with pytest.raises(TooLarge):
        _convert(tmp_path, media / "image-gif-decompression-bomb-44-bytes.gif", "webp")


def test_too_many_frames_are_refused(tmp_path: Path) -> None:
    _film(tmp_path / "film.gif", [20] * 12, [20 * number for number in range(12)])
    with pytest.raises(TooLarge):
        _convert(tmp_path, tmp_path / "film.gif", "webp", max_frame_pixels=32 * 24 * 11)


def test_a_picture_longer_than_the_format_allows_is_refused_with_a_way_out(tmp_path: Path) -> None:
    Image.new("L", (16384, 1)).save(tmp_path / "long.png")
    with pytest.raises(TooLarge, match="png"):
        _convert(tmp_path, tmp_path / "long.png", "webp")


def test_heic_is_refused_with_a_way_out(media: Path, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="JPEG"):
        pictures.probe(media / "image-heic-iphone-gps-icc.heic", Limits())


# --- facts and decisions ----------------------------------------------------------------------------------------------


def test_what_is_no_picture_has_no_facts(media: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("milk, eggs")
    assert pictures.probe(tmp_path / "list.txt", Limits()) is None
    assert pictures.probe(media / "speech-jfk-11s.flac", Limits()) is None


def test_facts_of_a_picture(media: Path) -> None:
    facts = pictures.probe(media / "image-jpeg-orientation7-mirrored-icc.jpg", Limits())
    assert facts is not None
    assert (facts.media_type, facts.container, facts.width, facts.height) == (MediaType.IMAGE, "jpeg", 450, 600)
    assert (facts.orientation, facts.frames, facts.has_icc, facts.has_exif, facts.has_alpha) == (7, 1, True, True, False)


@pytest.mark.parametrize(
    ("name", "to", "reason"),
    [
        ("image-jpeg-gps-exif.jpg", "jpeg", "already JPEG"),
        ("image-webp-animated.webp", "webp", "already WebP"),
        ("image-apng-animated.apng", "png", "already PNG"),
        ("image-avif-orientation3-icc.avif", "avif", "already AVIF"),
        ("image-jpeg-gps-exif.jpg", "webp", None),
        ("image-gif-animated.gif", "png", None),
    ],
)
def test_what_is_already_as_wished_is_left_alone(media: Path, name: str, to: str, reason: str | None) -> None:
    facts = pictures.probe(media / name, Limits())
    assert facts is not None
    assert plan_picture(facts, to, {}) == reason


@given(st.binary(max_size=200))
def test_orientation_is_set_in_any_bytes_without_a_crash(data: bytes) -> None:
    for start in (b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"):
        assert len(upright_exif(start + data)) == len(start + data)
        assert len(exif_without_orientation(start + data)) == len(start + data)


@pytest.mark.parametrize("text", ['<a tiff:Orientation="6"/>', "<tiff:Orientation>6</tiff:Orientation>", "<a tiff:Orientation='6'/>"])
def test_orientation_in_xmp_is_set_in_place(text: str) -> None:
    assert upright_xmp(text.encode()) == text.replace("6", "1").encode()


def test_a_jpeg_of_nothing_but_noise_is_written(tmp_path: Path) -> None:
    """It needs more than a byte per pixel, for which Pillow alone has no room."""
    source = tmp_path / "noise.png"
    chance = random.Random(5)
    Image.frombytes("RGB", (300, 300), bytes(chance.choice((0, 255)) for _ in range(3 * 300 * 300))).save(source)
    before = ImageFile.MAXBLOCK
    _result, receipt = _convert(tmp_path, source, "jpeg")
    assert receipt.result is not None and receipt.result.file_size > 300 * 300
    assert before == ImageFile.MAXBLOCK


def _frames(*facts: tuple[float, bytes]) -> list[FrameFacts]:
    return [FrameFacts(delay, alpha=False, digest=shown) for delay, shown in facts]


def test_merged_repetitions_are_the_same_film() -> None:
    source = _frames((10, b"a"), (20, b"b"), (30, b"b"), (40, b"c"), (5, b"c"))
    assert check_frames(source, source, pixels=True) == 0
    assert check_frames(source, _frames((10, b"a"), (50, b"b"), (45, b"c")), pixels=True) == 2


@pytest.mark.parametrize(
    "result",
    [
        _frames((10, b"a"), (20, b"b")),
        _frames((10, b"a"), (20, b"b"), (30, b"c"), (10, b"d")),
        _frames((10, b"a"), (25, b"b"), (25, b"c")),
        _frames((10, b"a"), (20, b"x"), (30, b"c")),
        _frames((30, b"a"), (30, b"c")),
        [],
    ],
)
def test_another_film_is_not_accepted(result: list[FrameFacts]) -> None:
    with pytest.raises(VerificationFailed):
        check_frames(_frames((10, b"a"), (20, b"b"), (30, b"c")), result, pixels=True)


def test_a_picture_of_something_else_is_not_accepted() -> None:
    check_likeness(_scene(), _scene())
    with pytest.raises(VerificationFailed):
        check_likeness(_scene(), Image.new("RGB", (96, 64)))
    with pytest.raises(VerificationFailed):
        check_likeness(_scene(), _scene((64, 96)))
