"""Collects what previews are drawn from, while a file is decoded for another reason: some pictures of it, and how loud it is.

It needs no length in advance, since headers lie: what is collected is thinned out as the file turns out to be longer. Costs one small
picture every few seconds, and a look at a part of the samples. Whatever goes wrong here is noted and never raised.
"""

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from av.audio.frame import AudioFrame
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from PIL import Image, ImageCms

from dmc.convert.decoder import time_of
from dmc.convert.media import Decoded
from dmc.convert.pictures_open import BAD_DATA
from dmc.convert.pictures_small import small
from dmc.errors import Cancelled, DmcError

BOX = 320
"""Pixels, across and down, that a poster may have at most."""

MOST_SHOTS = 40
"""Pictures of a video kept while it goes by; then every other one is let go."""

BARS = 640
_FIRST_GAP_S = 0.1
_FIRST_BAR_S = 0.002
_LOOKED_AT = 160
"""Samples of a window that are looked at."""

_SAMPLES: dict[str, tuple[Literal["B", "h", "i", "q", "f", "d"], float]] = {
    "u8": ("B", 128.0),
    "s16": ("h", 2.0**15),
    "s32": ("i", 2.0**31),
    "s64": ("q", 2.0**63),
    "flt": ("f", 1.0),
    "dbl": ("d", 1.0),
}
"""By format: how a sample is read from memory, and what full scale is."""

FAULTS = (*BAD_DATA, OSError, AttributeError, MemoryError, ArithmeticError, BufferError, ImageCms.PyCMSError, DmcError)
"""What drawing a preview may raise; nothing of it is worth failing an item for."""


@dataclass(slots=True)
class Shots:
    """Pictures with their times in seconds, at least `gap_s` apart; never more than MOST_SHOTS."""

    gap_s: float = _FIRST_GAP_S
    taken: list[tuple[float, Image.Image]] = field(default_factory=list)

    def wants(self, at_s: float) -> bool:
        return not self.taken or at_s >= self.taken[-1][0] + self.gap_s

    def take(self, at_s: float, picture: Image.Image) -> None:
        self.taken.append((at_s, picture))
        if len(self.taken) > MOST_SHOTS:
            self.taken = self.taken[::2]
            self.gap_s *= 2


@dataclass(slots=True)
class Wave:
    """The loudest sample (0 to 1) in each stretch of `bar_s` seconds; at most twice BARS of them, then two become one."""

    bar_s: float = _FIRST_BAR_S
    start_s: float | None = None
    bars: list[float] = field(default_factory=list)

    def hear(self, at_s: float, length_s: float, peak: float) -> None:
        """From `at_s` on nothing was louder than `peak` for `length_s`; every bar that this touches knows it."""
        self.start_s = at_s if self.start_s is None else self.start_s
        while (at_s + length_s - self.start_s) / self.bar_s >= 2 * BARS:
            pairs = [*self.bars, *([0.0] * (len(self.bars) % 2))]
            self.bars = [max(pairs[n], pairs[n + 1]) for n in range(0, len(pairs), 2)]
            self.bar_s *= 2
        first = max(0, int((at_s - self.start_s) / self.bar_s))
        after = max(first + 1, math.ceil((at_s + length_s - self.start_s) / self.bar_s))
        self.bars += [0.0] * (after - len(self.bars))
        for place in range(first, after):
            self.bars[place] = max(self.bars[place], min(1.0, peak))

    def drawn(self, count: int = BARS) -> list[float]:
        """The bars as `count` columns; as many as there are, stretched, where the sound is very short."""
        if not self.bars:
            return []
        edges = [n * len(self.bars) / count for n in range(count + 1)]
        return [max(self.bars[int(low) : max(int(low) + 1, math.ceil(high))]) for low, high in itertools.pairwise(edges)]


class Gallery:
    """See the top of this file. `watch` is called with every frame, and `picture` with the first one of a still."""

    def __init__(self) -> None:
        self.shots = Shots()
        self.wave = Wave()
        self.still: Image.Image | None = None
        self.cover: Image.Image | None = None
        self.size: tuple[int, int] | None = None
        """Pixels of the still, upright."""
        self.notes: list[str] = []
        self._main: dict[str, int] = {}

    def watch(self, stream: Stream, frame: Decoded) -> None:
        """Look at a frame of the first stream of its kind; others are let pass."""
        is_cover = bool(stream.disposition & Disposition.attached_pic)
        if self._main.setdefault("cover" if is_cover else stream.type, stream.index) != stream.index or self.notes:
            return
        with self.noting("the previews"):
            if isinstance(frame, AudioFrame):
                for part in peaks(frame, self.wave.bar_s):
                    self.wave.hear(*part)
            elif is_cover:
                self.cover = self.cover or shot(frame)
            elif self.shots.wants(at := float(time_of(frame))):
                self.shots.take(at, shot(frame))

    def picture(self, picture: Image.Image, size: tuple[int, int], icc: bytes | None) -> None:
        """Keep a small one of a still of `size`, which stands upright, perhaps reduced already; `icc` is the profile of its colours."""
        with self.noting("the poster"):
            self.size = size
            self.still = small(picture, BOX, icc)

    @contextmanager
    def noting(self, what: str) -> Iterator[None]:
        """Whatever goes wrong inside is written down and over with; but a wish to stop is heard."""
        try:
            yield
        except Cancelled:
            raise
        except FAULTS as problem:
            self.notes.append(f"{what} could not be made: {problem or type(problem).__name__}")

    @property
    def is_empty(self) -> bool:
        return self.still is None and self.cover is None and not self.shots.taken and not self.wave.bars


def shot(frame: VideoFrame) -> Image.Image:
    """A small copy of `frame`, as it is stored: neither turned nor stretched."""
    scale = min(1.0, BOX / max(frame.width, frame.height, 1))
    width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    made: Image.Image = frame.to_image(width=width, height=height, interpolation="AREA")  # type: ignore[no-untyped-call]
    return made


def _as_numbers(plane: Any, code: Any) -> Any:
    return memoryview(plane).cast("B").cast(code)


def peaks(frame: AudioFrame, bar_s: float) -> Iterator[tuple[float, float, float]]:
    """Time, length and loudest sample (about 0 to 1, of those looked at) for each stretch of `frame` of about `bar_s` seconds."""
    kind, planar = frame.format.name.removesuffix("p"), frame.format.is_planar
    code, full = _SAMPLES[kind]
    step = min(frame.samples, max(256, round(bar_s * frame.sample_rate)))
    channels = 1 if planar else frame.layout.nb_channels
    views = [_as_numbers(plane, code) for plane in frame.planes]
    start = float(time_of(frame))
    for first in range(0, frame.samples, step):
        last = min(first + step, frame.samples)
        stride = max(1, (last - first) * channels // _LOOKED_AT)
        while math.gcd(stride, channels) > 1:
            stride += 1  # So that every channel of a row is looked at.
        parts = [view[first * channels : last * channels : stride] for view in views]
        loudest = max(max(max(part), -min(part)) if kind != "u8" else max(abs(value - 128) for value in part) for part in parts)
        height = loudest / full if loudest == loudest else 0.0  # A sample may be no number.
        yield start + first / frame.sample_rate, (last - first) / frame.sample_rate, height
