"""Log lines: one event is one line, whatever a file is called."""

import io
import logging
from collections.abc import Iterator

import pytest

from dmc.log import Log, start_logging


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
