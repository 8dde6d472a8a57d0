"""A small copy of a large picture, in the colours of screens: for posters and placeholders. Pure."""

import io

from PIL import Image, ImageCms

from dmc.convert.pictures_frames import from_deep, uses_profile


def small(picture: Image.Image, box: int, icc: bytes | None) -> Image.Image:
    """At most `box` pixels across and down, RGB or RGBA in sRGB, made quickly. `picture` is loaded and stays as it is.

    `icc` is the profile of its colours.
    """
    made = reduced(picture, box)
    made = made.copy() if made is picture else made
    made.thumbnail((box, box), Image.Resampling.BILINEAR)
    return _for_screens(made, icc)


def reduced(picture: Image.Image, box: int) -> Image.Image:
    """About as small, in a mode in which pixels can be averaged; from 1 to 2 times `box`, or the picture itself if it is not larger."""
    whole = _simple(picture)
    factor = max(picture.size) // box
    return whole.reduce(factor) if factor > 1 else whole


def _simple(picture: Image.Image) -> Image.Image:
    """In a mode in which pixels can be averaged."""
    if picture.mode.startswith("I"):
        return from_deep(picture, "L")
    if picture.mode == "F":
        low, high = (float(bound) for bound in picture.getextrema()[:2])  # type: ignore[arg-type]
        return picture.point(lambda value: value * (255 / (high - low or 1)) - low * 255 / (high - low or 1)).convert("L")
    if picture.has_transparency_data:
        return picture if picture.mode == "RGBA" else picture.convert("RGBA")
    return picture if picture.mode in ("RGB", "L", "CMYK", "LAB") else picture.convert("RGB")


def _for_screens(picture: Image.Image, icc: bytes | None) -> Image.Image:
    if icc is not None and (picture.mode in ("RGB", "RGBA") or uses_profile(picture.mode, icc)):
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        if picture.mode not in ("RGB", "RGBA") or "srgb" not in ImageCms.getProfileDescription(profile).lower():
            mode = picture.mode if picture.mode == "RGBA" else "RGB"
            made = ImageCms.profileToProfile(picture, profile, ImageCms.createProfile("sRGB"), outputMode=mode)
            picture = picture if made is None else made
    return picture if picture.mode in ("RGB", "RGBA") else picture.convert("RGB")
