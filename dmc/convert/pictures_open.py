"""The one door to picture files: which formats are read, how large they may be, and what Pillow's errors mean.

Only formats that Pillow decodes itself are let in (no EPS, no PDF: those start other programs). A picture that is too large
is refused before it is unfolded, a damaged one is never read as if it were whole.
"""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from dmc.conversions import MediaType
from dmc.convert.facts import MediaFacts
from dmc.convert.limits import Limits
from dmc.convert.origin import EXIF_IFD, GPS_IFD, Origin, of_exif
from dmc.convert.pictures_png import read_by_libav
from dmc.errors import DamagedMedia, DmcError, NotMedia, TooLarge, Unsupported

_FORMATS = ("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "PNG", "PPM", "QOI", "TIFF", "WEBP")
_BY_ENDING_ONLY = {".tga": "TGA"}
"""Formats without a mark of their own at the beginning: any file could be taken for one."""

_ANIMATED = ("AVIF", "GIF", "PNG", "WEBP")
_ORIENTATION = 0x0112
GPS = GPS_IFD
IPTC = 0x0404
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
BAD_DATA = (SyntaxError, ValueError, EOFError, LookupError, TypeError, OverflowError, RuntimeError, struct.error, zlib.error)
"""What Pillow's readers raise on bad bytes, besides OSError without a number."""


@contextmanager
def open_picture(path: Path, limits: Limits, label: str) -> Iterator[Image.Image]:
    """A picture, open while the context lasts; errors of reading it inside the context are translated.

    Raises NotMedia, Unsupported (HEIC), TooLarge, DamagedMedia; an OSError of the disk passes through.
    """
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, limits.max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with _told(label), _opened(path, label) as picture:
                _check_size(picture, limits, label)
                read_by_libav(picture)
                yield picture
    finally:
        Image.MAX_IMAGE_PIXELS = before


@contextmanager
def _opened(path: Path, label: str) -> Iterator[Image.Image]:
    formats = [*_FORMATS, *(name for ending, name in _BY_ENDING_ONLY.items() if path.suffix.lower() == ending)]
    Image.init()  # else Pillow knows only some of its own formats when asked for them by name
    try:
        picture = Image.open(path, formats=formats)
    except UnidentifiedImageError as problem:
        raise _unknown(path, label) from problem
    with picture:
        yield picture


def _unknown(path: Path, label: str) -> DmcError:
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
        said = f"{label} is an HEIC picture, which cannot be read here."
        return Unsupported(said, "Export it as JPEG, or tell the phone to store compatible pictures.")
    return NotMedia(f"{label} is no picture that can be read here.", "")


@contextmanager
def _told(label: str) -> Iterator[None]:
    """Pillow's errors as ours."""
    try:
        yield
    except DmcError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as problem:
        raise TooLarge(f"{label} unfolds to more pixels than are allowed.", "Raise the limit max_pixels if you trust it.") from problem
    except OSError as problem:
        if problem.errno is not None:
            raise
        raise DamagedMedia(f"{label} is damaged: {problem}.", "Fetch it again from where it came.") from problem
    except BAD_DATA as problem:
        raise DamagedMedia(f"{label} is damaged: {problem or type(problem).__name__}.", "Fetch it again from where it came.") from problem


def _check_size(picture: Image.Image, limits: Limits, label: str) -> None:
    pixels = picture.width * picture.height
    if pixels == 0:
        raise DamagedMedia(f"{label} is a picture without pixels.", "")
    if pixels > limits.max_pixels:
        said = f"{label} has {pixels / 1e6:.0f} million pixels, more than the {limits.max_pixels / 1e6:.0f} million allowed."
        raise TooLarge(said, "Raise the limit max_pixels if you trust it.")
    frames = frame_count(picture)
    if frames * pixels > limits.max_frame_pixels:
        said = f"{label} has {frames} pictures with {frames * pixels / 1e6:.0f} million pixels in all, more than allowed."
        raise TooLarge(said, "Raise the limit max_frame_pixels if you trust it.")


def frame_count(picture: Image.Image) -> int:
    """Pictures in the file, pages and previews included."""
    return int(getattr(picture, "n_frames", 1))


def is_animated(picture: Image.Image) -> bool:
    """Whether its pictures are meant to follow each other in time."""
    return picture.format in _ANIMATED and frame_count(picture) > 1


def exif_of(picture: Image.Image) -> Image.Exif:
    """What Pillow reads of the EXIF; nothing if that is broken, which does not make the picture a bad one.

    Before a PNG is loaded: only what stands before its pixels, since Pillow would decode it all to look for more.
    """
    unread = picture.format == "PNG" and getattr(picture, "tile", None)
    if unread and not picture.info.keys() & {"exif", "Raw profile type exif", "XML:com.adobe.xmp"}:
        return Image.Exif()
    try:
        exif = picture.getexif()
        exif.get_ifd(GPS)
    except (*BAD_DATA, AttributeError):
        return Image.Exif()
    return exif


def orientation_of(picture: Image.Image) -> int:
    """How the pixels must be turned to stand upright, 1 to 8 as in EXIF. After loading, since Pillow turns some formats itself."""
    found = exif_of(picture).get(_ORIENTATION, 1)
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def source_depth(picture: Image.Image, path: Path) -> int:
    """Bits per sample in the file; Pillow's mode does not tell, since it reads some deeper pictures as 8 bit. Before loading."""
    if picture.mode.startswith("I;16"):
        return 16
    if picture.mode in ("I", "F"):
        return 32
    if any(";16" in str(tile.args) for tile in getattr(picture, "tile", ())):
        return 16
    if picture.format == "AVIF":
        return _avif_depth(path)
    return 8


def _avif_depth(path: Path) -> int:
    """From the av1C box (AV1 codec configuration): bit 0x40 of its third byte says high, 0x20 twelve bits."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    at = head.find(b"av1C")
    if at < 0 or at + 6 >= len(head) or not head[at + 6] & 0x40:
        return 8
    return 12 if head[at + 6] & 0x20 else 10


def look(picture: Image.Image, path: Path) -> MediaFacts:
    """The facts of an open picture; decodes nothing that is not needed for them."""
    exif = exif_of(picture)
    told = _origin_of(exif)
    return MediaFacts(
        media_type=MediaType.IMAGE,
        container=format_name(picture),
        file_size=path.stat().st_size,
        tags={"IPTC": "there is some"} if IPTC in (picture.info.get("photoshop") or {}) else {},
        width=picture.width,
        height=picture.height,
        frames=frame_count(picture),
        mode=picture.mode,
        orientation=orientation_of(picture),
        has_icc=bool(picture.info.get("icc_profile")),
        has_exif=bool(exif),
        has_xmp=bool(picture.info.keys() & {"xmp", "XML:com.adobe.xmp"}),
        has_alpha=picture.has_transparency_data,
        recorded_at=told.recorded_at,
        latitude=told.latitude,
        longitude=told.longitude,
    )


def _origin_of(exif: Image.Exif) -> Origin:
    try:
        return of_exif(exif.get_ifd(EXIF_IFD), exif.get_ifd(GPS))
    except (*BAD_DATA, AttributeError):
        return Origin()


def format_name(picture: Image.Image) -> str:
    """`jpeg`, `png`, `webp` …: a multi-picture JPEG is a JPEG."""
    name = (picture.format or "").lower()
    return {"mpo": "jpeg", "dib": "bmp"}.get(name, name)
