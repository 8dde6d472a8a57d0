"""Where a picture was made is taken out on request: no byte of it stays, and all else does."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dmc.convert.places import exif_without_place, xmp_names_a_place
from tests.convert.works import convert

GPS = {1: "N", 2: (48.0, 6.0, 12.5), 3: "E", 4: (11.0, 34.0, 56.75), 29: "2024:01:24"}
LATITUDE = (48).to_bytes(4, "little") + (1).to_bytes(4, "little") + (6).to_bytes(4, "little") + (1).to_bytes(4, "little")


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0132] = "A maker", "A model", "2024:01:24 14:50:14"
    exif[0x8825] = GPS
    return exif.tobytes().removeprefix(b"Exif\0\0")


def test_nothing_of_the_position_stays_in_exif_and_the_rest_does() -> None:
    before = _exif()
    order = "little" if before[:2] == b"II" else "big"
    latitude = b"".join(number.to_bytes(4, order) for number in (48, 1, 6, 1))
    assert latitude in before and b"2024:01:24\0" in before
    after = exif_without_place(before)
    assert after is not None and len(after) == len(before)
    assert latitude not in after and b"2024:01:24\0" not in after
    loaded = Image.Exif()
    loaded.load(after)
    assert (loaded[0x010F], loaded[0x0110], loaded[0x0132]) == ("A maker", "A model", "2024:01:24 14:50:14")
    assert not loaded.get_ifd(0x8825)


@pytest.mark.parametrize("to", ["jpeg", "webp", "avif", "png"])
def test_a_picture_loses_its_place_and_nothing_else(tmp_path: Path, to: str) -> None:
    source = tmp_path / "photo.jpg"
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf photoshop:City="Munich"/></x:xmpmeta>'
    Image.linear_gradient("L").convert("RGB").save(source, exif=b"Exif\0\0" + _exif(), xmp=xmp)
    done = convert(source, to, tmp_path / "out", strip_location=True)
    assert done.report.kind == "converted", done.report
    with Image.open(done.result) as made:
        made.load()
        assert not made.getexif().get_ifd(0x8825)
        assert made.getexif()[0x010F] == "A maker"
    assert b"Munich" not in done.result.read_bytes()
    assert (done.fate("GPS"), done.fate("EXIF")) == ("changed", "kept")


def test_a_camera_picture_keeps_its_makers_notes(media: Path, tmp_path: Path) -> None:
    done = convert(media / "image-jpeg-orientation6-gps-camera.jpg", "webp", tmp_path / "out", strip_location=True)
    assert done.fate("GPS") == "changed"
    with Image.open(media / "image-jpeg-orientation6-gps-camera.jpg") as before, Image.open(done.result) as after:
        assert before.getexif().get_ifd(0x8825) and not after.getexif().get_ifd(0x8825)
        assert before.getexif().get_ifd(0x8769) == after.getexif().get_ifd(0x8769)


@given(st.binary(max_size=300))
def test_any_bytes_are_blanked_or_given_up_without_a_crash(data: bytes) -> None:
    for start in (b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"II*\0\x08\0\0\0\x01\0\x25\x88\x04\0\x01\0\0\0\x1a\0\0\0\0\0\0\0"):
        made = exif_without_place(start + data)
        assert made is None or len(made) == len(start + data)


@pytest.mark.parametrize("text", [b'exif:GPSLatitude="48,6.2N"', b"<Iptc4xmpExt:City>", b'photoshop:State="Bavaria"'])
def test_places_in_xmp_are_found(text: bytes) -> None:
    assert xmp_names_a_place(text)
    assert not xmp_names_a_place(b'tiff:Orientation="1" dc:title="x"')


def test_texts_and_iptc_that_name_a_place_are_no_way_around_it(tmp_path: Path) -> None:
    info = PngInfo()
    info.add_text("exif:GPSLatitude", "48/1, 6/1, 12/1")
    info.add_text("Raw profile type iptc", "\niptc\n 12\n4d756e696368")
    info.add_text("Title", "A title")
    Image.new("RGB", (8, 8)).save(tmp_path / "shot.png", pnginfo=info)
    done = convert(tmp_path / "shot.png", "png", tmp_path / "out", strip_location=True)
    with Image.open(done.result) as made:
        assert made.text == {"Title": "A title"}  # type: ignore[attr-defined]
    assert done.fate("GPS") == "changed"
    name = b"Munich"
    record = b"\x1c\x02\x5a" + len(name).to_bytes(2, "big") + name + b"\0"  # City; padded to an even length.
    block = b"Photoshop 3.0\0" + b"8BIM" + (0x0404).to_bytes(2, "big") + b"\0\0" + (len(record) - 1).to_bytes(4, "big") + record
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.jpg")
    plain = (tmp_path / "plain.jpg").read_bytes()
    (tmp_path / "photo.jpg").write_bytes(plain[:2] + b"\xff\xed" + (len(block) + 2).to_bytes(2, "big") + block + plain[2:])
    done = convert(tmp_path / "photo.jpg", "jpeg", tmp_path / "iptc", strip_location=True)
    assert done.report.kind == "converted" and name not in done.result.read_bytes()
