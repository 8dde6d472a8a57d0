"""Facts and previews of a finished item, written into out/: poster, sprite, waveform, and facts.json that tells of them.

Drawn from what gallery.py saw while the result was verified; where nothing was (the original stays), from a short look at the file:
a few pictures and sounds at even distances, not all of it. Never fails: what could not be made is noted in facts.json.
"""

import base64
import hashlib
import io
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.container import InputContainer
from av.stream import Stream
from PIL import Image, ImageDraw, ImageStat

from dmc.conversions import MediaType
from dmc.convert.decoder import Decoder, time_of
from dmc.convert.facts import MediaFacts, StreamFacts, playing_s
from dmc.convert.gallery import BARS, BOX, Gallery
from dmc.convert.limits import Limits
from dmc.convert.media import Watch, open_media, packets
from dmc.convert.pictures_frames import upright
from dmc.convert.pictures_open import open_picture, orientation_of
from dmc.convert.tone import to_standard
from dmc.products import FACTS_FILE, Facts, Preview, Products, Sprite

FRAMES, COLUMNS, TILE = 20, 5, 160
"""Of a sprite: pictures at most, pictures in a row, pixels of one across or down at most."""

PLACEHOLDER = 16
WAVE_HEIGHT = 96
_WAVE_COLOUR = (110, 130, 190, 255)
_POSTER_AT = 0.1
_DARK = 20.0
"""Mean brightness (0 to 255) up to which a picture counts as black; a title on black is above it."""

_LOOK_S = 10.0
"""Seconds that looking at an original may take."""

_WHOLE_S = 30.0
"""An original up to this length is decoded as a whole; of a longer one every part is visited."""

_VISITS = {"video": FRAMES, "audio": BARS}
_PACKETS_PER_VISIT = {"video": 12, "audio": 4}

_TURNS = {
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}
"""Orientation as in EXIF, by the signs of a display matrix (a, b, c, d)."""


def leave_products(out: Path, gallery: Gallery, file: Path, facts: MediaFacts, origin: MediaFacts, limits: Limits) -> None:
    """Write the products of `file` with `facts` into `out`; `origin` says when and where it was recorded.

    An OSError of the disk passes through: then the result has no room either.
    """
    if gallery.is_empty:
        look(gallery, file, facts, limits)
    shown = _main(facts, "video")
    turn = 1 if shown is None else orientation_by(shown.matrix)
    if shown is not None:
        with gallery.noting("standard range"):
            gallery.shots.taken = to_standard(gallery.shots.taken, shown.transfer, shown.primaries)
    made: dict[str, Any] = {}
    small: Image.Image | None = None
    with gallery.noting("the poster"):
        small = _poster(gallery, facts, shown, turn)
        if small is not None:
            made["poster"] = Preview.model_validate(_leave(out, "poster", small, quality=70, method=1))
    with gallery.noting("the sprite"):
        if facts.media_type is MediaType.VIDEO and gallery.shots.taken:
            made["sprite"] = _leave_sprite(out, gallery, shown, turn)
    with gallery.noting("the waveform"):
        if facts.media_type is MediaType.AUDIO and gallery.wave.bars:
            made["waveform"] = Preview.model_validate(_leave(out, "waveform", draw(gallery.wave.drawn()), lossless=True, method=1))
    placeholder = None
    with gallery.noting("the placeholder"):
        placeholder = None if small is None else placeholder_of(small)
    told = facts_of(facts, origin, gallery.size, placeholder)
    products = Products(facts=told, notes=tuple(gallery.notes[:8]), **made)
    (out / FACTS_FILE).write_text(products.model_dump_json(by_alias=True) + "\n", encoding="utf-8")


def facts_of(facts: MediaFacts, origin: MediaFacts, size: tuple[int, int] | None, placeholder: str | None) -> Facts:
    """What people want to know at a glance."""
    video, audio = _main(facts, "video"), _main(facts, "audio")
    width, height = size or (facts.width, facts.height)
    if video is not None:
        width, height = video.width, video.height
        if orientation_by(video.matrix) >= 5:
            width, height = height, width
    elif size is None and (facts.orientation or 1) >= 5:
        width, height = height, width
    return Facts(
        duration_s=playing_s(facts),
        width=width,
        height=height,
        video_codec=video.codec if video is not None else None,
        audio_codec=audio.codec if audio is not None else None,
        container=facts.container[:64],
        recorded_at=origin.recorded_at,
        latitude=origin.latitude,
        longitude=origin.longitude,
        placeholder=placeholder,
    )


def _main(facts: MediaFacts, kind: str) -> StreamFacts | None:
    return next((s for s in facts.streams if s.type == kind and not s.cover), None)


def orientation_by(matrix: tuple[int, ...] | None) -> int:
    """The orientation (1 to 8, as in EXIF) that a display matrix asks for; 1 for one that turns by other than right angles."""
    if matrix is None:
        return 1
    signs = tuple((part > 1 << 15) - (part < -1 << 15) for part in (matrix[0], matrix[1], matrix[3], matrix[4]))
    return _TURNS.get(signs, 1)  # type: ignore[arg-type]


# --- Drawing -----------------------------------------------------------------------------------------------------------


def _poster(gallery: Gallery, facts: MediaFacts, shown: StreamFacts | None, turn: int) -> Image.Image | None:
    """The still, the cover of a sound, or the picture nearest to a tenth of the video that is not black."""
    if facts.media_type is not MediaType.VIDEO:
        return gallery.still or gallery.cover
    if not gallery.shots.taken:
        return gallery.cover
    first, last = gallery.shots.taken[0][0], gallery.shots.taken[-1][0]
    wanted = first + _POSTER_AT * (last - first)
    by_distance = sorted(gallery.shots.taken, key=lambda shot: abs(shot[0] - wanted))
    best = next((picture for _at, picture in by_distance if not is_black(picture)), by_distance[0][1])
    return _as_shown(best, shown, turn)


def is_black(picture: Image.Image) -> bool:
    """Whether there is nothing to see on it."""
    return ImageStat.Stat(picture.convert("L")).mean[0] <= _DARK


def _as_shown(picture: Image.Image, shown: StreamFacts | None, turn: int) -> Image.Image:
    """Stretched to square pixels, and upright."""
    across, down = (shown.sample_aspect if shown is not None else None) or (1, 1)
    if across != down:
        width = picture.width * across / down
        scale = min(1.0, BOX / max(width, picture.height))
        picture = picture.resize((max(1, round(width * scale)), max(1, round(picture.height * scale))))
    return upright(picture, turn)


def _leave_sprite(out: Path, gallery: Gallery, shown: StreamFacts | None, turn: int) -> Sprite:
    taken = [picture for _at, picture in gallery.shots.taken]
    count = min(FRAMES, len(taken))
    tiles = [_as_shown(taken[n * len(taken) // count], shown, turn) for n in range(count)]
    scale = min(1.0, TILE / max(tiles[0].size))
    size = max(1, round(tiles[0].width * scale)), max(1, round(tiles[0].height * scale))
    rows = -(-count // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * size[0], rows * size[1]))
    for number, tile in enumerate(tiles):
        sheet.paste(tile.resize(size, Image.Resampling.BILINEAR), (number % COLUMNS * size[0], number // COLUMNS * size[1]))
    said = _leave(out, "sprite", sheet, quality=60, method=2)
    grid = {"columns": COLUMNS, "rows": rows, "frames": count, "width": size[0], "height": size[1]}
    return Sprite.model_validate(said | grid)


def draw(bars: list[float]) -> Image.Image:
    """A waveform on nothing, so that it stands on light and dark pages; the loudest possible sample reaches the rims."""
    picture = Image.new("RGBA", (BARS, WAVE_HEIGHT))
    pen, middle = ImageDraw.Draw(picture), (WAVE_HEIGHT - 1) / 2
    for x, bar in enumerate(bars):
        pen.line((x, round(middle - bar * middle), x, round(middle + bar * middle)), fill=_WAVE_COLOUR)
    return picture


def placeholder_of(picture: Image.Image) -> str:
    """A picture of a few pixels as a WebP data URI."""
    tiny = picture.copy()
    tiny.thumbnail((PLACEHOLDER, PLACEHOLDER))
    return f"data:image/webp;base64,{base64.b64encode(_webp(tiny, quality=50, method=0)).decode()}"


def _webp(picture: Image.Image, **settings: Any) -> bytes:
    written = io.BytesIO()
    picture.save(written, "WEBP", **settings)
    return written.getvalue()


def _leave(out: Path, name: str, picture: Image.Image, **settings: Any) -> dict[str, Any]:
    """Write a picture into `out`, and what facts.json says of it."""
    data = _webp(picture, **settings)
    (out / f"{name}.webp").write_bytes(data)
    return {
        "file_name": f"{name}.webp",
        "file_size": len(data),
        "sha512_checksum": hashlib.sha512(data).hexdigest(),
        "width": picture.width,
        "height": picture.height,
    }


# --- Looking -----------------------------------------------------------------------------------------------------------


def look(gallery: Gallery, file: Path, facts: MediaFacts, limits: Limits) -> None:
    """Fill `gallery` from a file that nobody has decoded yet, in a few seconds."""
    with gallery.noting("the previews"):
        if facts.media_type is MediaType.IMAGE:
            _look_at_picture(gallery, file, limits)
            return
        with open_media(file, limits) as container:
            _Visit(container, gallery.watch, facts, time.monotonic() + _LOOK_S).run()


def _look_at_picture(gallery: Gallery, file: Path, limits: Limits) -> None:
    with open_picture(file, limits, "the original") as picture:
        if picture.format == "JPEG":
            picture.draft(picture.mode, (2 * BOX, 2 * BOX))  # Decoded at a fraction of its size: eight times as quick.
        picture.load()
        orientation = orientation_of(picture)
        gallery.picture(picture, picture.size, picture.info.get("icc_profile"))
        gallery.size = None  # A draft's; the probe's is the real one.
        if gallery.still is not None:
            gallery.still = upright(gallery.still, orientation)


class _Visit:
    """Frames of one original at even distances: those after the key frame before each of them."""

    def __init__(self, container: InputContainer, watch: Watch, facts: MediaFacts, until: float) -> None:
        self._container = container
        self._watch = watch
        self._facts = facts
        self._until = until

    def run(self) -> None:
        kind = "video" if self._facts.media_type is MediaType.VIDEO else "audio"
        main = _main(self._facts, kind)
        if main is None:
            return
        stream = self._container.streams[main.index]
        covers = [self._container.streams[s.index] for s in self._facts.streams if s.cover and s.decodable]
        length = self._facts.duration_s
        if length is None or length <= _WHOLE_S:
            self._decode([stream, *covers])
            return
        for cover in covers[:1]:
            self._decode([cover], 1)
        start = self._facts.start_s or 0.0
        for number in range(_VISITS[kind]):
            if time.monotonic() > self._until:
                return
            at = start + (number + 0.5) * length / _VISITS[kind]
            self._container.seek(int(at * 1_000_000))
            self._decode([stream], _PACKETS_PER_VISIT[kind], Fraction(at))

    def _decode(self, streams: list[Stream], most: int | None = None, wanted: Fraction | None = None) -> None:
        """Frames of up to `most` packets; of pictures only the last one up to `wanted`."""
        decoders = {stream.index: Decoder(stream) for stream in streams}
        best = None
        for count, packet in enumerate(packets(self._container, streams), 1):
            for frame in decoders[packet.stream_index].decode(packet):
                if wanted is None or packet.stream.type == "audio":
                    self._watch(packet.stream, frame)
                elif best is None or time_of(frame) <= wanted:
                    best = frame
            if (most is not None and count >= most) or time.monotonic() > self._until:
                break
        else:
            for stream in streams:
                for frame in decoders[stream.index].decode(None):
                    if wanted is None:
                        self._watch(stream, frame)
        if best is not None:
            self._watch(streams[0], best)
