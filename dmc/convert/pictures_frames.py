"""The frames of a picture as they shall be written: upright, in the target's colours, one at a time.

A long animation never stands in memory as a whole because of this file; what Pillow's writers keep is theirs.
"""

import hashlib
import io
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from PIL import Image, ImageCms

from dmc.convert.pictures_plan import PicturePlan

Tick = Callable[[int], None]
"""Called with the number of a frame that was just worked on."""

Sketch = Callable[[Image.Image], Image.Image]

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """One frame: how long it is shown (milliseconds), whether it lets anything through, and a digest of what one sees.

    `sketch` is what one sees from afar, where that was asked for.
    """

    delay_ms: float
    alpha: bool
    digest: bytes
    sketch: Image.Image | None = None


def upright(picture: Image.Image, orientation: int) -> Image.Image:
    """`picture` turned (and mirrored) as an orientation of 1 to 8 says."""
    turn = _TURNS.get(orientation)
    return picture if turn is None else picture.transpose(turn)


def survey(
    picture: Image.Image, first: int, orientation: int, tick: Tick, *, digests: bool, sketch: Sketch | None = None
) -> Iterator[FrameFacts]:
    """Decode every frame from number `first` on; `digests`: also what one sees of it, `sketch`: also from afar."""
    for number in range(first, int(getattr(picture, "n_frames", 1))):
        picture.seek(number)
        picture.load()
        delay = float(picture.info.get("duration", 0) or 0)
        turned = upright(picture, orientation)
        yield FrameFacts(delay, shows_through(picture), digest(turned) if digests else b"", sketch(turned) if sketch else None)
        tick(number)


def shows_through(picture: Image.Image) -> bool:
    """Whether any pixel is less than opaque; that there is an alpha channel says nothing yet."""
    if not picture.has_transparency_data:
        return False
    lowest = picture.convert("RGBA").getchannel("A").getextrema()[0]
    return isinstance(lowest, int | float) and lowest < 255


def digest(picture: Image.Image) -> bytes:
    """A digest of what one sees: size and colours, those of wholly transparent pixels left aside."""
    if picture.mode == "I;16":
        seen = picture.tobytes()
    else:
        rgba = picture.convert("RGBA")
        shown = rgba.getchannel("A").point([0] + [255] * 255)
        seen = Image.composite(rgba, Image.new("RGBA", rgba.size), shown).tobytes()
    return hashlib.blake2b(b"%d %d " % picture.size + seen, digest_size=16).digest()


def in_colours(picture: Image.Image, plan: PicturePlan, icc: bytes | None) -> Image.Image:
    """`picture` in the plan's mode; colours of print go through their profile to sRGB where there is one."""
    mode, opaque = plan.mode, not plan.target.alpha
    if picture.mode == mode == "P" and _points_beyond_its_palette(picture):
        return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    if picture.mode == mode and not (opaque and picture.has_transparency_data):
        return picture
    if picture.mode.startswith("I"):
        return from_deep(picture, mode)
    if opaque and picture.has_transparency_data:
        picture = _onto_white(picture)
    if uses_profile(picture.mode, icc):
        return _by_profile(picture, icc or b"", mode)
    return picture if picture.mode == mode else picture.convert(mode)


def _points_beyond_its_palette(picture: Image.Image) -> bool:
    """Sloppy GIFs do; they are shown black there, while a PNG with fewer bits per pixel would show something else."""
    highest = picture.getextrema()[1]
    return isinstance(highest, int | float) and highest >= len(picture.getpalette() or ()) // 3


def uses_profile(mode: str, icc: bytes | None) -> bool:
    """Whether a picture's colours are converted by its own profile: when they are not RGB or grey to begin with."""
    return mode in ("CMYK", "LAB") and icc is not None and icc[16:20] in (b"CMYK", b"Lab ")


def _by_profile(picture: Image.Image, icc: bytes, mode: str) -> Image.Image:
    source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    made = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    if made is None:
        raise ValueError("its colour profile cannot be used")
    return made if mode == "RGB" else made.convert(mode)


def from_deep(picture: Image.Image, mode: str) -> Image.Image:
    """Grey of 16 or 32 bits. Scaled by its upper bits where the result has 8: Pillow's own conversion would clip."""
    whole = picture if picture.mode == "I" else picture.convert("I")
    low, high = (float(bound) for bound in whole.getextrema()[:2])  # type: ignore[arg-type]
    if low < 0 or high > 65535:
        raise ValueError("its samples have more than 16 bits")
    if mode == "I;16":
        return picture if picture.mode == "I;16" else whole.convert("I;16")
    grey = whole.point(lambda value: value * (1 / 256)).convert("L")
    return grey if mode == "L" else grey.convert(mode)


def _onto_white(picture: Image.Image) -> Image.Image:
    rgba = picture.convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, rgba).convert("RGB")


class Rest:
    """Frames after the first, each made when Pillow's writer asks for it. Has the few attributes that those writers use."""

    def __init__(self, picture: Image.Image, first: int, make: Callable[[Image.Image], Image.Image], tick: Tick) -> None:
        self._picture = picture
        self._first = first
        self._make = make
        self._tick = tick
        self._frame: Image.Image | None = None
        self.n_frames = int(getattr(picture, "n_frames", 1)) - first

    def seek(self, number: int) -> None:
        if number >= self.n_frames:
            raise EOFError("no more frames")
        self._picture.seek(self._first + number)
        self._picture.load()
        self._frame = self._make(self._picture)
        self._tick(self._first + number)

    def __getattr__(self, name: str) -> Any:
        if self._frame is None:
            self.seek(0)
        return getattr(self._frame, name)


class Ticking(io.BytesIO):
    """A file that tells of each write; not one with a descriptor, so that Pillow writes through it."""

    def __init__(self, file: BinaryIO, tick: Callable[[], None]) -> None:
        super().__init__()
        self._file = file
        self._tick = tick

    def write(self, data: Any) -> int:
        self._tick()
        return self._file.write(data)

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


def delays(frames: list[FrameFacts], plan: PicturePlan) -> list[float] | list[int]:
    """How long each frame is shown; AVIF takes whole milliseconds, so there the clock of the whole is rounded, not each step."""
    if plan.target.name != "avif":
        return [frame.delay_ms for frame in frames]
    ends = [round(end) for end in itertools.accumulate(frame.delay_ms for frame in frames)]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]
