"""How changes stand in a journal, one line each. Bytes in, values out; nothing here opens a file.

A line is `{"seq", "prev", "op", …, "crc"}`: `crc` covers all before it, `prev` is the crc of the line before, so that a damaged
line shows by itself and a lost one by its neighbour.
"""

import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dmc.errors import TornLedger

NO_LINE = "00000000"
"""`prev` of a line that has none before it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A record: the section it stands in, its revision, and itself as one line of JSON (an object holding "version")."""

    section: str
    version: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of one record: `section` and `raw` None delete it; `expected_version` 0 says that there must be none."""

    id: str
    expected_version: int
    section: str | None
    raw: bytes | None


@dataclass(frozen=True, slots=True)
class Mark:
    """What names a snapshot: CRC-32 of its bytes and their number."""

    crc32: str
    size: int


Layout = dict[str, tuple[int, int, int]]
"""Where each section of a snapshot stands: from its first record to behind its last one in bytes, and the number of records."""


@dataclass(frozen=True, slots=True)
class Line:
    """A journal line that passed its crc. `op` is put, del, batch (`changes` is set), base or fold (`mark` is set)."""

    seq: int
    prev: str
    crc: str
    op: str
    changes: tuple[tuple[str, Entry | None], ...]
    mark: Mark | None


@dataclass(frozen=True, slots=True)
class Scan:
    """A journal as read: its good lines, where the last of them (`tail`) ends, the bad stretches before that, and whether one follows."""

    lines: tuple[Line, ...]
    end: int
    tail: bytes
    damaged: tuple[tuple[int, int], ...]
    torn: bool


_ID = re.compile(r"[A-Za-z0-9._~:@+-]{1,200}")
_VERSION_FIRST = re.compile(rb'\{"version":(\d+)[,}]')
_TAIL = re.compile(rb',"crc":"([0-9a-f]{8})"\}\n?')
_TAIL_BYTES = 19
_HEAD = re.compile(rb'\{"seq":(\d+),"prev":"([0-9a-f]{8})","op":"(put|del|batch|base|fold)",')
_PUT = re.compile(rb'"id":"([^"\\]+)","to":"([^"\\]+)","item":')


def encode_record(fields: Mapping[str, Any]) -> bytes:
    """A record as one line of ASCII JSON with its version first, which lets a big snapshot be opened without parsing it."""
    return json.dumps({"version": fields["version"], **fields}, separators=(",", ":")).encode("ascii")


def version_of(raw: bytes) -> int:
    """The version in a record; raises ValueError for what is no record in one line."""
    record = json.loads(raw)
    if not isinstance(record, dict) or not isinstance(record.get("version"), int) or b"\n" in raw:
        raise ValueError("a record is one line of JSON, an object with a whole number called version")
    return int(record["version"])


def check_id(key: str) -> None:
    """Raise ValueError for an id that would need escapes in JSON."""
    if not _ID.fullmatch(key):
        raise ValueError(f"not an id for a record: {key!r}")


def crc_hex(data: bytes) -> str:
    return f"{zlib.crc32(data):08x}"


def mark_of(data: bytes) -> Mark:
    return Mark(crc_hex(data), len(data))


# --- Journal lines -------------------------------------------------------------------------------------------------


def encode_change(seq: int, prev: str, edits: Sequence[Edit]) -> bytes:
    """One line for a change; several edits make a batch line."""
    parts = [_encode_edit(edit) for edit in edits]
    if len(parts) == 1:
        return _line(seq, prev, parts[0])
    inner = b",".join(b"{" + part + b"}" for part in parts)
    return _line(seq, prev, b'"op":"batch","changes":[' + inner + b"]")


def encode_mark(seq: int, prev: str, op: str, mark: Mark, layout: Layout | None = None) -> bytes:
    """A base line (first of a journal) or a fold line (the snapshot that is about to take over)."""
    sections = b"" if layout is None else b',"sections":' + json.dumps(layout, separators=(",", ":")).encode()
    return _line(seq, prev, b'"op":"%s","crc32":"%s","bytes":%d%s' % (op.encode(), mark.crc32.encode(), mark.size, sections))


def _encode_edit(edit: Edit) -> bytes:
    key = edit.id.encode()
    if edit.section is None or edit.raw is None:
        return b'"op":"del","id":"%s"' % key
    return b'"op":"put","id":"%s","to":"%s","item":%s' % (key, edit.section.encode(), edit.raw)


def _line(seq: int, prev: str, rest: bytes) -> bytes:
    body = b'{"seq":%d,"prev":"%s",%s' % (seq, prev.encode(), rest)
    return b'%s,"crc":"%s"}\n' % (body, crc_hex(body).encode())


def decode_line(raw: bytes) -> Line | None:
    """The line, or None if it is damaged; `raw` ends with its line feed."""
    tail = _TAIL.fullmatch(raw, len(raw) - _TAIL_BYTES)
    if tail is None or zlib.crc32(raw[:-_TAIL_BYTES]) != int(tail[1], 16):
        return None
    body = raw[:-_TAIL_BYTES]
    head = _HEAD.match(body)
    if head is None:
        return None
    op = head[3].decode()
    changes: tuple[tuple[str, Entry | None], ...] = ()
    mark = None
    if op in ("base", "fold"):
        fields = json.loads(body + b"}")
        mark = Mark(fields["crc32"], fields["bytes"])
    elif op == "put":
        changes = (_decode_put(body, head.end()),)
    elif op == "del":
        changes = ((json.loads(body + b"}")["id"], None),)
    else:
        changes = tuple(_decode_batch(body[head.end() :].decode("utf-8")))
    return Line(int(head[1]), head[2].decode(), tail[1].decode(), op, changes, mark)


def _decode_put(body: bytes, start: int) -> tuple[str, Entry | None]:
    put = _PUT.match(body, start)
    if put is None:
        raise TornLedger("a journal line passes its checksum, but was not written by this program.")
    return put[1].decode(), entry_of(put[2].decode(), body[put.end() :])


_ONE = re.compile(r'[\[,]\{"op":"(?:del","id":"([^"\\]+)"\}|put","id":"([^"\\]+)","to":"([^"\\]+)","item":)')


def _decode_batch(text: str) -> Iterator[tuple[str, Entry | None]]:
    """Changes of a batch line, each record byte for byte as it was written (so not through a JSON round trip)."""
    decoder = json.JSONDecoder()
    at = len('"changes":')
    while text[at] != "]":
        one = _ONE.match(text, at)
        if one is None:
            raise TornLedger("a batch line passes its checksum, but was not written by this program.")
        at = one.end()
        if one[1] is not None:
            yield one[1], None
            continue
        _, end = decoder.raw_decode(text, at)
        yield one[2], entry_of(one[3], text[at:end].encode())
        at = end + 1


def entry_of(section: str, raw: bytes) -> Entry:
    """The record `raw` in `section`; its version is read without parsing the rest where it stands first."""
    quick = _VERSION_FIRST.match(raw)
    return Entry(section, int(quick[1]) if quick else version_of(raw), raw)


def scan(data: bytes) -> Scan:
    """Read a journal: bad stretches with good lines after them are damage, a bad end is torn."""
    lines: list[Line] = []
    damaged: list[tuple[int, int]] = []
    bad_from: int | None = None
    tail = b""
    start = end = 0
    while start < len(data):
        stop = data.find(b"\n", start) + 1
        line = decode_line(data[start:stop]) if stop else None
        if line is None:
            bad_from = start if bad_from is None else bad_from
        else:
            if bad_from is not None:
                damaged.append((bad_from, start))
                bad_from = None
            lines.append(line)
            end, tail = stop, data[start:stop]
        if not stop:
            break
        start = stop
    return Scan(tuple(lines), end, tail, tuple(damaged), bad_from is not None)
