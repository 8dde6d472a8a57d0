"""How records stand in a snapshot: valid JSON, one record per line, sorted by id in sections. Bytes in, values out."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dmc.errors import Refused
from dmc.journal_lines import Entry, Layout, check_id, encode_record


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot as read."""

    schema: int
    seq: int
    entries: dict[str, Entry]


SNAPSHOT_LINE = re.compile(rb'^"([^"\\]+)":(\{"version":(\d+)[^\n]*\}),?$', re.MULTILINE)


def encode_snapshot(schema: int, seq: int, sections: Iterable[tuple[str, Iterable[tuple[str, bytes]]]]) -> bytes:
    """A document of all records, one per line; each section's records come sorted by id."""
    parts = [b'{"schema":%d,\n"seq":%d' % (schema, seq)]
    for name, records in sections:
        body = b",\n".join(b'"%s":%s' % (key.encode(), raw) for key, raw in records)
        parts.append(b',\n"%s":{\n%s}' % (name.encode(), body + b"\n" if body else b""))
    return b"".join([*parts, b"\n}\n"])


_END = b"}\n}\n"


def layout_of(data: bytes, sections: Sequence[str]) -> Layout | None:
    """Where the sections stand in a snapshot that `encode_snapshot` has written; None if another hand has."""
    heads = [b',\n"%s":{\n' % name.encode() for name in sections]
    if not data.endswith(_END):
        return None
    starts, at = [], 0
    for head in heads:  # No record holds such a text, for it has no line feed inside.
        at = data.find(head, at)
        if at < 0:
            return None
        starts.append(at + len(head))
    stops = [start - len(head) - 1 for start, head in zip(starts[1:], heads[1:], strict=True)] + [len(data) - len(_END)]
    rows = zip(sections, starts, stops, strict=True)
    return {name: (start, stop, data.count(b"\n", start, stop)) for name, start, stop in rows}


def decode_snapshot(data: bytes, sections: Sequence[str], *, trusted: bool) -> Snapshot | None:
    """Read a snapshot; None if it is none. `trusted` (its mark matched) skips checking each record's JSON.

    Raises Refused for one of a newer schema.
    """
    return _decode_own(data, sections) if trusted else _decode_any(data, sections)


HEADER = re.compile(rb'\{"schema":(\d+),\n"seq":(\d+)')
_SECTION = re.compile(rb'^"([^"\\]+)":\{$', re.MULTILINE)


_RECORD = re.compile(rb'"([^"\\]+)":(\{"version":(\d+))')
"""How a record's line begins. The rest of it is not read: expressions take long for what `find` does at once."""


def _heads(data: bytes) -> Iterator[re.Match[bytes]]:
    """Where the sections begin."""
    at = data.find(b'":{\n')
    while at >= 0:
        found = _SECTION.match(data, data.rfind(b"\n", 0, at) + 1)
        if found is not None:
            yield found
        at = data.find(b'":{\n', at + 1)


def _decode_own(data: bytes, sections: Sequence[str]) -> Snapshot | None:
    header = HEADER.match(data)
    if header is None:
        return _decode_any(data, sections)  # Valid, but from another hand.
    heads = [*_heads(data)]
    entries: dict[str, Entry] = {}
    for number, head in enumerate(heads):
        section = head[1].decode()
        if section not in sections:
            raise _foreign_section(section)
        at, stop = head.end() + 1, heads[number + 1].start() if number + 1 < len(heads) else len(data)
        while at < stop:
            end = data.find(b"\n", at, stop)
            end = stop if end < 0 else end
            last = end - data.endswith(b",", at, end)
            found = _RECORD.match(data, at, last)
            if found is not None and data.endswith(b"}", found.end(), last):
                entries[found[1].decode()] = Entry(section, int(found[3]), data[found.start(2) : last])
            at = end + 1
    if data.count(b"\n") != len(entries) + 2 * len(heads) + 3:
        return _decode_any(data, sections)  # In some record the version does not stand first.
    return Snapshot(int(header[1]), int(header[2]), entries)


def _decode_any(data: bytes, sections: Sequence[str]) -> Snapshot | None:
    """The slow and careful way, also for a document that was edited by hand."""
    try:
        document = json.loads(data)
        schema, seq = int(document.pop("schema")), int(document.pop("seq", 0))
        entries = {}
        for section, records in document.items():
            if section not in sections:
                raise _foreign_section(section)
            for key, record in records.items():
                check_id(key)
                entries[key] = Entry(section, int(record["version"]), encode_record(record))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return Snapshot(schema, seq, entries)


def _foreign_section(name: str) -> Refused:
    return Refused(f"the index has a section {name!r} that this version does not know.", "It was written by another version of dmc.")
