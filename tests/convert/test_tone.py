"""Posters of HDR video look as the video does: greys and faces as bright as they were, highlights below white, colours of sRGB."""

import math
import struct
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.video.frame import VideoFrame
from PIL import Image

from dmc.convert.tone import to_standard
from dmc.products import Products
from tests.convert.works import convert

PQ, HLG, BT2020 = 16, 18, 9
SRGB_MID_GREY = 118
"""A grey card gives back 18 % of the light: 36.5 of 203 cd/m2."""


def pq(light: float) -> float:
    """PQ value of so many cd/m2. Source: SMPTE ST 2084."""
    power = (light / 10_000) ** (2610 / 16384)
    return float(((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32))


def hlg(light: float) -> float:
    """HLG value for so many cd/m2 of a grey on a screen of 1000. Source: ITU-R BT.2100."""
    scene = (light / 1000) ** (1 / 1.2)
    return math.sqrt(3 * scene) if scene <= 1 / 12 else 0.17883277 * math.log(12 * scene - 0.28466892) + 0.55991073


def grey_film(path: Path, value: float, transfer: int) -> Path:
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx265", rate=25)
        context = video.codec_context
        context.width, context.height, context.pix_fmt = 64, 48, "yuv420p10le"
        context.color_primaries, context.color_trc, context.colorspace = BT2020, transfer, BT2020
        context.options = {"preset": "ultrafast", "x265-params": "log-level=error"}
        for number in range(5):
            frame = VideoFrame(64, 48, "yuv420p10le")
            for index, plane in enumerate(frame.planes):
                plane.update(struct.pack("<H", 512 if index else round(64 + 876 * value)) * (plane.buffer_size // 2))
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


@pytest.mark.parametrize(("transfer", "value"), [(PQ, pq(36.5)), (HLG, hlg(36.5))], ids=["PQ", "HLG"])
def test_a_grey_card_is_as_bright_on_the_poster_as_in_the_film(tmp_path: Path, transfer: int, value: float) -> None:
    done = convert(grey_film(tmp_path / "grey.mkv", value, transfer), "mp4", tmp_path / "out", previews=True)
    told = Products.read((done.out / "facts.json").read_bytes())
    assert told is not None and told.notes == ()
    for preview in ("poster.webp", "sprite.webp"):
        with Image.open(done.out / preview) as picture:
            seen = picture.convert("RGB").getpixel((20, 20))
        assert seen == pytest.approx((SRGB_MID_GREY,) * 3, abs=6), preview


@pytest.mark.parametrize(("transfer", "code"), [(PQ, pq), (HLG, hlg)], ids=["PQ", "HLG"])
def test_brighter_stays_brighter_and_white_leaves_room_for_highlights(transfer: int, code: object) -> None:
    levels = [round(255 * code(light)) for light in (0.01, 1, 10, 36.5, 100, 203, 400, 1000)]  # type: ignore[operator]
    made = to_standard([(0.0, Image.new("RGB", (4, 4), (level,) * 3)) for level in levels], transfer, BT2020)
    seen = [picture.getpixel((1, 1))[0] for _at, picture in made]  # type: ignore[index]
    assert seen == sorted(set(seen))
    assert seen[0] <= 3
    assert 205 <= seen[5] <= 235
    assert seen[-1] >= 253


def test_colours_of_a_wide_gamut_become_those_of_srgb() -> None:
    """The red of BT.709 in PQ, as BT.2020 writes it, comes out as pure red."""
    red = tuple(round(255 * pq(100 * part)) for part in (0.6274, 0.0691, 0.0164))
    [(_at, made)] = to_standard([(0.0, Image.new("RGB", (4, 4), red))], PQ, BT2020)
    seen = made.getpixel((1, 1))
    assert seen[0] > 170  # type: ignore[index]
    assert max(seen[1:]) < 12  # type: ignore[index,type-var]


def test_standard_range_is_left_alone() -> None:
    picture = Image.new("RGB", (4, 4), (90, 120, 150))
    assert to_standard([(0.0, picture)], 1, 1)[0][1] is picture
    assert to_standard([(0.0, picture)], None, None)[0][1] is picture
