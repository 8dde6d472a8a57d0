"""What a worker makes beside a result, for eyes: facts, poster, sprite, waveform; described by facts.json in the item's out/.

Plain values that convert/ writes and the server reads, and believes only as far as they fit. A product is never the reason why an
item fails, and nothing else rests on it: a missing or broken facts.json means that there is nothing to show.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

FACTS_FILE = "facts.json"
MOST_BYTES = 64 * 1024
"""Longest facts.json that is read."""

_PLAIN = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)
_Word = Field(default=None, max_length=64)


class Facts(BaseModel):
    """What people want to know of a file at a glance: of the result, or of the original where that is kept.

    `width` and `height` are those of the upright picture as it is shown. `recorded_at` is ISO 8601, without an offset where the
    camera told none. `placeholder` is a WebP data URI, at most 16 pixels wide and high.
    """

    model_config = _PLAIN
    duration_s: float | None = Field(default=None, ge=0)
    width: int | None = Field(default=None, ge=0)
    height: int | None = Field(default=None, ge=0)
    video_codec: str | None = _Word
    audio_codec: str | None = _Word
    container: str | None = _Word
    recorded_at: str | None = _Word
    latitude: float | None = Field(default=None, ge=-90, le=90)
    longitude: float | None = Field(default=None, ge=-180, le=180)
    placeholder: str | None = Field(default=None, max_length=4096, pattern=r"^data:image/webp;base64,[A-Za-z0-9+/]+=*$")


class Preview(BaseModel):
    """A picture in out/: its bytes and SHA-512, and its size in pixels."""

    model_config = _PLAIN
    file_name: Literal["poster.webp", "sprite.webp", "waveform.webp"]
    file_size: int = Field(gt=0)
    sha512_checksum: str = Field(pattern=r"^[0-9a-f]{128}$")
    width: int = Field(gt=0)
    height: int = Field(gt=0)


class Sprite(Preview):
    """Frames of a video side by side in one picture, row by row; `width` and `height` are those of one frame."""

    columns: int = Field(gt=0)
    rows: int = Field(gt=0)
    frames: int = Field(gt=0)


class SpriteView(BaseModel):
    """A sprite as the outside sees it."""

    model_config = _PLAIN
    url: str
    columns: int
    rows: int
    frames: int
    width: int
    height: int


class PreviewsView(BaseModel):
    """The pictures of an item, for its views. What a URL names never changes: it carries a part of the digest."""

    model_config = _PLAIN
    poster_url: str | None = None
    sprite: SpriteView | None = None
    waveform_url: str | None = None


class Products(BaseModel):
    """facts.json. `notes` says in words what could not be made, and why."""

    model_config = _PLAIN
    schema_: Literal["dmc.facts/1"] = Field(default="dmc.facts/1", alias="schema")
    facts: Facts = Facts()
    poster: Preview | None = None
    sprite: Sprite | None = None
    waveform: Preview | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: bytes) -> Self | None:
        """The products that a facts.json tells of; None if it makes no sense."""
        try:
            return cls.model_validate_json(text) if len(text) <= MOST_BYTES else None
        except ValidationError:
            return None

    def shown(self, here: str) -> PreviewsView:
        """The previews as the outside sees them; `here` is the item's URL."""
        sprite = self.sprite
        grid = {} if sprite is None else sprite.model_dump(include={"columns", "rows", "frames", "width", "height"})
        return PreviewsView(
            poster_url=_url(here, "poster", self.poster),
            sprite=None if sprite is None else SpriteView(url=_url(here, "sprite", sprite) or "", **grid),
            waveform_url=_url(here, "waveform", self.waveform),
        )


def _url(here: str, name: str, preview: Preview | None) -> str | None:
    return None if preview is None else f"{here}/{name}?v={preview.sha512_checksum[:16]}"
