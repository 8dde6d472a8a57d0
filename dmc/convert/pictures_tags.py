"""What comes along with a picture's pixels: EXIF, ICC, XMP, resolution, texts. Taken from the source, fitted to the target, read back.

EXIF and XMP go over byte by byte, so that makers' notes and thumbnails stay whole; only the orientation in them is set to 1,
since the pixels are turned upright.
"""

import re
import struct
from dataclasses import dataclass, field
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dmc.convert.pictures_open import GPS, IPTC, exif_of
from dmc.convert.pictures_plan import Target
from dmc.convert.places import exif_without_place, names_a_place, removed, xmp_names_a_place
from dmc.convert.receipt import MetadataEntry

_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 0x0112, 0x011A, 0x011B, 0x0128
_EXIF_MARK = b"Exif\0\0"
_LARGEST_IN_JPEG = {"EXIF": 65527, "XMP": 65504, "comment": 65533}
"""Bytes that one JPEG segment holds."""

_XMP_IN_PNG = "XML:com.adobe.xmp"
_NO_TEXT = {_XMP_IN_PNG, "Raw profile type exif", "Raw profile type APP1"}
_TIFF_STRUCTURE = frozenset(
    (254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 280, 281, 284, 288, 289, 290, 291, 292, 293, 297, 301,
     317, 318, 319, 320, 321, 322, 323, 324, 325, 330, 332, 333, 334, 336, 337, 338, 339, 340, 341, 347, 512, 513, 514, 515, 517, 518,
     519, 520, 521, 529, 530, 531, 532, 700, 33723, 34377, 34675, 37724)
)  # fmt: skip
"""TIFF tags that describe how that file stores its pixels, or that travel by other ways (XMP, ICC)."""


@dataclass(slots=True)
class Tags:
    """Everything but pixels. `exif` has no `Exif\\0\\0` before it; orientation is already 1. `turned` is the orientation it said before."""

    exif: bytes | None = None
    xmp: bytes | None = None
    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    comment: bytes | None = None
    texts: dict[str, str] = field(default_factory=dict)
    gamma: float | None = None
    loop: int | None = None
    has_gps: bool = False
    has_iptc: bool = False
    turned: int = 1

    def strip_places(self) -> list[MetadataEntry]:
        """Take out where the picture was made; gives what the receipt says of that."""
        gone = ["GPS"] if self.has_gps else []
        if self.exif is not None:
            kept = exif_without_place(self.exif)
            gone += ["EXIF that cannot be followed"] if kept is None else []
            self.exif = kept
        if self.xmp is not None and xmp_names_a_place(self.xmp):
            self.xmp = None
            gone.append("XMP with the name or position of a place")
        told = [key for key in self.texts if names_a_place(key)]
        for key in told:
            del self.texts[key]
        gone += ["texts that may name a place"] if told else []
        self.has_gps = False
        return [removed(", ".join(gone))] if gone else []


def collect(picture: Image.Image, turned: int) -> Tags:
    """The tags of a picture that has been loaded."""
    info = picture.info
    exif = _exif_of(picture)
    xmp = info.get("xmp") or info.get(_XMP_IN_PNG)
    dpi = info.get("dpi")
    comment = info.get("comment")
    texts = {key: str(value) for key, value in getattr(picture, "text", {}).items() if key not in _NO_TEXT}
    return Tags(
        exif=upright_exif(exif) if exif else None,
        xmp=upright_xmp(xmp.encode("utf-8") if isinstance(xmp, str) else bytes(xmp)) if xmp else None,
        icc=info.get("icc_profile") or None,
        dpi=(float(dpi[0]), float(dpi[1])) if dpi and dpi[0] > 0 and dpi[1] > 0 else None,
        comment=comment.encode("utf-8") if isinstance(comment, str) else comment or None,
        texts=texts,
        gamma=info.get("gamma"),
        loop=info.get("loop"),
        has_gps=bool(exif_of(picture).get_ifd(GPS)),
        has_iptc=IPTC in (info.get("photoshop") or {}),
        turned=turned,
    )


def _exif_of(picture: Image.Image) -> bytes | None:
    raw = picture.info.get("exif")
    if raw is None and "Raw profile type exif" in picture.info:
        raw = bytes.fromhex("".join(picture.info["Raw profile type exif"].split("\n")[3:]))
    if raw is None and picture.format == "TIFF":
        raw = _exif_of_tiff(picture)
    return bytes(raw).removeprefix(_EXIF_MARK) if raw else None


def _exif_of_tiff(picture: Image.Image) -> bytes | None:
    """A TIFF's own tags are its EXIF; what describes the storage of its pixels stays behind."""
    exif = exif_of(picture)
    kept = Image.Exif()
    for tag, value in exif.items():
        if tag not in _TIFF_STRUCTURE:
            kept[tag] = exif.get_ifd(tag) if tag in (0x8769, GPS) else value
    return kept.tobytes() if len(kept) else None


def upright_exif(exif: bytes) -> bytes:
    """`exif` with the orientation of its first directory set to 1 and every other byte as it was; as it is if it cannot be followed."""
    found = _orientation_entry(exif)
    if found is None:
        return exif
    entry, _end, order, kind = found
    value = struct.pack(f"{order}HH", 1, 0) if kind == 3 else struct.pack(f"{order}I", 1)
    return exif[: entry + 8] + value + exif[entry + 12 :]


def exif_without_orientation(exif: bytes) -> bytes:
    """`exif` with that entry taken out of its directory and every other byte where it was, since offsets count from the start."""
    found = _orientation_entry(exif)
    if found is None:
        return exif
    entry, end, order, _kind = found
    (start,) = struct.unpack_from(f"{order}I", exif, 4)
    (count,) = struct.unpack_from(f"{order}H", exif, start)
    return exif[:start] + struct.pack(f"{order}H", count - 1) + exif[start + 2 : entry] + exif[entry + 12 : end] + bytes(12) + exif[end:]


def _orientation_entry(exif: bytes) -> tuple[int, int, str, int] | None:
    """Where the orientation stands in the first directory, where that directory ends, the byte order, and the entry's type."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 14:
        return None
    (start,) = struct.unpack_from(f"{order}I", exif, 4)
    if start + 2 > len(exif):
        return None
    (count,) = struct.unpack_from(f"{order}H", exif, start)
    end = start + 2 + 12 * count + 4
    for entry in range(start + 2, min(end - 4, len(exif) - 11), 12):
        tag, kind = struct.unpack_from(f"{order}HH", exif, entry)
        if tag == _ORIENTATION and kind in (3, 4):
            return entry, min(end, len(exif)), order, kind
    return None


def upright_xmp(xmp: bytes) -> bytes:
    """`xmp` with its orientation set to 1."""
    return re.sub(rb'(tiff:Orientation(?:\s*=\s*["\']|>))[0-9](?=["\'<])', rb"\g<1>1", xmp)


def _resolution_exif(dpi: tuple[float, float]) -> bytes:
    exif = Image.Exif()
    exif[_X_RESOLUTION], exif[_Y_RESOLUTION], exif[_RESOLUTION_UNIT] = dpi[0], dpi[1], 2
    return exif.tobytes().removeprefix(_EXIF_MARK)


def exif_holds_resolution(exif: bytes) -> bool:
    """Whether EXIF bytes say a resolution; False if they cannot be read."""
    loaded = Image.Exif()
    try:
        loaded.load(exif)
        return _X_RESOLUTION in loaded
    except (SyntaxError, ValueError, LookupError, struct.error):
        return False


class Fitting:
    """Fits tags to a target: gives the arguments for Pillow's save, and what could not come along."""

    def __init__(self, tags: Tags, target: Target, mode: str, *, profile_was_used: bool) -> None:
        self.tags = tags
        self.arguments: dict[str, Any] = {}
        self.entries: list[MetadataEntry] = []
        self.wanted: dict[str, bytes] = {}
        self._target = target
        self._fit_icc(mode, profile_was_used)
        self._fit_dpi()
        for kind, value in (("EXIF", tags.exif), ("XMP", tags.xmp)):
            self._fit_bytes(kind, value)
        self._fit_texts()
        if tags.has_iptc:
            self._say("IPTC", "lost", "captions and keywords of the press kind; XMP and EXIF are kept")
        if tags.gamma is not None and tags.icc is None and target.name != "png":
            self._say("gamma", "lost", f"{target.title} cannot say it; it was {tags.gamma:.5f}")

    def _fit_icc(self, mode: str, profile_was_used: bool) -> None:
        icc = self.tags.icc
        self.arguments["icc_profile"] = None
        if icc is None:
            return
        if profile_was_used:
            self._say("ICC", "changed", "its colours were converted to sRGB, the profile is used up")
        elif _fits(icc, mode):
            self.arguments["icc_profile"] = self.wanted["ICC"] = icc
        else:
            self._say("ICC", "lost", "the profile is not for this kind of picture, or cannot be read")

    def _fit_dpi(self) -> None:
        dpi = self.tags.dpi
        if dpi is None:
            return
        if self._target.name not in ("webp", "avif"):
            self.arguments["dpi"] = dpi
            self._say("resolution", "kept", f"{dpi[0]:.0f} × {dpi[1]:.0f} dpi")
        elif self.tags.exif is None:
            self.tags.exif = _resolution_exif(dpi)
            self._say("resolution", "kept", f"{dpi[0]:.0f} × {dpi[1]:.0f} dpi, in EXIF")
        elif exif_holds_resolution(self.tags.exif):
            self._say("resolution", "kept", "in EXIF")
        else:
            self._say(
                "resolution", "lost", f"{dpi[0]:.0f} × {dpi[1]:.0f} dpi: {self._target.title} has no place for it but EXIF, which has none"
            )

    def _fit_bytes(self, kind: str, value: bytes | None) -> None:
        if value is None:
            return
        most = _LARGEST_IN_JPEG[kind] if self._target.name == "jpeg" else None
        if most is not None and len(value) > most:
            self._say(kind, "lost", f"{len(value)} bytes; JPEG holds {most}")
            if kind == "EXIF" and self.tags.has_gps:
                self._say("GPS", "lost", "with the EXIF")
            return
        if kind == "EXIF" and self._target.name == "avif":
            value = exif_without_orientation(value)  # AVIF has a place of its own for it, and Pillow would write all the rest anew.
        self.wanted[kind] = value
        if kind == "EXIF":
            self.arguments["exif"] = _EXIF_MARK + value if self._target.name == "jpeg" else value
        elif self._target.name != "png":
            self.arguments["xmp"] = value

    def _fit_texts(self) -> None:
        texts = dict(self.tags.texts)
        comment = self.tags.comment
        if self._target.name == "png":
            self.arguments["pnginfo"] = self._png_info(texts, comment)
            self._keep_words(len(texts) + (comment is not None))
        elif self._target.name == "jpeg" and not texts and comment is not None and len(comment) <= _LARGEST_IN_JPEG["comment"]:
            self.arguments["comment"] = comment
            self._keep_words(1)
        elif texts or comment:
            count = len(texts) + (comment is not None)
            self._say("texts", "lost", f"{count} in all: {self._target.title} has no place for them")

    def _keep_words(self, count: int) -> None:
        if count:
            self._say("texts", "kept", f"{count} in all")

    def _png_info(self, texts: dict[str, str], comment: bytes | None) -> PngInfo:
        made = PngInfo()
        if "XMP" in self.wanted:
            made.add_itxt(_XMP_IN_PNG, self.wanted["XMP"].decode("utf-8", "replace"))
        for key, value in texts.items():
            made.add_itxt(key[:79], value)
        if comment is not None:
            made.add_itxt("Comment", comment.decode("utf-8", "replace"))
        return made

    def _say(self, kind: str, outcome: Any, detail: str) -> None:
        self.entries.append(MetadataEntry(kind=kind, outcome=outcome, detail=detail))

    def read_back(self, result: Image.Image) -> list[MetadataEntry]:
        """What became of everything, the bytes compared with those that the result gives back."""
        found = collect(result, 1)
        there = {"EXIF": found.exif, "XMP": found.xmp, "ICC": found.icc}
        entries = list(self.entries)
        for kind, wanted in self.wanted.items():
            same = there[kind] == wanted
            entries.append(
                MetadataEntry(kind=kind, outcome="kept" if same else "lost", detail=f"{len(wanted)} bytes" if same else "not in the result")
            )
        if self.tags.has_gps and "EXIF" in self.wanted:
            entries.append(MetadataEntry(kind="GPS", outcome="kept" if found.has_gps else "lost", detail="in EXIF"))
        if self.tags.turned != 1:
            detail = f"turned upright; the tag said {self.tags.turned}, now 1"
            entries.append(MetadataEntry(kind="orientation", outcome="kept", detail=detail))
        return entries


def _fits(icc: bytes, mode: str) -> bool:
    """Whether a profile's colour space (bytes 16 to 19 of its header, ICC.1) is that of a picture mode."""
    space = {"RGB": b"RGB ", "RGBA": b"RGB ", "P": b"RGB ", "L": b"GRAY", "LA": b"GRAY", "1": b"GRAY", "I;16": b"GRAY"}.get(mode)
    return space is not None and icc[16:20] == space
