"""Is the result what the source was? Decodes every frame of it and compares: sizes, times, and pixels.

Where the format loses nothing, what one sees must be equal; elsewhere a rough likeness is asked for of each frame, against gross faults.
A frame that repeats the one before may have been written as one frame shown longer: that is the same film.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image, ImageChops, ImageStat

from dmc.convert.gallery import BOX
from dmc.convert.limits import Limits
from dmc.convert.pictures_frames import FrameFacts
from dmc.convert.pictures_open import frame_count, open_picture
from dmc.convert.pictures_small import reduced
from dmc.errors import DamagedMedia, VerificationFailed

Show = Callable[[Image.Image, tuple[int, int], bytes | None], None]
"""Gets the first frame of a result, upright and reduced, how large it really is, and the ICC profile of its colours."""

_UNLIKE = 40.0
"""Largest mean distance of brightness (0 to 255) between thumbnails of source and result, of the whole and of any part.

Noise, hard lines and pure colours in the smallest details come to 20 in a part, what follows a broken byte mostly to more than 60.
"""

_NEAR = BOX
"""Pixels, across and down, of what is looked at from afar: so the poster is drawn from the same."""

_ACROSS = 64
_ROUGHLY = 16
"""Pixels, across or down, of a sketch at least."""

_PART = 8
"""Pixels of the result, across and down, that a part has at least."""

_ROUNDING_MS = 1.0


def damage_of(path: Path, limits: Limits, label: str, tick: Callable[[], None]) -> str | None:
    """What is wrong with a picture that stays as it is, in words; None if all of it can be decoded. `tick` hears of each frame."""
    try:
        with open_picture(path, limits, label) as picture:
            for number in range(frame_count(picture)):
                picture.seek(number)
                picture.load()
                tick()
    except DamagedMedia as problem:
        return problem.message.rstrip(".")
    return None


def check_frames(source: Sequence[FrameFacts], result: Sequence[FrameFacts], *, pixels: bool) -> int:
    """How many of the source's frames were merged with the one before; raises VerificationFailed.

    `pixels`: what one sees of each frame must be equal.
    """
    position, clock_source, clock_result = 0, 0.0, 0.0
    for number, frame in enumerate(result):
        if position >= len(source):
            raise VerificationFailed(f"the result has {len(result)} frames, the source {len(source)}.")
        if pixels and frame.digest != source[position].digest:
            raise VerificationFailed(f"frame {number + 1} of the result does not show what the source shows.")
        if _unlike(frame.sketch, source[position].sketch):
            raise VerificationFailed(f"frame {number + 1} of the result does not look like the source's.")
        clock_result += frame.delay_ms
        clock_source += source[position].delay_ms
        position += 1
        while _repeats(source, position) and (
            clock_result - clock_source > _ROUNDING_MS
            or (source[position].delay_ms == 0 and len(source) - position > len(result) - number - 1)
            or number == len(result) - 1
        ):
            clock_source += source[position].delay_ms
            position += 1
        if len(source) > 1 and abs(clock_result - clock_source) > _ROUNDING_MS:
            raise VerificationFailed(f"frame {number + 1} of the result ends at {clock_result:.0f} ms instead of {clock_source:.0f} ms.")
    if position != len(source):
        raise VerificationFailed(f"the result has {len(result)} frames, the source {len(source)}.")
    return len(source) - len(result)


def _repeats(frames: Sequence[FrameFacts], number: int) -> bool:
    return 0 < number < len(frames) and frames[number].digest == frames[number - 1].digest


def sketch(picture: Image.Image) -> Image.Image:
    """The brightness of a frame, part by part, 31 of them across and down at most: small enough to keep those of thousands of frames."""
    made = _from_afar(reduced(picture, _ROUGHLY))
    return made.reduce((-(-_PART * made.width // picture.width), -(-_PART * made.height // picture.height)))


def _unlike(one: Image.Image | None, other: Image.Image | None) -> bool:
    """Do two sketches show different things? Where there is none nothing is said."""
    if one is None or other is None:
        return False
    return one.size != other.size or _highest(ImageChops.difference(one, other)) > _UNLIKE


def check_likeness(source: Image.Image, result: Image.Image, show: Show | None = None) -> None:
    """Raise VerificationFailed when two pictures are not alike even from afar; `show` gets the result.

    Neither as a whole nor in any part: one that is broken from some row on is alike on the whole, most of the time.
    """
    if source.size != result.size:
        raise VerificationFailed(f"the result is {result.width} × {result.height} instead of {source.width} × {source.height}.")
    near = reduced(result, _NEAR)
    if show is not None:
        show(near, result.size, result.info.get("icc_profile"))
    distance = ImageChops.difference(_from_afar(reduced(source, _NEAR)), _from_afar(near))
    across, down = _cell(near)
    part = -(-_PART * near.width // (across * result.width)), -(-_PART * near.height // (down * result.height))
    if ImageStat.Stat(distance).mean[0] > _UNLIKE or _highest(distance.reduce(part)) > _UNLIKE:
        raise VerificationFailed("the result does not look like the source.")


def _highest(picture: Image.Image) -> float:
    return float(ImageStat.Stat(picture).extrema[0][1])


def _cell(picture: Image.Image) -> tuple[int, int]:
    """How many pixels become one, across and down, so that 64 to 127 are left."""
    return max(1, picture.width // _ACROSS), max(1, picture.height // _ACROSS)


def _from_afar(picture: Image.Image) -> Image.Image:
    """Its brightness, one pixel for each cell; every pixel has a part in it."""
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", rgba.size, (255, 255, 255, 255)), rgba)
    plain = picture if picture.mode in ("RGB", "RGBA", "L") else picture.convert("RGB")
    return plain.reduce(_cell(plain)).convert("L")
