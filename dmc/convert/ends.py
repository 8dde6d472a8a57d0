"""Does a file end where it says that it ends? Looks at its structure only: sizes in its head, marks at its end. Decodes nothing.

Some kinds say nothing of their end (MPEG-TS and MPEG-PS, raw AAC and AMR, anything that was streamed): of those nothing can be told here.
Sources: RIFF (Microsoft, 1991), ISO/IEC 14496-12, RFC 8794 (EBML), RFC 3533 (Ogg), GIF89a, Adobe FLV 10.1, and for the frame before the
first one of an MP3 the writers LAME and Fraunhofer.
"""

import os
import struct
from pathlib import Path
from typing import BinaryIO

_HEAD = 16
_SLACK = 64
"""Bytes by which writers of headers count wrongly."""

_SLACK_OF_MP3, _PADDING_OF_ID3 = 4096, 4096
_UNSAID = 0x7FFF_0000
"""Sizes from here on stand for "not known yet" in streams, or for more than four bytes can say."""

_MOST_BOXES, _MOST_BLOCKS = 10_000, 2_000_000
_BOXES = frozenset(
    {b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"mfra", b"sidx", b"meta", b"udta", b"uuid", b"pnot"}
)
_OGG_PAGE = 27 + 255 + 255 * 255
_OGG_LAST = 4
_FLV_TAG_HEAD, _FLV_LEAST = 11, 24


def cut_off(path: Path) -> str | None:
    """In words what shows that the end of the file is missing; None if it is whole, or does not tell. Raises OSError."""
    with path.open("rb") as file:
        head, size = file.read(_HEAD), os.fstat(file.fileno()).st_size
        if len(head) < _HEAD:
            said = None
        elif head[:4] in (b"RIFF", b"FORM"):
            said = _short_of(_chunk_end(head), size, _SLACK)
        elif head[4:8] in _BOXES:
            said = _short_box(file, size)
        elif head[:4] == b"\x1aE\xdf\xa3":
            said = _short_of(_segment_end(file), size, _SLACK)
        elif head[:4] == b"OggS":
            said = _open_ogg(file, size)
        elif head[:4] == b"FLV\x01":
            said = _open_flv(file, size)
        elif head[:4] == b"GIF8":
            said = _open_gif(file)
        elif head[:3] == b"ID3" or (head[:1] == b"\xff" and head[1:2] >= b"\xe0"):
            said = _short_of(_mp3_end(file, head), size, _SLACK_OF_MP3)
        else:
            said = None
    return None if said is None else f"the source seems to be cut off: {said}"


def _short_of(promised: int | None, size: int, slack: int) -> str | None:
    if promised is None or promised <= size + slack:
        return None
    return f"its header promises {promised} bytes, {size} are there"


def _chunk_end(head: bytes) -> int | None:
    (length,) = struct.unpack_from("<I" if head[:4] == b"RIFF" else ">I", head, 4)
    return None if length in (0, 8) or length >= _UNSAID else int(length) + 8


def _short_box(file: BinaryIO, size: int) -> str | None:
    """MP4 and QuickTime: one box after the other, each with its length."""
    at = 0
    for _ in range(_MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if len(head) < 8 or kind not in _BOXES or length < 8:
            return None  # Its end, a box that lasts to it, or something that was hung on.
        at += length
        if at > size:
            return f"its box {kind.decode('ascii')} should end at {at} bytes, {size} are there"
    return None


def _segment_end(file: BinaryIO) -> int | None:
    """Where the first segment of a Matroska file ends; None where that is not said."""
    file.seek(4)
    head = _ebml_size(file)
    if head is None:
        return None
    file.seek(head, os.SEEK_CUR)
    if file.read(4) != b"\x18\x53\x80\x67":
        return None
    length = _ebml_size(file)
    return None if length is None else file.tell() + length


def _ebml_size(file: BinaryIO) -> int | None:
    """A length of one to eight bytes; None for one that is unknown (all ones) or none."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    rest = file.read(more)
    value = int.from_bytes(bytes([first[0] ^ (0x80 >> more)]) + rest, "big")
    return None if len(rest) < more or value == (1 << 7 * (more + 1)) - 1 else value


def _open_ogg(file: BinaryIO, size: int) -> str | None:
    """Whether the last page is whole, and says that it is the last one of its stream."""
    begin = max(0, size - 2 * _OGG_PAGE)
    file.seek(begin)
    end = file.read()
    at = end.rfind(b"OggS\x00")
    if at < 0 or len(end) < at + 27 + (end[at + 26] if len(end) > at + 26 else 0):
        return "it ends in the middle of a page"
    segments = end[at + 26]
    length = 27 + segments + sum(end[at + 27 : at + 27 + segments])
    if at + length > len(end):
        return "it ends in the middle of a page"
    return None if end[at + 5] & _OGG_LAST else "its last page is not marked as the last"


def _open_flv(file: BinaryIO, size: int) -> str | None:
    """After each tag stands how long it was."""
    if size < _FLV_LEAST:
        return None
    file.seek(size - 4)
    length = int.from_bytes(file.read(4), "big")
    begin = size - 4 - length
    if begin < 9 + 4:
        return "it ends in the middle of a tag"
    file.seek(begin + 1)
    return None if int.from_bytes(file.read(3), "big") + _FLV_TAG_HEAD == length else "it ends in the middle of a tag"


def _open_gif(file: BinaryIO) -> str | None:
    """From block to block up to the mark of the end."""
    file.seek(10)
    file.seek(2 + _palette(file.read(1)), os.SEEK_CUR)
    blocks = 0
    while blocks < _MOST_BLOCKS:
        mark = file.read(1)
        if mark == b";":
            return None
        if mark == b"!":
            file.seek(1, os.SEEK_CUR)
        elif mark == b",":
            file.seek(8, os.SEEK_CUR)
            file.seek(1 + _palette(file.read(1)), os.SEEK_CUR)
        else:
            return None if mark else "the mark of its end is missing"
        while (length := file.read(1)) not in (b"", b"\0"):
            file.seek(length[0], os.SEEK_CUR)
            blocks += 1
        blocks += 1
    return None


def _palette(flags: bytes) -> int:
    """Bytes of the palette that flags announce."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0


def _mp3_end(file: BinaryIO, head: bytes) -> int | None:
    """Where the sound ends by the frame that LAME (`Xing`, `Info`) or Fraunhofer (`VBRI`) put before it; None without one."""
    begin = 0
    if head[:3] == b"ID3":
        begin = 10 + sum((byte & 0x7F) << 7 * (3 - place) for place, byte in enumerate(head[6:10])) + (10 if head[5] & 0x10 else 0)
    file.seek(begin)
    first = file.read(_PADDING_OF_ID3 + 256)
    begin += len(first) - len(first.lstrip(b"\0"))
    first = first.lstrip(b"\0")
    if len(first) < 60 or first[0] != 0xFF or first[1] < 0xE0:
        return None
    if first[36:40] == b"VBRI":
        return begin + int.from_bytes(first[46:50], "big")
    at = next((place for place in (13, 21, 36) if first[place : place + 4] in (b"Xing", b"Info")), None)
    if at is None:
        return None
    flags = int.from_bytes(first[at + 4 : at + 8], "big")
    place = at + 8 + (4 if flags & 1 else 0)
    return begin + int.from_bytes(first[place : place + 4], "big") if flags & 2 else None
