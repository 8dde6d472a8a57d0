"""How the command line shows things."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from dmc.cli.render import Screen, bytes_text, clean, short, short_ids, time_text


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, "?"), (0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (123_456, "123 kB"), (4_300_000_000, "4.3 GB"), (2e12, "2.0 TB")],
)
def test_sizes_for_people(size: int | None, text: str) -> None:
    assert bytes_text(size) == text


@pytest.mark.parametrize(("seconds", "text"), [(None, "?"), (0.4, "0s"), (59, "59s"), (130, "2m10s"), (7260, "2h01m")])
def test_durations_for_people(seconds: float | None, text: str) -> None:
    assert time_text(seconds) == text


def test_names_cannot_move_the_cursor() -> None:
    assert clean("a\x1b[2Jb\nc") == "a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}c"


def test_long_names_keep_their_ending() -> None:
    assert short("a" * 60 + ".mp4", 20).endswith("aa.mp4") and len(short("a" * 60 + ".mp4", 20)) == 20
    assert short("a.mp4", 20) == "a.mp4"


def test_in_a_pipe_a_table_is_tabs_without_a_heading(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().table(["A", "B"], [["1", "2"], ["3", "4\n"]])
    assert capsys.readouterr().out == "1\t2\n3\t4\N{REPLACEMENT CHARACTER}\n"


def test_on_a_terminal_a_table_fits_the_width(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    Screen().table(["ITEM", "NAME"], [["1", "n" * 100 + ".mp4"]])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all(len(line) <= 40 for line in lines) and lines[1].endswith(".mp4")


def test_quiet_says_nothing_but_data(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(quiet=True).say("talk")
    Screen(quiet=True).document("x", {"a": 1})
    said = capsys.readouterr()
    assert said.err == "" and said.out == '{"schema": "dmc.x/1", "a": 1}\n'


def test_a_document_with_a_name_that_is_not_utf8_is_utf8_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().document("probe", {"file": "n\udcff\N{SNOWMAN}.mp4"})
    told = capsys.readouterr().out
    assert "\N{SNOWMAN}" in told and json.loads(told)["file"] == "n\udcff\N{SNOWMAN}.mp4"


LONG = ["\N{CLAPPER BOARD}" * 40 + ".mp4", "\u65e5\u672c\u8a9e" * 30 + ".mkv", "n" * 200 + ".mov", "e\N{COMBINING ACUTE ACCENT}" * 90, ""]


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("name", LONG)
def test_no_line_of_a_table_is_wider_than_the_terminal_also_with_wide_characters(
    name: str, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    Screen().table(["ITEM", "NAME", "NOTE"], [["0192f0c4-11aa", name, name], ["x", "y", "z"]], {0: [name]})
    lines = capsys.readouterr().out.splitlines()
    assert lines and all(cell_len(line) <= width for line in lines), lines
    assert "ITEM" in lines[0] and "0192f0c4-11aa" in lines[1]


@given(st.lists(st.text(max_size=60), min_size=1, max_size=5), st.integers(1, 70))
def test_what_was_cut_is_never_wider_than_asked(names: list[str], width: int) -> None:
    assert all(cell_len(short(name, width)) <= width for name in names)


def test_ids_are_as_long_as_it_takes_to_tell_them_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = ["0192f0c4-11aa-7000-8000-000000000001", "0192f0c4-11aa-7001-8000-000000000001", "0192f0c4-22bb-7001-8000-000000000001"]
    assert short_ids(ids) == {one: one for one in ids}  # In a pipe.
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert list(short_ids(ids[1:]).values()) == ["0192f0c4-11aa", "0192f0c4-22bb"]
    assert len(set(short_ids(ids).values())) == 3
    assert short_ids([]) == {}
