"""Tags, languages and chapters on their way into another container: what is copied, renamed, or left behind as stale.

Stale are notes about the old file itself (its muxer, its brands, its byte counts); everything else comes along.
"""

import base64
import re
import struct
from fractions import Fraction
from typing import TYPE_CHECKING

from av.container import OutputContainer

from dmc.convert import timecode
from dmc.convert.facts import MediaFacts, StreamFacts
from dmc.convert.recipes import Container

if TYPE_CHECKING:
    from av.container.core import Chapter

_STALE = re.compile(
    r"^(major_brand|minor_version|compatible_brands|encoder|encoded_by_tool|duration(-\w+)?|bps(-\w+)?|number_of_(frames|bytes)(-\w+)?"
    r"|_statistics_.*|handler_name|vendor_id|source_id(-\w+)?|alpha_mode|metadata_block_picture|filename|mimetype|tmpo)$",
    re.IGNORECASE,
)
_TEXT_ONLY = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_MP4_KNOWN = re.compile(
    r"^(title|artist|album(_artist)?|composer|date|year|comment|genre|copyright|grouping|lyrics|description|synopsis|show|episode_id|network"
    r"|keywords|episode_sort|season_number|media_type|hd_video|gapless_playback|compilation|track|disc|creation_time|location(-eng)?"
    r"|sort_(name|artist|album|album_artist|composer|show))$"
)
_CLOCK_ONLY = re.compile(r"^\d\d:\d\d:\d\d$")
_DAY = re.compile(r"^\d{4}-\d\d-\d\d$")
_ZERO_DATES = ("1970-01-01", "1904-01-01")
_OGG_STREAM_TAGS = frozenset({"ogg", "opus"})
_CHAPTERS_AS_COMMENTS = _OGG_STREAM_TAGS | {"flac"}


def is_stale(key: str, value: str = "-") -> bool:
    """Is this a note about the old file itself, or nothing at all? A clock at its zero is no date."""
    return not value or _STALE.match(key) is not None or (key.lower() == "creation_time" and value.startswith(_ZERO_DATES))


def file_tags(facts: MediaFacts) -> dict[str, str]:
    """What the file says of itself as a whole, without stale notes. In Ogg that stands in the stream."""
    found = {k: v for k, v in facts.tags.items() if not is_stale(k, v)}
    if _CLOCK_ONLY.match(found.get("creation_time", "")):  # Broadcast WAV; FFmpeg would put today's date before it.
        clock = found.pop("creation_time")
        if _DAY.match(found.get("date", "")):
            found["creation_time"] = f"{found['date']}T{clock}"
    if facts.container in _OGG_STREAM_TAGS:
        for stream in facts.streams:
            for key, value in stream.tags.items():
                if not is_stale(key, value) and key.lower() != "language" and not stream.cover:
                    found.setdefault(key, value)
    return found


def write_file_tags(out: OutputContainer, facts: MediaFacts, container: Container, *, has_cover: bool) -> None:
    """The tags of the file, under the names that the container knows.

    MP4 has two places for tags, and FFmpeg writes one of them: the usual one with a cover, or the free one with any name.
    """
    for key, value in file_tags(facts).items():
        out.metadata[key] = _TEXT_ONLY.sub("", value)
    code = _timecode_as_tag(facts) if container.muxer == "mp4" else None
    if code is not None:
        out.container_options["write_tmcd"] = "0"
        if timecode.said_in(dict(out.metadata)) is None:
            out.metadata["timecode"] = _TEXT_ONLY.sub("", code)
    if container.muxer == "mp4" and not has_cover and any(_MP4_KNOWN.match(key.lower()) is None for key in out.metadata):
        flags = out.container_options.get("movflags", "")
        out.container_options["movflags"] = flags + "+use_metadata_tags"


def _timecode_as_tag(facts: MediaFacts) -> str | None:
    """A timecode that a track of MP4 cannot hold; its writer drops it without a word, or refuses the whole file."""
    for stream in facts.streams:
        code = timecode.said_in(stream.tags) or timecode.said_in(facts.tags)
        if stream.type == "video" and not stream.cover and code is not None and not timecode.fits(code, stream.rate):
            return code
    return None


def stream_tags(facts: StreamFacts, file: MediaFacts, container: Container) -> dict[str, str]:
    """Language, title and whatever else a stream says of itself, without stale notes.

    Ogg keeps the file's tags in the stream, so there the file's own go before.
    """
    found = {_stream_key(k): _TEXT_ONLY.sub("", v) for k, v in facts.tags.items() if not is_stale(k, v)}
    if container.muxer in _OGG_STREAM_TAGS:
        taken = {key.lower() for key in file_tags(file)}
        return {k: v for k, v in found.items() if k.lower() not in taken}
    return found


def _stream_key(key: str) -> str:
    return key.lower() if key.lower() in ("language", "title") else key


def write_chapters(out: OutputContainer, facts: MediaFacts, container: Container, shift: Fraction) -> None:
    """The chapters of the file. For Ogg and FLAC as the comments that they are there: FFmpeg rounds seconds wrongly, or writes none."""
    chapters = chapters_for(facts, shift)
    if container.muxer not in _CHAPTERS_AS_COMMENTS:
        if chapters:
            out.set_chapters(chapters)
        return
    for number, chapter in enumerate(chapters):
        minutes, milliseconds = divmod(chapter["start"], 60_000)
        out.metadata[f"CHAPTER{number:03d}"] = (
            f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d}.{milliseconds % 1000:03d}"
        )
        out.metadata[f"CHAPTER{number:03d}NAME"] = chapter["metadata"].get("title", "")


def chapters_for(facts: MediaFacts, shift: Fraction) -> "list[Chapter]":
    """The chapters on the result's clock, in milliseconds."""
    found: list[Chapter] = []
    for number, chapter in enumerate(facts.chapters):
        start, end = (max(0, round((Fraction(s) - shift) * 1000)) for s in (chapter.start_s, chapter.end_s))
        entry: Chapter = {
            "id": number + 1,
            "start": start,
            "end": max(end, start),
            "time_base": Fraction(1, 1000),
            "metadata": {"title": chapter.title} if chapter.title else {},
        }
        found.append(entry)
    return found


def picture_block(facts: StreamFacts, data: bytes) -> str:
    """A cover as Vorbis comments hold it: FLAC's picture block in base64. Source: RFC 9639 section 8.8."""
    mime = b"image/png" if facts.codec == "png" else b"image/jpeg"
    front_cover = 3
    words = (facts.tags.get("title") or "").encode()
    head = struct.pack(">II", front_cover, len(mime)) + mime + struct.pack(">I", len(words)) + words
    sizes = struct.pack(">IIIII", facts.width or 0, facts.height or 0, 24, 0, len(data))
    return base64.b64encode(head + sizes + data).decode("ascii")
