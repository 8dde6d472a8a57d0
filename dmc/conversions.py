"""Names of conversion types, the media they take, and the file endings they give: data only.

What a type means in codecs and settings stands in convert/recipes.py; this file is what everybody may know without
loading a codec. The guess of a media type from name and first bytes is made here too; the worker's probe decides.
"""

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from dmc.errors import BadRequest, UnfitConversion, UnknownConversion
from dmc.options import Option, seconds_of


class MediaType(StrEnum):
    """What a file is."""

    VIDEO = "video"
    AUDIO = "audio"
    IMAGE = "image"


@dataclass(frozen=True, slots=True)
class ConversionType:
    """One conversion type as the outside sees it.

    `takes` are the media it can be made from, `gives` is what comes out, `extension` includes the dot. A type of the settings
    is a built-in one, its `base`, with `settings` of its own.
    """

    name: str
    takes: frozenset[MediaType]
    gives: MediaType
    extension: str
    summary: str
    base: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def media_types(self) -> list[str]:
        return sorted(self.takes)


_VIDEO = frozenset({MediaType.VIDEO})
_SOUND = frozenset({MediaType.AUDIO, MediaType.VIDEO})
_IMAGE = frozenset({MediaType.IMAGE})

CONVERSION_TYPES: Mapping[str, ConversionType] = {
    kind.name: kind
    for kind in (
        ConversionType("h264", _VIDEO, MediaType.VIDEO, ".mkv", "H.264 video (x264), sound copied where it fits"),
        ConversionType("h265", _VIDEO, MediaType.VIDEO, ".mkv", "H.265 video (x265), sound copied where it fits"),
        ConversionType("vp9", _VIDEO, MediaType.VIDEO, ".webm", "VP9 video and Opus sound in WebM"),
        ConversionType("av1", _VIDEO, MediaType.VIDEO, ".mkv", "AV1 video (SVT-AV1), sound copied where it fits"),
        ConversionType("web", _VIDEO, MediaType.VIDEO, ".mp4", "plays and seeks in every browser: H.264 and AAC, at most 1080p"),
        ConversionType("mkv", _VIDEO | _SOUND, MediaType.VIDEO, ".mkv", "Matroska, packets untouched: only the container changes"),
        ConversionType(
            "mp4", _VIDEO | _SOUND, MediaType.VIDEO, ".mp4", "MP4 with its index first, packets untouched where it can hold them"
        ),
        ConversionType("opus", _SOUND, MediaType.AUDIO, ".opus", "Opus sound, from sound or from the sound of a video"),
        ConversionType("mp3", _SOUND, MediaType.AUDIO, ".mp3", "MP3 sound, from sound or from the sound of a video"),
        ConversionType("aac", _SOUND, MediaType.AUDIO, ".m4a", "AAC sound in M4A, from sound or from the sound of a video"),
        ConversionType(
            "flac", _SOUND, MediaType.AUDIO, ".flac", "FLAC sound without further loss, from sound or from the sound of a video"
        ),
        ConversionType("webp", _IMAGE, MediaType.IMAGE, ".webp", "WebP picture, animated ones stay animated"),
        ConversionType("avif", _IMAGE, MediaType.IMAGE, ".avif", "AVIF picture, animated ones stay animated"),
        ConversionType("png", _IMAGE, MediaType.IMAGE, ".png", "PNG picture without loss, animated ones stay animated"),
        ConversionType("jpeg", _IMAGE, MediaType.IMAGE, ".jpg", "JPEG picture"),
    )
}

_OWN_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")

DEFAULT_CONVERSIONS: Mapping[MediaType, str] = {MediaType.VIDEO: "h265", MediaType.AUDIO: "opus", MediaType.IMAGE: "webp"}

_VIDEO_ENDINGS = (
    "3g2 3gp asf avi divx dv f4v flv m2ts m2v m4v mjpeg mjpg mkv mov mp4 mpe mpeg mpg mts mxf nut ogm ogv qt rm rmvb ts vob webm wmv y4m"
)
_AUDIO_ENDINGS = (
    "aac ac3 aif aifc aiff alac amr ape au caf dts eac3 flac m4a m4b m4r mka mp2 mp3 mpa oga ogg opus ra snd spx tta w64 wav wma wv"
)
_IMAGE_ENDINGS = "apng avif avifs bmp dib gif heic heif hif jfif jpe jpeg jpg jp2 pbm pgm png pnm ppm qoi tga tif tiff webp"

EXTENSIONS: Mapping[str, MediaType] = {
    **dict.fromkeys(_VIDEO_ENDINGS.split(), MediaType.VIDEO),
    **dict.fromkeys(_AUDIO_ENDINGS.split(), MediaType.AUDIO),
    **dict.fromkeys(_IMAGE_ENDINGS.split(), MediaType.IMAGE),
}
"""Lower-case file endings without the dot, and the medium they promise."""


def find_conversion(name: str, known: Mapping[str, ConversionType] = CONVERSION_TYPES) -> ConversionType:
    """The conversion type called `name`; raises UnknownConversion with a did-you-mean."""
    if name in known:
        return known[name]
    raise UnknownConversion(
        f"there is no conversion type {name!r}.", did_you_mean(name, known) or f"Known are: {', '.join(sorted(known))}."
    )


def check_fits(kind: ConversionType, media_type: MediaType) -> None:
    """Raise UnfitConversion when `kind` cannot be made from `media_type`."""
    if media_type in kind.takes:
        return
    fitting = sorted(k.name for k in CONVERSION_TYPES.values() if media_type in k.takes)
    raise UnfitConversion(
        f"{kind.name} is made from {' or '.join(kind.media_types)}, and this file is {media_type.value}.",
        f"For {media_type.value} take one of: {', '.join(fitting)}.",
    )


_EVERY = (
    Option("keep_if_larger", "keep the result even if it is larger than its source"),
    Option("strip_location", "take out where it was recorded"),
    Option("on_loss", "what to do when something of the source cannot be kept", words=("continue", "refuse")),
)
_CRF = Option("crf", "quality of the picture, smaller is better and larger", 0, 51)
_HEIGHT = Option("height", "largest height of the picture in pixels; it is never enlarged", 16, 8640, whole=True)
_FINE_CRF = Option("crf", "quality of the picture, smaller is better and larger", 0, 63)
_CUT = (
    Option("start", "where the result begins: what comes before is cut off", time=True),
    Option("end", "where the result ends: what comes after is cut off", time=True),
)


def _container(*names: str) -> Option:
    return Option("container", "container of the result", words=names)


OPTIONS: Mapping[str, Mapping[str, Option]] = {
    name: {option.name: option for option in (*_EVERY, *own)}
    for name, own in (
        ("h264", (_CRF, _HEIGHT, *_CUT, _container("mkv", "mp4"))),
        ("h265", (_CRF, _HEIGHT, *_CUT, _container("mkv", "mp4"))),
        ("vp9", (_FINE_CRF, _HEIGHT, *_CUT, _container("webm", "mkv", "mp4"))),
        ("av1", (_FINE_CRF, _HEIGHT, *_CUT, _container("mkv", "mp4", "webm"))),
        ("web", (_CRF, _HEIGHT, *_CUT)),
        *((name, _CUT) for name in ("mkv", "mp4", "opus", "mp3", "aac", "flac")),
        *((name, ()) for name in ("webp", "avif", "png", "jpeg")),
    )
}
"""The options that each conversion type takes."""


def check_options(conversion_type: str, options: Mapping[str, Any], types: Mapping[str, ConversionType] = CONVERSION_TYPES) -> None:
    """Raise BadRequest with a did-you-mean for an option that the conversion type does not take, or a value out of bounds."""
    base = types[conversion_type].base if conversion_type in types else ""
    known = OPTIONS.get(base or conversion_type, {})
    for name, value in options.items():
        if name not in known:
            hint = did_you_mean(name, known) or f"It takes: {', '.join(sorted(known))}."
            raise BadRequest(f"{conversion_type} has no option {name!r}.", hint)
        if not known[name].takes(value):
            raise BadRequest(f"option {name} of {conversion_type} cannot be {value!r}.", f"It is {known[name].said}.")
    start, end = seconds_of(options.get("start", 0)), seconds_of(options.get("end"))
    if start is not None and end is not None and end <= start:
        raise BadRequest(
            f"the end {options['end']} is not after the start {options.get('start', 0)}.", "Both count from the file's beginning."
        )


_OTHER_WORDS = {"max_height": "height"}
"""What people may also call an option in their settings."""


def may_be_own(name: str) -> bool:
    """Could `name` be a type of a server's own? A client knows only once the server has told."""
    return name not in CONVERSION_TYPES and _OWN_NAME.fullmatch(name) is not None


def own_type(name: str, settings: Mapping[str, Any]) -> ConversionType:
    """A type of the settings: `base`, and options of that base; raises UnknownConversion or BadRequest with a did-you-mean."""
    if not _OWN_NAME.fullmatch(name):
        raise BadRequest(f"{name!r} is no name for a conversion type.", "Up to 32 small letters, digits, - and _, a letter first.")
    if name in CONVERSION_TYPES:
        raise BadRequest(f"there is a built-in conversion type {name!r} already.", "Choose another name.")
    if not isinstance(settings.get("base"), str):
        raise BadRequest(f"conversion type {name} does not say what it is based on.", 'For example: base = "h265"')
    base = find_conversion(settings["base"])
    options = {_OTHER_WORDS.get(key, key): value for key, value in settings.items() if key != "base"}
    check_options(base.name, options)
    words = ", ".join(f"{key} {value}" for key, value in options.items())
    return replace(
        base,
        name=name,
        base=base.name,
        settings=options,
        extension=extension_of(base, options),
        summary=f"{base.name} with {words}" if words else base.summary,
    )


def with_own_types(own: Mapping[str, Mapping[str, Any]]) -> dict[str, ConversionType]:
    """The built-in types and those of the settings; raises what `own_type` does."""
    return {**CONVERSION_TYPES, **{name: own_type(name, settings) for name, settings in own.items()}}


def built_in(name: str, options: Mapping[str, Any], types: Mapping[str, ConversionType]) -> tuple[str, dict[str, Any]]:
    """The built-in type and the options that `name` with `options` comes down to; what is asked for goes before what was set."""
    kind = types.get(name)
    if kind is None or not kind.base:
        return name, dict(options)
    return kind.base, {**kind.settings, **options}


def extension_of(kind: ConversionType, options: Mapping[str, Any]) -> str:
    """The file ending of a result, with its dot: that of the type unless the option `container` says another."""
    return f".{options['container']}" if "container" in options else kind.extension


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`Did you mean 'h265'?`, or an empty string when nothing is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"Did you mean {str(near[0])!r}?" if near else ""


def guess_media_type(file_name: str | bytes, first_bytes: bytes = b"") -> MediaType | None:
    """The medium that a file seems to be: by its first bytes where they are telling, else by its ending; None if neither says.

    `first_bytes`: up to 64 bytes from the start, may be empty. A wrong guess is found by the worker's probe.
    """
    by_bytes = _guess_from_bytes(first_bytes)
    if by_bytes is not None:
        return by_bytes
    name = os.fsdecode(file_name)
    return EXTENSIONS.get(name.rpartition(".")[2].lower()) if "." in name else None


_PICTURE_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")
_IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\x00", b"MM\x00*", b"qoif")
_AUDIO_STARTS = (b"fLaC", b"ID3", b".snd", b"wvPk", b"MAC ", b"#!AMR", b"TTA1")
_VIDEO_STARTS = (b"FLV", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"YUV4MPEG2")


def _guess_from_bytes(head: bytes) -> MediaType | None:
    """Only what is unmistakable; containers that hold either sound or video (Ogg, MP4, Matroska, ASF) are left to the ending."""
    if head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS:
        return MediaType.IMAGE
    if head[4:8] == b"ftyp" and head[8:12] in (b"M4A ", b"M4B "):
        return MediaType.AUDIO
    if head[:4] in (b"RIFF", b"RF64"):
        return {b"WAVE": MediaType.AUDIO, b"AVI ": MediaType.VIDEO, b"WEBP": MediaType.IMAGE}.get(head[8:12])
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return MediaType.AUDIO
    for starts, medium in ((_IMAGE_STARTS, MediaType.IMAGE), (_AUDIO_STARTS, MediaType.AUDIO), (_VIDEO_STARTS, MediaType.VIDEO)):
        if head.startswith(starts):
            return medium
    return None


def describe(kinds: Mapping[str, ConversionType] = CONVERSION_TYPES) -> list[dict[str, Any]]:
    """Conversion types as the API and `dmc types` list them; `base` is empty for built-in ones."""
    return [
        {
            "name": k.name,
            "media_types": k.media_types,
            "gives": k.gives.value,
            "extension": k.extension,
            "summary": k.summary,
            "base": k.base,
            "options": [option.described(k.settings) for option in OPTIONS[k.base or k.name].values()],
        }
        for k in kinds.values()
    ]
