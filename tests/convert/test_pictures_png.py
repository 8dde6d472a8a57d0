"""PNGs decoded by libav: the same pixels as Pillow's, and no damage that Pillow would see goes by unseen."""

import io
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import deflate
import pytest
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from dmc.convert import pictures_png
from dmc.convert.limits import Limits
from dmc.convert.pictures_open import open_picture
from dmc.convert.pictures_png import read_by_libav
from dmc.errors import DamagedMedia

MODES = ("L", "LA", "RGB", "RGBA")


@pytest.fixture
def left_to_pillow(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each picture that libav did not manage."""
    seen: list[int] = []
    again = pictures_png._Decoder._as_pillow_does

    def count(self: Any, parts: list[bytes]) -> tuple[int, int]:
        seen.append(len(parts))
        return again(self, parts)

    monkeypatch.setattr(pictures_png._Decoder, "_as_pillow_does", count)
    return seen


@pytest.fixture
def without_libdeflate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures_png, "deflate", None)


def _picture(mode: str, size: tuple[int, int] = (67, 41)) -> Image.Image:
    """Soft on one side and noise on the other, so that every filter of PNG is used."""
    noise = random.Random(mode)
    bands = [Image.radial_gradient("L").rotate(50 * band).resize(size) for band in range(len(mode))]
    made = Image.merge(mode, bands) if len(bands) > 1 else bands[0]
    half = (size[0] // 2, size[1])
    made.paste(Image.frombytes(mode, half, noise.randbytes(half[0] * half[1] * len(mode))), (0, 0))
    return made


def _png(picture: Image.Image, **settings: Any) -> bytes:
    written = io.BytesIO()
    picture.save(written, "PNG", **settings)
    return written.getvalue()


def _pixels(data: bytes, *, by_libav: bool) -> bytes | str:
    """The pixels, or what is wrong with them."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            if by_libav:
                read_by_libav(picture)
            picture.load()
            return picture.tobytes()
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error):
        return "damaged"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (67, 41), (640, 64)])
def test_pixels_are_the_same(mode: str, size: tuple[int, int], left_to_pillow: list[int]) -> None:
    picture = _picture(mode, size)
    for level in (0, 1, 9):
        assert _pixels(_png(picture, compress_level=level), by_libav=True) == picture.tobytes()
    assert left_to_pillow == []


@pytest.mark.usefixtures("without_libdeflate")
@pytest.mark.parametrize("mode", MODES)
def test_pixels_are_the_same_where_there_is_no_libdeflate(mode: str, left_to_pillow: list[int]) -> None:
    test_pixels_are_the_same(mode, (640, 64), left_to_pillow)


def test_large_ones_are_not_unfolded_beforehand(monkeypatch: pytest.MonkeyPatch, left_to_pillow: list[int]) -> None:
    def refuse(*_: object) -> bytearray:
        raise AssertionError("held in memory")

    picture = _picture("RGB")
    size = (1 + 3 * picture.width) * picture.height
    monkeypatch.setattr(deflate, "zlib_decompress", refuse)
    monkeypatch.setattr(pictures_png, "_LARGEST_UNFOLDED", size)
    with pytest.raises(AssertionError, match="held"):
        _pixels(_png(picture), by_libav=True)
    monkeypatch.setattr(pictures_png, "_LARGEST_UNFOLDED", size - 1)
    assert _pixels(_png(picture), by_libav=True) == picture.tobytes()
    assert left_to_pillow == []


def _damaged(whole: bytes) -> Iterator[bytes]:
    chance = random.Random(len(whole))
    yield from (whole[:length] for length in range(40, len(whole), len(whole) // 40))
    yield from (whole[:-length] for length in range(1, 40))
    for begin in [*(chance.randrange(len(whole)) for _ in range(150)), *range(len(whole) - 30, len(whole))]:
        flipped = bytearray(whole)
        flipped[begin] ^= 1 << chance.randrange(8)
        yield bytes(flipped)
    for _ in range(20):
        begin = chance.randrange(len(whole))
        yield whole[:begin] + bytes(min(512, len(whole) - begin)) + whole[begin + 512 :]


@pytest.mark.parametrize("mode", MODES)
def test_of_a_damaged_one_is_said_what_pillow_says(mode: str, left_to_pillow: list[int]) -> None:
    whole, refused = _png(_picture(mode)), 0
    for data in _damaged(whole):
        found = _pixels(data, by_libav=False)
        assert _pixels(data, by_libav=True) == found
        refused += found == "damaged"
    assert refused > 100
    assert len(left_to_pillow) > 50


@pytest.mark.usefixtures("without_libdeflate")
def test_of_a_damaged_one_the_same_is_said_where_there_is_no_libdeflate(left_to_pillow: list[int]) -> None:
    test_of_a_damaged_one_is_said_what_pillow_says("L", left_to_pillow)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def _file(chunks: list[tuple[bytes, bytes]]) -> bytes:
    parts = [struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_rows_that_are_missing_are_missed_though_every_chunk_is_whole() -> None:
    picture = _picture("RGB")
    chunks = _chunks(_png(picture))
    rows = zlib.decompress(b"".join(body for name, body in chunks if name == b"IDAT"))
    others = [chunk for chunk in chunks if chunk[0] not in (b"IDAT", b"IEND")]
    for kept, expected in ((len(rows), picture.tobytes()), (len(rows) - 1, "damaged"), (len(rows) // 2, "damaged"), (0, "damaged")):
        data = _file([*others, (b"IDAT", zlib.compress(rows[:kept])), (b"IEND", b"")])
        assert (_pixels(data, by_libav=True), _pixels(data, by_libav=False)) == (expected, expected)


def test_pixels_in_many_chunks_and_empty_ones_are_put_together(left_to_pillow: list[int]) -> None:
    picture = _picture("RGBA")
    chunks = _chunks(_png(picture))
    body = b"".join(part for name, part in chunks if name == b"IDAT")
    pieces = [body[at : at + 100] for at in range(0, len(body), 100)]
    data = _file([chunks[0], *((b"IDAT", piece) for piece in [b"", *pieces, b""]), (b"IEND", b"")])
    assert _pixels(data, by_libav=True) == picture.tobytes()
    assert left_to_pillow == []


def test_what_stands_after_the_pixels_is_read(tmp_path: Path) -> None:
    told = PngInfo()
    told.add_text("Title", "behind", zip=False)
    chunks = _chunks(_png(_picture("RGB"), pnginfo=told, exif=Image.Exif()))
    words = next(chunk for chunk in chunks if chunk[0] == b"tEXt")
    file = tmp_path / "behind.png"
    file.write_bytes(_file([*(chunk for chunk in chunks if chunk not in (words, (b"IEND", b""))), words, (b"IEND", b"")]))
    with open_picture(file, Limits(), file.name) as picture:
        assert [tile.codec_name for tile in picture.tile] == [pictures_png._NAME]  # type: ignore[attr-defined]
        picture.load()
        assert picture.text == {"Title": "behind"}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("picture", "settings"),
    [
        (_picture("RGB").quantize(16), {}),
        (_picture("L").point(lambda value: 255 * (value > 99), "1"), {}),
        (Image.new("I;16", (9, 9), 40_000), {}),
        (_picture("L"), {"save_all": True, "append_images": [_picture("L").rotate(90)]}),
    ],
    ids=["with a palette", "black and white", "of 16 bits", "animated"],
)
def test_others_are_left_to_pillow(picture: Image.Image, settings: dict[str, Any]) -> None:
    with Image.open(io.BytesIO(_png(picture, **settings))) as opened:
        before = list(opened.tile)  # type: ignore[attr-defined]
        read_by_libav(opened)
        assert opened.tile == before  # type: ignore[attr-defined]
        opened.load()


def test_a_colour_that_lets_through_stays_that(tmp_path: Path, left_to_pillow: list[int]) -> None:
    picture = Image.new("RGB", (20, 20), (1, 2, 3))
    ImageDraw.Draw(picture).rectangle((5, 5, 9, 9), fill=(200, 0, 0))
    file = tmp_path / "keyed.png"
    file.write_bytes(_png(picture, transparency=(1, 2, 3)))
    with open_picture(file, Limits(), file.name) as opened:
        assert opened.convert("RGBA").getpixel((0, 0)) == (1, 2, 3, 0)
        assert opened.convert("RGBA").getpixel((7, 7)) == (200, 0, 0, 255)
    assert left_to_pillow == []


def test_a_cut_one_is_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "cut.png"
    whole = _png(_picture("RGB"))
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedMedia, match="truncated"), open_picture(file, Limits(), "holiday.png") as opened:
        opened.load()


_IN_A_WORKER = """
import sys
from pathlib import Path
from dmc.convert.limits import Limits
from dmc.convert.pictures_open import open_picture
from dmc.convert.sidedata import libav_speaks
libav_speaks()
with open_picture(Path(sys.argv[1]), Limits(), "holiday.png") as picture:
    picture.load()
"""


def test_the_log_of_a_good_one_stays_empty(tmp_path: Path) -> None:
    """In a process of its own, since who listens to libav is the same for all of one."""
    file = tmp_path / "good.png"
    file.write_bytes(_png(_picture("RGB")))
    done = subprocess.run([sys.executable, "-c", _IN_A_WORKER, str(file)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
