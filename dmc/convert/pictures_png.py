"""The pixels of ordinary PNGs by libav, which unfolds them in half of the time that Pillow takes; all else of a PNG stays Pillow's.

Ordinary are those of 8 bits per sample, grey or in colours, neither interlaced nor animated. Libav gets their size and the compressed
pixels, nothing else. Whatever it does not like is decoded again by Pillow, which then says what is wrong with it.
Where libdeflate is there it unfolds them first, in a third of the time of zlib, which libav would use.
Sources: PNG (ISO/IEC 15948), "Writing Your Own File Codec in Python" of Pillow's documentation, libavcodec/pngdec.c, RFC 1950 and 1951.
"""

import contextlib
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from av.error import FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from PIL import Image, ImageFile
from PIL.PngImagePlugin import PngImageFile

try:
    import deflate
except ImportError:  # No wheel for this machine, and no compiler.
    deflate = None  # type: ignore[assignment]

_NAME = "dmc_png"
_KINDS = {"L": (0, "gray"), "LA": (4, "ya8"), "RGB": (2, "rgb24"), "RGBA": (6, "rgba")}
"""By Pillow's name of the samples: the number for them in a PNG's header, and libav's name."""

_LARGEST = 256 * 1024 * 1024
"""Bytes of pixels; of a larger picture a second copy would be too much."""

_LARGEST_UNFOLDED = 64 * 1024 * 1024
"""Bytes of pixels that are held unfolded, twice; those of a larger picture libav unfolds row by row."""

_BLOCK = 65535
"""Bytes of the largest block that is stored as it is (RFC 1951, 3.2.4)."""

_MARK = b"\x89PNG\r\n\x1a\n"
_PADDING = 64
"""Columns and rows that libav may add to a picture before it compares it with `max_pixels`."""

_SILENT = 16
"""How much less is said of a picture: its missing end, which is left out on purpose, would stand in every log."""


def read_by_libav(picture: Image.Image) -> None:
    """Let `picture`, open and not loaded yet, be decoded by libav if it is an ordinary PNG."""
    if not isinstance(picture, PngImageFile) or len(picture.tile) != 1 or picture.info.get("interlace") or picture.n_frames != 1:
        return
    codec, _, _, kind = tile = picture.tile[0]
    if codec == "zip" and kind in _KINDS and kind == picture.mode and picture.width * picture.height * len(kind) <= _LARGEST:
        picture.tile = [tile._replace(codec_name=_NAME, args=(kind, picture.load_read))]


class _Decoder(ImageFile.PyDecoder):
    """Takes the compressed pixels from Pillow's reader, which knows the chunks of a PNG, and fills the picture that Pillow made."""

    _pulls_fd = True

    def init(self, args: tuple[Any, ...]) -> None:
        self._kind, self._read = args

    def decode(self, _buffer: object) -> tuple[int, int]:
        parts: list[bytes] = []
        try:
            while part := self._read(0):
                parts.append(part)
            frame = self._frame(parts)
        except (FFmpegError, ValueError, SyntaxError, LookupError, struct.error):  # The last three: Pillow found no further chunk.
            return self._as_pillow_does(parts)
        pixels = frame.planes[0]
        self.set_as_raw(memoryview(pixels), self._kind, (pixels.line_size, 1))  # type: ignore[arg-type]
        return -1, 0

    def _frame(self, parts: list[bytes]) -> VideoFrame:
        number, name = _KINDS[self._kind]
        width, height = self.state.xsize, self.state.ysize
        head = _chunk(b"IHDR", [struct.pack(">2I5B", width, height, 8, number, 0, 0, 0)])
        decoder = VideoCodecContext.create("png", "r")
        decoder.thread_count = 1
        decoder.options = {"max_pixels": str((width + _PADDING) * (height + _PADDING)), "log_level_offset": str(_SILENT)}
        row = 1 + width * len(self._kind)  # One byte says how the row was filtered.
        pixels = _unfolded(parts, row * height)
        # No chunk IEND: without it libav insists on all rows, with it it gives what there is.
        frame = decoder.decode(Packet(b"".join([_MARK, *head, *_chunk(b"IDAT", pixels)])))[0]
        if (frame.format.name, frame.width, frame.height) != (name, width, height):
            raise ValueError("another picture")
        return frame

    def _as_pillow_does(self, parts: list[bytes]) -> tuple[int, int]:
        decoder = Image._getdecoder(self.mode, "zip", self._kind)
        decoder.setimage(self.im, self.state.extents())
        read, problem = decoder.decode(b"".join(parts))
        if read >= 0:
            raise OSError("image file is truncated")
        return read, problem


def _unfolded(parts: list[bytes], size: int) -> Sequence[bytes | memoryview]:
    """A zlib stream in `parts` as one that is not compressed; as it is where it does not unfold to `size` bytes without an error."""
    if deflate is None or size > _LARGEST_UNFOLDED:
        return parts
    with contextlib.suppress(deflate.DeflateError):
        plain = deflate.zlib_decompress(b"".join(parts), size)
        if len(plain) == size:
            return [b"\x78\x01", *_stored(memoryview(plain)), struct.pack(">I", deflate.adler32(plain))]
    return parts


def _stored(plain: memoryview) -> Iterator[bytes | memoryview]:
    for start in range(0, len(plain), _BLOCK):
        block = plain[start : start + _BLOCK]
        yield struct.pack("<BHH", start + _BLOCK >= len(plain), len(block), len(block) ^ 0xFFFF)
        yield block


def _chunk(name: bytes, parts: Sequence[bytes | memoryview]) -> list[bytes | memoryview]:
    """A chunk without a checksum: the compressed pixels have one of their own."""
    return [struct.pack(">I", sum(map(len, parts))), name, *parts, bytes(4)]


Image.register_decoder(_NAME, _Decoder)
