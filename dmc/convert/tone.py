"""Small pictures of HDR video (PQ, HLG) as any screen shows them: for previews only, no result is made with it.

Light of 203 cd/m2 is white in a room (ITU-R BT.2408). Up to half of that everything stays as bright as it was, so that faces and greys
look right; what is brighter is pressed into the rest, 1000 cd/m2 becoming the brightest. Colours of BT.2020 become those of sRGB.
Sources: SMPTE ST 2084 (PQ), ITU-R BT.2100 (HLG and its display), BT.2087 (colours).
"""

import math
from typing import Any

from PIL import Image, ImageMath

from dmc.convert.pixels import BT709, HLG, PQ

_WHITE, _BRIGHTEST = 203.0, 1000.0
"""cd/m2 of a white sheet, and of what is shown as the brightest there is."""

_KNEE = 0.5
_SAME = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_TO_BT709 = ((1.6605, -0.5877, -0.0728), (-0.1246, 1.1330, -0.0084), (-0.0182, -0.1006, 1.1188))
_WEIGHTS = (0.2627, 0.6780, 0.0593)
"""Of red, green and blue of BT.2020 in brightness."""


def to_standard(pictures: list[tuple[float, Image.Image]], transfer: int | None, primaries: int | None) -> list[tuple[float, Image.Image]]:
    """The pictures, with their times, in standard range; unchanged if `transfer` (ITU-T H.273) is neither PQ nor HLG."""
    if transfer not in (PQ, HLG):
        return pictures
    light_of = _light_of_pq if transfer == PQ else _light_of_hlg
    table = [light_of(code / 255) for code in range(256)]
    matrix = _SAME if primaries == BT709 else _TO_BT709
    return [(at, _shown(picture, table, matrix, is_scene=transfer == HLG)) for at, picture in pictures]


def _shown(picture: Image.Image, table: list[float], matrix: tuple[tuple[float, ...], ...], *, is_scene: bool) -> Image.Image:
    def shown(given: dict[str, Any]) -> tuple[Any, ...]:
        """Pixel by pixel; PIL has no types for such arithmetic."""
        least, most = given["min"], given["max"]
        light = [given[name] for name in "rgb"]
        if is_scene:
            brightness = _sum(_WEIGHTS, light)
            light = [_BRIGHTEST / _WHITE * brightness**0.2 * part for part in light]
        brightest = most(most(most(light[0], light[1]), light[2]), 1e-6)
        above = (most(brightest, _KNEE) - _KNEE) / (1 - _KNEE)
        factor = (least(brightest, _KNEE) + (1 - _KNEE) * _pressed(above)) / brightest
        light = [part * factor for part in light]
        return tuple(_coded(least(most(_sum(row, light), 0.0), 1.0), least, most) for row in matrix)

    parts = [band.point(table, "F") for band in picture.convert("RGB").split()]
    found = ImageMath.lambda_eval(shown, **dict(zip("rgb", parts, strict=True)))
    return Image.merge("RGB", [part.im.convert("L") for part in found])


def _sum(weights: tuple[float, ...], light: list[Any]) -> Any:
    return weights[0] * light[0] + weights[1] * light[1] + weights[2] * light[2]


def _pressed(above: Any) -> Any:
    """Reinhard's curve for what is above the knee; the brightest becomes 1."""
    most = (_BRIGHTEST / _WHITE - _KNEE) / (1 - _KNEE)
    return above * (1 + above / (most * most)) / (1 + above)


def _coded(light: Any, least: Any, most: Any) -> Any:
    """Light as sRGB writes it, 0 to 255, rounded up where it will be cut. Source: IEC 61966-2-1."""
    return 255 * most(least(12.92 * light, 0.04045), 1.055 * light ** (1 / 2.4) - 0.055) + 0.5


def _light_of_pq(code: float) -> float:
    """Light by a PQ value from 0 to 1; a white sheet has 1."""
    power = code ** (32 / 2523)
    return float(10_000 / _WHITE * (max(power - 3424 / 4096, 0.0) / (2413 / 128 - 2392 / 128 * power)) ** (16384 / 2610))


def _light_of_hlg(code: float) -> float:
    """Light in front of the camera, 0 to 1, by an HLG value from 0 to 1."""
    return code * code / 3 if code <= 0.5 else (math.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12
