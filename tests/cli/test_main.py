"""The front door: errors become sentences and exit codes."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from dmc import errors
from dmc.__main__ import will_convert
from dmc.cli import main
from dmc.cli.main import run


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DMC_HOME", str(tmp_path))
    return tmp_path


def test_no_command_shows_help_and_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    said = capsys.readouterr()
    assert "Usage: dmc" in said.out + said.err


def test_a_wrong_option_is_a_usage_error_with_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["types", "--jsno"]) == 2
    assert "--json" in capsys.readouterr().err


def test_a_wrong_command_is_a_usage_error_with_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["convrt"]) == 2
    assert "convert" in capsys.readouterr().err


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("dmc ")


ALL_ERRORS = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.DmcError)]
FAMILIES = (errors.DmcError, errors.Refused, errors.Unavailable, errors.Broken)


@pytest.mark.parametrize("kind", [e for e in ALL_ERRORS if e not in FAMILIES], ids=lambda e: e.__name__)
def test_every_error_ends_with_its_exit_code_and_a_sentence(
    kind: type[errors.DmcError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise kind("it went wrong.", "Do this.")

    monkeypatch.setattr(main, "app", fail)
    assert run(["types"]) == kind.exit_code
    assert capsys.readouterr().err == "error: it went wrong.\n       Do this.\n"
    assert run(["types", "--json"]) == kind.exit_code
    told = json.loads(capsys.readouterr().err)["error"]
    assert told["message"] == "it went wrong." and told["hint"] == "Do this." and told["code"]


def test_every_exit_code_of_the_help_is_given_by_an_error() -> None:
    given = {e.exit_code for e in ALL_ERRORS} | {0, 3}
    assert given == {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 70, 124, 130}


def test_a_fault_of_ours_is_a_sentence_and_a_log_never_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(main, "app", fail)
    assert run(["types"]) == 70
    said = capsys.readouterr().err
    assert "Traceback" not in said and "ZeroDivisionError: oh" in said
    log = Path(said.rstrip().rpartition(" ")[2])
    assert "Traceback" in log.read_text()
    log.unlink()


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), typer.Abort()])
def test_ctrl_c_ends_with_130(monkeypatch: pytest.MonkeyPatch, fault: BaseException) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise fault

    monkeypatch.setattr(main, "app", fail)
    assert run(["types"]) == 130


@pytest.mark.parametrize("command", ["broker list", "broker pause", "server token list", "broker rebuild"])
@pytest.mark.parametrize("place", ["a-file", "a-file/below"])
def test_a_data_folder_that_is_a_file_is_a_fault_of_the_settings(home: Path, command: str, place: str) -> None:
    (home / "a-file").touch()
    assert run([*command.split(), "--data-folder", str(home / place)]) == 2


def test_a_state_folder_that_is_a_file_is_a_fault_of_the_settings_and_doctor_says_so(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "client").touch()
    assert run(["status"]) == 2
    capsys.readouterr()
    assert run(["doctor"]) != 0
    assert "a file stands in its way" in capsys.readouterr().out


def test_an_output_that_takes_no_more_is_a_full_disk(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(main, "app", full)
    assert run(["types"]) == 8
    assert "the disk is full" in capsys.readouterr().err


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_a_place_where_this_user_may_not_write_is_named_and_no_fault_of_ours(
    code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code), "/data/index.lock")

    monkeypatch.setattr(main, "app", refuse)
    assert run(["types"]) == 2
    assert f"/data/index.lock: {os.strerror(code)}." in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_no_failure() -> None:
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run([sys.executable, "-m", "dmc", "types"], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("convert a.mov", True),
        ("-v convert a.mov --to web", True),
        ("convert a.mov --dry-run", False),
        ("convert a.mov -n", False),
        ("convert --help", False),
        ("convert", False),
        ("plan convert", False),
        ("server run", False),
    ],
)
def test_workers_warm_up_before_the_command_line_is_there_only_for_a_conversion(line: str, expected: bool) -> None:
    assert will_convert(line.split()) is expected


def test_workers_that_warm_up_in_vain_change_nothing_about_a_usage_error(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dmc", "convert", "--no-such-option", "a.mov"], capture_output=True, cwd=tmp_path, timeout=60
    )
    assert done.returncode == 2
    assert b"--no-such-option" in done.stderr
    assert b"Traceback" not in done.stderr


def test_an_error_that_ends_a_service_is_found_in_the_journal_by_its_priority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, journal = tmp_path / "server.toml", tmp_path / "journal"
    settings.write_text("listen_on_prt = 1\n")
    with journal.open("w") as stream:
        there = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{there.st_dev}:{there.st_ino}")
        monkeypatch.setattr(sys, "stderr", stream)
        assert run(["server", "run", "--config", str(settings)]) == 2
    lines = journal.read_text().splitlines()
    assert "listen_on_prt" in lines[0] and all(line.startswith("<3>") for line in lines)


def test_a_terminal_of_few_letters_is_no_fault(tmp_path: Path) -> None:
    name = "\N{BLACK STAR}.wav"
    (tmp_path / name).write_bytes(b"RIFF....WAVE")
    environment = {**os.environ, "DMC_HOME": str(tmp_path), "PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1"}
    command = [sys.executable, "-m", "dmc", "convert", "--dry-run", "--to", "opus", name]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert b"\\u2605.wav" in done.stdout
