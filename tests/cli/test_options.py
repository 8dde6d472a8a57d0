"""Lists of files: from arguments, from a file, from stdin, with any legal name."""

import io
import os
from pathlib import Path

import pytest

from dmc.cli.options import named_files
from dmc.errors import NotFound, UsageFault
from tests import warm

NAMES = [b"a.mp4", b" spaces .mp4 ", "\u65e5.mp4".encode(), b"no-utf8-\xff.mp4"]


@pytest.mark.parametrize(("separator", "null"), [(b"\n", False), (b"\r\n", False), (b"\0", True)])
def test_names_come_from_a_file_after_those_of_the_arguments(tmp_path: Path, separator: bytes, null: bool) -> None:
    (tmp_path / "list").write_bytes(separator.join(NAMES) + separator)
    found = named_files([Path("first.mp4")], str(tmp_path / "list"), null=null)
    assert [os.fsencode(one) for one in found] == [b"first.mp4", *NAMES]


def test_with_a_zero_byte_even_line_breaks_are_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a\nb.mp4\0c.mp4\0")))
    assert named_files(None, "-", null=True) == [Path("a\nb.mp4"), Path("c.mp4")]


def test_no_files_at_all_and_a_list_that_is_not_there_are_said(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match="no files"):
        named_files([], None, null=False)
    with pytest.raises(UsageFault, match="-0 says"):
        named_files([Path("a")], None, null=True)
    with pytest.raises(NotFound, match="cannot read"):
        named_files(None, str(tmp_path / "none"), null=False)


def test_convert_plan_and_add_read_names_from_stdin(tmp_path: Path) -> None:
    (tmp_path / "a\nb.wav").write_bytes(b"RIFF....WAVE")
    names = f"{tmp_path}/a\nb.wav".encode() + b"\0"
    for command in (["convert", "--dry-run"], ["plan"], ["add", "--dry-run"]):
        arguments = [*command, "--to", "opus", "--files-from", "-", "-0"]
        ended = warm.run(*arguments, environment={**os.environ, "DMC_HOME": str(tmp_path)}, typed=names, timeout=90)
        assert ended.returncode == 0, (command, ended.stderr)
        assert "b.wav" in ended.stdout + ended.stderr
