"""How pictures are encoded: size, pixel format, filters and colours of one video stream. Pure; used by plan.py.

Depth, chroma, range, colour tags and sample aspect stay as they are unless the encoder or the recipe cannot have them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from dmc.convert.facts import StreamFacts
from dmc.convert.recipes import VideoRecipe

PQ, HLG = 16, 18
BT709, SMPTE170M = 1, 6
LIMITED, FULL = 1, 2
UNSPECIFIED = 2
HIGH_DEFINITION = 720
SCALING = "lanczos+accurate_rnd+full_chroma_int"
"""Without accurate_rnd FFmpeg's scaler darkens the picture by one or two levels (measured)."""


_HDR_PARAMETERS = {
    "libx265": ("master-display", "max-cll"),
    "libx264": ("mastering-display", "cll"),
    "libsvtav1": ("mastering-display", "content-light"),
}


@dataclass(frozen=True, slots=True)
class VideoWork:
    """How pictures are encoded. `filters` are names and arguments for FFmpeg's filter graph, `changes` say what they do in words."""

    encoder: str
    crf: float
    preset: str
    width: int
    height: int
    pix_fmt: str
    filters: tuple[tuple[str, str], ...] = ()
    changes: tuple[str, ...] = ()
    params: tuple[tuple[str, str], ...] = ()
    params_option: str | None = None
    rate: tuple[int, int] | None = None
    sample_aspect: tuple[int, int] | None = None
    matrix: tuple[int, ...] | None = None
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    colour_matrix: int = UNSPECIFIED
    colour_range: int = 0
    chroma_location: str | None = None

    def takes_as_is(self, stream: StreamFacts) -> bool:
        """Does the encoder get every picture of `stream` as it was decoded, in its size and unfiltered?"""
        return not self.filters and (self.width, self.height) == (stream.width, stream.height)


def is_hdr(stream: StreamFacts) -> bool:
    """Are the pictures PQ (HDR10) or HLG?"""
    return stream.transfer in (PQ, HLG)


def target_size(stream: StreamFacts, recipe: VideoRecipe, options: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height after scaling, as coded; the same as before if nothing asks for less.

    `height` and the recipe's bounds are those of the picture as it is seen, upright.
    """
    width, height = stream.width or 0, stream.height or 0
    turned = stream.matrix is not None and stream.matrix[0] == 0
    seen_height = width if turned else height
    factor = 1.0
    if "height" in options and seen_height > options["height"]:
        factor = options["height"] / seen_height
    if recipe.longest is not None and recipe.shortest is not None:
        factor = min(factor, recipe.longest / max(width, height, 1), recipe.shortest / max(min(width, height), 1))
    if factor >= 1.0:
        return width, height
    return max(2, round(width * factor / 2) * 2), max(2, round(height * factor / 2) * 2)


def video_work(stream: StreamFacts, recipe: VideoRecipe, options: Mapping[str, Any], *, plain: bool = False) -> VideoWork:
    """How `stream` is encoded by `recipe`. `plain`: neither codec nor container can say that pixels are not square, or mirrored."""
    filters: list[tuple[str, str]] = []
    changes: list[str] = []
    if stream.interlaced:
        filters.append(("bwdif", "mode=send_frame:parity=auto:deint=interlaced"))
        changes.append("interlaced pictures are deinterlaced")
    to_standard = recipe.standard_range_only and is_hdr(stream)
    if to_standard:
        filters.append(("scale", "out_primaries=bt709:out_transfer=bt709:out_color_matrix=bt709:out_range=tv:intent=perceptual"))
        changes.append("HDR becomes standard range, which every browser shows")
    width, height = target_size(stream, recipe, options)
    if (width, height) != (stream.width, stream.height):
        filters.append(("scale", f"w={width}:h={height}:flags={SCALING}"))
        changes.append(f"{stream.width}x{stream.height} is scaled to {width}x{height}")
    aspect = stream.sample_aspect
    if plain and aspect is not None and aspect[0] and aspect[0] != aspect[1]:
        width, height = _squared(width, height, Fraction(*aspect), keep_height="height" in options)
        filters += [("scale", f"w={width}:h={height}:flags={SCALING}"), ("setsar", "1")]
        changes.append(f"pixels of {aspect[0]}:{aspect[1]} become square ones, {width}x{height}: the picture keeps its shape")
        aspect = (1, 1)
    matrix = stream.matrix
    if plain and matrix is not None and matrix[0] * matrix[4] - matrix[1] * matrix[3] < 0:
        filters.append(("hflip", ""))
        changes.append("the mirrored picture is stored as it is seen")
        matrix = _unmirrored(matrix)
    pix_fmt, chroma = _format(stream, recipe, filters, changes)
    halves_width, halves_height = chroma in ("420", "422") and not recipe.odd_sizes, chroma in ("420", "440") and not recipe.odd_sizes
    padded_width, padded_height = _even(width, halves_width), _even(height, halves_height)
    if (padded_width, padded_height) != (width, height):
        right, bottom = padded_width - width, padded_height - height
        filters.append(("pad", f"w={padded_width}:h={padded_height}:x=0:y=0"))
        filters.append(("fillborders", f"right={right}:bottom={bottom}:mode=smear"))
        changes.append(f"{width}x{height} gets its last column or row twice, since encoders want even sizes")
    if stream.alpha:
        changes.append("transparency is lost")
    primaries, transfer, coefficients, colours = _colours(stream, to_standard)
    return VideoWork(
        encoder=recipe.encoder,
        crf=float(options.get("crf", recipe.crf)),
        preset=recipe.preset,
        width=padded_width,
        height=padded_height,
        pix_fmt=pix_fmt,
        filters=tuple(filters),
        changes=tuple(changes),
        params=() if to_standard else tuple(_static_hdr(stream, recipe)),
        params_option=recipe.params_option,
        rate=stream.rate,
        sample_aspect=aspect,
        matrix=matrix,
        primaries=primaries,
        transfer=transfer,
        colour_matrix=coefficients,
        colour_range=colours,
        chroma_location=stream.chroma_location if (stream.chroma, chroma) == ("420", "420") else None,
    )


def _squared(width: int, height: int, aspect: Fraction, *, keep_height: bool) -> tuple[int, int]:
    """The size with square pixels: the shorter of both directions grows, so that no detail goes; the height stays if it was asked for."""
    if aspect > 1 or keep_height:
        return max(2, round(width * aspect / 2) * 2), height
    return width, max(2, round(height / aspect / 2) * 2)


def _unmirrored(matrix: tuple[int, ...]) -> tuple[int, ...] | None:
    """What is left to be turned when the stored picture has been flipped from left to right; None if nothing is."""
    turned = (-matrix[0], -matrix[1], 0, *matrix[3:])
    return None if turned[:5] == (65536, 0, 0, 0, 65536) else turned


def _even(length: int, needed: bool) -> int:
    return length + length % 2 if needed else length


def _format(stream: StreamFacts, recipe: VideoRecipe, filters: list[tuple[str, str]], changes: list[str]) -> tuple[str, str]:
    """Pixel format and chroma of the result; adds the filter for RGB and what changes in words."""
    depth = next((d for d in recipe.depths if d >= (stream.depth or 8)), recipe.depths[-1])
    chroma = stream.chroma if stream.chroma in recipe.chromas else _nearest(stream.chroma, recipe)
    if stream.chroma == "rgb":
        where = "bt709" if (stream.height or 0) >= HIGH_DEFINITION else "smpte170m"
        filters.append(("scale", f"out_color_matrix={where}:out_range=tv"))
        changes.append("RGB becomes YUV 4:2:0, which players expect")
    elif chroma != stream.chroma and stream.chroma != "400":
        changes.append(f"chroma {stream.chroma} becomes {chroma}")
    if depth < (stream.depth or 8):
        changes.append(f"{stream.depth} bits become {depth}")
    if (stream.pix_fmt or "").startswith("yuvj") and depth == 8 and not recipe.standard_range_only:
        if recipe.full_range_by_format:
            return f"yuvj{chroma}p", chroma
        filters.append(("scale", "in_range=pc:out_range=pc"))
    return f"yuv{chroma}p" + ("" if depth == 8 else f"{depth}le"), chroma


def _nearest(chroma: str | None, recipe: VideoRecipe) -> str:
    """The chroma for what the encoder does not take as it is: grey, RGB and rare ones become 4:2:0, 4:4:0 stays rich if it can."""
    return "444" if chroma == "440" and "444" in recipe.chromas else recipe.chromas[0]


def _colours(stream: StreamFacts, to_standard: bool) -> tuple[int, int, int, int]:
    """Primaries, transfer, matrix and range of the result."""
    if to_standard:
        return BT709, BT709, BT709, LIMITED
    matrix = stream.colour_matrix if stream.colour_matrix is not None else UNSPECIFIED
    colours = stream.colour_range or 0
    if stream.chroma == "rgb":
        matrix, colours = (BT709 if (stream.height or 0) >= HIGH_DEFINITION else SMPTE170M), LIMITED
    elif (stream.pix_fmt or "").startswith("yuvj"):
        colours = FULL
    primaries = stream.primaries if stream.primaries is not None else UNSPECIFIED
    transfer = stream.transfer if stream.transfer is not None else UNSPECIFIED
    return primaries, transfer, matrix, colours


def _static_hdr(stream: StreamFacts, recipe: VideoRecipe) -> list[tuple[str, str]]:
    """Mastering display and light level as parameters of the encoder; PyAV drops them otherwise."""
    names = _HDR_PARAMETERS.get(recipe.encoder)
    found: list[tuple[str, str]] = []
    if names is None:
        return found
    if stream.mastering is not None:
        found.append((names[0], _in_real_units(stream.mastering) if recipe.encoder == "libsvtav1" else stream.mastering))
    if stream.light_level is not None:
        found.append((names[1], stream.light_level))
    if found and recipe.encoder == "libx265":
        found.append(("hdr10", "1"))
    return found


def _in_real_units(mastering: str) -> str:
    """A mastering display in 0..1 and cd/m2, as SVT-AV1 takes it, from steps of 0.00002 and 0.0001."""
    places, _, light = mastering.partition("L")
    parts = [
        re.sub(r"\d+", lambda number: f"{int(number[0]) / 50000:.5f}", places),
        re.sub(r"\d+", lambda n: f"{int(n[0]) / 10000:.4f}", light),
    ]
    return "L".join(parts)
