"""Log lines: one event is one line, whatever a file is called."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmc.log import Form, Lines, Log, start_logging


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger("dmc")
    before = (list(root.handlers), root.level, root.propagate)
    stream = io.StringIO()
    start_logging("info", stream)
    yield stream
    root.handlers[:], root.level, root.propagate = before[0], before[1], before[2]


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\x1b[2Kb", "a\x9bb", "a\u2028b", "a\u202eb", "a\udcffb"])
def test_no_name_can_end_a_line_or_steer_a_terminal(lines: io.StringIO, name: str) -> None:
    Log("client").info("found", name=name)
    (line,) = lines.getvalue().splitlines()
    assert line.isprintable()


def test_a_name_in_another_script_stays_readable(lines: io.StringIO) -> None:
    Log("client").info("found", name="Süße Grüße.mp4")
    assert 'found name="Süße Grüße.mp4"' in lines.getvalue()


def _said(lines: Lines, level: int = logging.INFO, event: str = "job ended", *, fault: bool = False, **fields: object) -> str:
    record = logging.LogRecord("dmc.broker", level, "", 0, event, (), sys.exc_info() if fault else None)
    record.fields = fields
    return lines.format(record)


def test_logfmt_is_pairs_with_a_time_and_in_the_journal_with_a_priority() -> None:
    line = _said(Lines("logfmt"), item="42", name="a b", absent=None)
    assert line.startswith("ts=20") and line.endswith('Z level=info room=broker event="job ended" item=42 name="a b"')
    journal = Lines("logfmt", journal=True)
    assert _said(journal) == '<6>level=info room=broker event="job ended"'
    assert [_said(journal, level)[:3] for level in (logging.DEBUG, logging.WARNING, logging.ERROR)] == ["<7>", "<4>", "<3>"]


def test_json_keeps_numbers_and_names_every_field() -> None:
    content = json.loads(_said(Lines("json"), item="42", bytes=7, seconds=1.5, ok=True, odd="\udcff"))
    assert content.pop("ts").endswith("Z")
    assert content == {
        "level": "info",
        "room": "broker",
        "event": "job ended",
        "item": "42",
        "bytes": 7,
        "seconds": 1.5,
        "ok": True,
        "odd": "\udcff",
    }


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_a_fault_stays_one_line_where_programs_read(form: Form) -> None:
    try:
        raise ValueError("unforeseen")
    except ValueError:
        line = _said(Lines(form), logging.ERROR, fault=True)
    assert "\n" not in line and "ValueError: unforeseen" in line


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Path("/home-of/ann/Wedding.mov"), "Wedding.mov"),
        (FileNotFoundError(2, "No such file", "/data/to_do/x/original"), "[Errno 2] No such file: '…/original'"),
        ("cannot read /a/b/c.mov: gone", "cannot read …/c.mov: gone"),
        ("http://nas:8770/api/v1/items", "http://nas:8770/api/v1/items"),
        ("3/4 of image/png", "3/4 of image/png"),
    ],
)
def test_of_a_path_only_the_last_part_is_shown_unless_asked_for(value: object, shown: str) -> None:
    assert json.loads(_said(Lines("json"), what=value))["what"] == shown
    assert json.loads(_said(Lines("json", full_paths=True), what=value))["what"] == str(value)
    assert json.loads(_said(Lines("json"), path="/api/v1/items"))["path"] == "/api/v1/items"
