"""Room for a JPEG while it is written: Pillow keeps the whole of one in a buffer of one byte per pixel, and noise needs more."""

from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageFile

_MOST = 4
"""Bytes per pixel; noise in three colours comes to less than three."""


@contextmanager
def room_for(picture: Image.Image, target: str) -> Iterator[None]:
    """Enough of it for `picture`, as long as the body runs; other targets than `jpeg` need none."""
    before = ImageFile.MAXBLOCK
    if target == "jpeg":
        ImageFile.MAXBLOCK = max(before, _MOST * picture.width * picture.height)
    try:
        yield
    finally:
        ImageFile.MAXBLOCK = before
