"""Decisions about pictures, pure: whether anything is to be done at all, and in which colours, depth and number the result is written.

Choices, all in one place. Upright: pixels are turned as EXIF says, and the tag is set to 1, so that a viewer that does not know
the tag shows it right and nothing is turned twice. WebP: lossless for pictures with a palette (drawings, screens, GIFs), where
that is also smaller; else quality 82. AVIF: quality 70.
JPEG: quality 90, 4:2:0, progressive; transparency onto white. PNG: nothing is lost.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dmc.convert.facts import MediaFacts
from dmc.convert.receipt import MetadataEntry
from dmc.errors import TooLarge, Unsupported


@dataclass(frozen=True, slots=True)
class Target:
    """A picture format to write. `longest` is the largest side it can hold; `modes` are Pillow's modes it takes as they are."""

    name: str
    title: str
    pillow: str
    extension: str
    modes: frozenset[str]
    animation: bool
    alpha: bool
    longest: int
    settings: Mapping[str, Any]


_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
TARGETS: Mapping[str, Target] = {
    "webp": Target("webp", "WebP", "WEBP", ".webp", frozenset({"RGB", "RGBA"}), True, True, 16383, {"quality": 82, "method": 4}),
    "avif": Target(
        "avif", "AVIF", "AVIF", ".avif", frozenset({"RGB", "RGBA"}), True, True, 65535, {"quality": 70, "speed": 6, "subsampling": "4:2:0"}
    ),
    "png": Target("png", "PNG", "PNG", ".png", _PNG_MODES, True, True, (1 << 31) - 1, {"optimize": True}),
    "jpeg": Target(
        "jpeg",
        "JPEG",
        "JPEG",
        ".jpg",
        frozenset({"L", "RGB"}),
        False,
        False,
        65500,
        {"quality": 90, "subsampling": "4:2:0", "optimize": True, "progressive": True},
    ),
}


@dataclass(frozen=True, slots=True)
class Source:
    """What the decisions need of a picture.

    `depth` is bits per sample, `alpha` whether any frame lets anything through, `frames` those that follow each other in time,
    `plays` how often (0: for ever), `extra_pictures` others in the file (pages, previews).
    """

    mode: str
    depth: int
    alpha: bool
    frames: int
    plays: int
    extra_pictures: int
    size: tuple[int, int]
    has_icc: bool


@dataclass(frozen=True, slots=True)
class PicturePlan:
    """How the result is written: mode, number of frames, without loss or not; and what of the source that changes."""

    target: Target
    mode: str
    frames: int
    lossless: bool
    entries: tuple[MetadataEntry, ...]


def plan_picture(facts: MediaFacts, conversion_type: str, options: Mapping[str, Any]) -> str | None:
    """Why nothing is to be done, in words; None if the picture is to be converted."""
    if options.get("strip_location") and (facts.has_exif or facts.has_xmp or "IPTC" in facts.tags or facts.container == "png"):
        return None  # The texts of a PNG may stand behind its pixels: whether they name a place is not known before.
    target = TARGETS[conversion_type]
    return f"already {target.title}" if facts.container == target.name else None


def decide(source: Source, conversion_type: str, label: str) -> PicturePlan:
    """How to write the result; raises Unsupported or TooLarge where the format cannot hold it."""
    target = TARGETS[conversion_type]
    if max(source.size) > target.longest:
        hint = "Choose png, which has no such limit."
        raise TooLarge(f"{label} is {max(source.size)} pixels long; {target.title} holds at most {target.longest}.", hint)
    mode = _mode(source, target, label)
    lossless = target.name == "png" or (target.name == "webp" and source.mode in ("1", "P"))
    frames = source.frames if target.animation else 1
    return PicturePlan(target, mode, frames, lossless, tuple(_entries(source, target, mode)))


def _mode(source: Source, target: Target, label: str) -> str:
    if source.mode == "F":
        raise Unsupported(
            f"{label} holds floating-point samples, which {target.title} cannot.", "Convert it with the program that made it."
        )
    if source.frames > 1 and target.animation:
        return "RGBA" if source.alpha else "RGB"
    if source.mode in target.modes:
        return source.mode
    deep = source.mode.startswith("I")
    if target.name == "png" and deep:
        return "I;16"
    grey = source.mode in ("1", "L", "LA", "La") or deep
    if not target.alpha:
        return "L" if grey and "L" in target.modes else "RGB"
    return "RGBA" if source.alpha else "RGB"


def _entries(source: Source, target: Target, mode: str) -> list[MetadataEntry]:
    """What changes by the format alone."""
    found = []
    if source.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        how = "by its colour profile" if source.has_icc else "without a colour profile"
        found.append(MetadataEntry(kind="colours", outcome="changed", detail=f"{source.mode} became RGB, {how}"))
    kept_depth = 16 if mode == "I;16" else 8
    if source.depth > kept_depth:
        # PNG could hold them, so there it is a loss; the other two are formats of 8 bits.
        detail = f"{source.depth} bits per sample became {kept_depth}" + (": no more can be read here" if target.name == "png" else "")
        found.append(MetadataEntry(kind="depth", outcome="lost" if target.name == "png" else "changed", detail=detail))
    if source.alpha:
        if target.alpha:
            found.append(MetadataEntry(kind="transparency", outcome="kept"))
        else:
            found.append(MetadataEntry(kind="transparency", outcome="changed", detail=f"{target.title} has none: put onto white"))
    if source.frames > 1 and not target.animation:
        detail = f"{source.frames - 1} of {source.frames} frames: {target.title} holds one"
        found.append(MetadataEntry(kind="animation", outcome="lost", detail=detail))
    if source.frames > 1 and target.name == "avif" and source.plays != 0:
        found.append(MetadataEntry(kind="repetitions", outcome="lost", detail=f"it plays {source.plays} times; AVIF cannot say it here"))
    if source.extra_pictures:
        detail = f"{source.extra_pictures} more in the file, such as pages, previews or a stand-in for the animation"
        found.append(MetadataEntry(kind="further pictures", outcome="lost", detail=detail))
    return found
