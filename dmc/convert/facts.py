"""Facts about a file: streams, times, tags, and which medium it is, as plain values that survive JSON.

Made by probe.py and pictures.py, read by plan.py; a plan can be made and shown from facts alone, without the file.
"""

import re
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from typing import Any, Self

from dmc.conversions import MediaType


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """One stream as the container and its decoder state it; numbers are None where nothing says them.

    `type` is video, audio, subtitle, attachment, data or unknown. `codec` is FFmpeg's name or None when nothing here knows it.
    `cover` marks an attached picture. Times are seconds on the container's clock. `matrix` are the nine numbers of the display matrix.
    `chroma_location` (`left`, `topleft` …) is that of 4:2:0 pictures.
    """

    index: int
    type: str
    codec: str | None
    decodable: bool = True
    empty: bool = False
    profile: str | None = None
    tag: str = ""
    cover: bool = False
    dispositions: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    start_s: float | None = None
    duration_s: float | None = None
    time_base: tuple[int, int] | None = None
    bit_rate: int | None = None
    packets: int = 0
    width: int | None = None
    height: int | None = None
    pix_fmt: str | None = None
    depth: int | None = None
    chroma: str | None = None
    rate: tuple[int, int] | None = None
    sample_aspect: tuple[int, int] | None = None
    matrix: tuple[int, ...] | None = None
    interlaced: bool = False
    primaries: int | None = None
    transfer: int | None = None
    colour_matrix: int | None = None
    colour_range: int | None = None
    mastering: str | None = None
    light_level: str | None = None
    dynamic_hdr: str | None = None
    alpha: bool = False
    chroma_location: str | None = None
    sample_rate: int | None = None
    channels: int | None = None
    layout: str | None = None
    sample_format: str | None = None
    mimetype: str | None = None
    file_name: str | None = None

    def having(self, **fields: Any) -> Self:
        """These facts with `fields` replaced."""
        return replace(self, **fields)

    @property
    def language(self) -> str | None:
        return self.tags.get("language")


@dataclass(frozen=True, slots=True)
class ChapterFacts:
    """One chapter; times in seconds."""

    start_s: float
    end_s: float
    title: str = ""


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """What is in a file. `index_first`: an MP4 that can be played while it loads. `warnings`: what shows that it is not whole (ends.py).

    From `width` to `has_alpha` it is about pictures only: `frames` is 1 for a still, sizes are those before orientation is applied.
    When and where it was recorded: see origin.py.
    """

    media_type: MediaType
    container: str
    file_size: int
    duration_s: float | None = None
    start_s: float | None = None
    streams: tuple[StreamFacts, ...] = ()
    chapters: tuple[ChapterFacts, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    index_first: bool = False
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    mode: str | None = None
    orientation: int | None = None
    has_icc: bool = False
    has_exif: bool = False
    has_xmp: bool = False
    has_alpha: bool = False
    recorded_at: str | None = None
    latitude: float | None = None
    longitude: float | None = None

    @property
    def shift(self) -> Fraction:
        """How far its clock is ahead of 0, in seconds."""
        return Fraction(round((self.start_s or 0.0) * 1_000_000), 1_000_000)

    def to_plain(self) -> dict[str, Any]:
        """JSON-able values, for `dmc probe`."""
        return asdict(self)


def playing_s(facts: MediaFacts) -> float | None:
    """Seconds of the longest picture or sound: subtitles that last longer make no film longer. Matroska tells a stream's end in a tag."""
    played = [_length_of(stream) for stream in facts.streams if stream.type in ("video", "audio") and not stream.cover]
    known = [length for length in played if length is not None]
    return max(known) if known and len(known) == len(played) else facts.duration_s


def _length_of(stream: StreamFacts) -> float | None:
    clock = re.fullmatch(r"(\d+):(\d{2}):(\d{2}(?:\.\d+)?)", stream.tags.get("DURATION", ""))
    if stream.duration_s is None and clock is not None:
        return int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3])
    return stream.duration_s
