"""Each exit code that the help names, provoked through the real command line."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer.main

from dmc.cli.main import app, run
from tests.journeys.household import Household, household, tone
from tests.patience import PATIENCE_S

Provoke = Callable[[Household, Path], list[str]]


def _sound(place: Path, name: str = "talk.wav", content: bytes = b"") -> str:
    (place / name).write_bytes(content or tone(1))
    return str(place / name)


def _full(house: Household, place: Path) -> list[str]:
    limits = place / "full.toml"
    limits.write_text("[limits]\ndisk_floor = 9000000000000000\n")
    return ["broker", "add", _sound(place), "--config", str(limits), "--data-folder", str(house.data)]


def _torn(house: Household, place: Path) -> list[str]:
    (place / "torn").mkdir()
    (place / "torn" / "index.json").write_text('{"schema": ')
    return ["broker", "list", "--data-folder", str(place / "torn")]


def _damaged(house: Household, place: Path) -> list[str]:
    backup = place / "backup.tar.gz"
    assert run(["broker", "add", _sound(place)]) == 0
    assert run(["backup", str(backup)]) == 0
    backup.write_bytes(backup.read_bytes()[:-20])
    return ["backup", "--verify", str(backup)]


PROVOKED: dict[int, Provoke] = {
    0: lambda house, place: ["types"],
    1: lambda house, place: ["doctor", "--strict"],
    2: lambda house, place: ["broker", "list", "--status", "todo"],
    3: lambda house, place: ["convert", _sound(place), _sound(place, "bad.wav", b"RIFF....WAVE"), "--to", "opus"],
    5: lambda house, place: ["receipt", "ffff"],
    6: lambda house, place: ["server", "token", "create", "household"],
    7: lambda house, place: ["add", _sound(place), "--to", "opus", "--no-queue"],
    8: _full,
    9: lambda house, place: ["probe", _sound(place, "notes.txt", b"hello")],
    10: _damaged,
    70: _torn,
    124: lambda house, place: ["add", _sound(place), "--to", "opus", "--wait", "--timeout", "0.5"],
}


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Household]:
    """A household whose server is off."""
    with household(tmp_path / "away") as made:
        yield made


@pytest.mark.parametrize("code", PROVOKED)
def test_an_exit_code_means_what_the_help_says(code: int, away: Household, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMC_HOME", str(away.home))
    if code == 1:
        (away.home / "token").chmod(0o644)
    assert run(PROVOKED[code](away, tmp_path)) == code


def test_an_unknown_token_ends_with_4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with household(tmp_path / "home") as house:
        house.start_server()
        monkeypatch.setenv("DMC_HOME", str(house.home))
        (house.home / "token").write_text("dmc_wrong")
        assert run(["add", _sound(tmp_path), "--to", "opus"]) == 4


def test_a_quota_ends_with_8_where_nothing_may_wait_and_is_told_where_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    size = len(tone(1))
    with household(tmp_path / "home", server_settings=f"limits.max_bytes_per_client = {size + 1000}") as house:
        house.start_server()
        monkeypatch.setenv("DMC_HOME", str(house.home))
        assert run(["add", _sound(tmp_path, "first.wav"), "--to", "flac"]) == 0
        reason = "the file needs 96 kB, and of the 97 kB for this client"
        assert run(["add", _sound(tmp_path, "second.wav"), "--to", "flac"]) == 0
        said = capsys.readouterr()
        assert reason in said.err and "queued: no server took it yet" in said.err and "waiting  second.wav" in said.out
        assert run(["add", _sound(tmp_path, "third.wav"), "--to", "flac", "--no-queue"]) == 8
        said = capsys.readouterr()
        assert f"error: third.wav: {reason}" in said.err and "parked  third.wav" in said.out
        assert run(["add", _sound(tmp_path, "never.wav", tone(3)), "--to", "flac"]) == 9
        assert "this client may have 97 kB here" in capsys.readouterr().err
        assert run(["broker", "add", _sound(tmp_path), "--to", "flac"]) == 0, "whoever sits at the server is a client of its own"
        assert run(["broker", "add", _sound(tmp_path), "--to", "flac"]) == 8
        said = capsys.readouterr()
        assert reason in said.err and "--ignore-quota" in said.err
        assert run(["broker", "add", _sound(tmp_path), "--to", "flac", "--ignore-quota"]) == 0
        assert len(house.items()) == 3


def test_a_result_whose_bytes_were_changed_on_the_server_is_not_handed_out_and_ends_with_10(tmp_path: Path) -> None:
    with household(tmp_path / "home") as house:
        house.start_server()
        house.dmc("add", _sound(tmp_path), "--to", "flac", "--wait")
        (item,) = house.items()
        (result,) = (house.data / "finished" / item["item_id"] / "out").glob("*.flac")
        content = bytearray(result.read_bytes())
        content[-1] ^= 1
        result.write_bytes(content)
        done = house.run("download", item["item_id"], "-o", str(tmp_path / "here.flac"))
        assert done.returncode == 10 and "error: " in done.stderr and "Traceback" not in done.stderr
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".flac"], "nothing stands under the name that was asked for"


def _waiting(away: Household, place: Path) -> "subprocess.Popen[str]":
    """`dmc add --wait` of a file that no server takes, already waiting."""
    command = [sys.executable, "-m", "dmc", "add", _sound(place), "--to", "opus", "--wait"]
    return subprocess.Popen(command, env=away.environment, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)


def _read_to(process: "subprocess.Popen[str]", words: str) -> str:
    assert process.stderr is not None
    said = ""
    while words not in said:
        line = process.stderr.readline()
        assert line, f"it ended before it said {words!r}:\n{said}"
        said += line
    return said


def test_ctrl_c_leaves_what_waits_says_how_to_come_back_and_ends_with_130(away: Household, tmp_path: Path) -> None:
    with _waiting(away, tmp_path) as process:
        _read_to(process, "talk.wav: waiting")
        process.send_signal(signal.SIGINT)
        said = _read_to(process, "Ctrl-C once more cancels")
        assert process.wait(PATIENCE_S) == 130
    assert "come back with: dmc status --watch" in said and "dmc client sync" in said
    assert "waiting" in away.dmc("status")


def test_ctrl_c_twice_cancels_and_ends_with_130(away: Household, tmp_path: Path) -> None:
    with _waiting(away, tmp_path) as process:
        _read_to(process, "talk.wav: waiting")
        process.send_signal(signal.SIGINT)
        _read_to(process, "Ctrl-C once more cancels")
        process.send_signal(signal.SIGINT)
        _read_to(process, "set aside")
        assert process.wait(PATIENCE_S) == 130
    assert "parked" in away.dmc("status")


def test_ctrl_c_ends_watching_with_130_and_nothing_more_is_said(away: Household, tmp_path: Path) -> None:
    away.dmc("add", _sound(tmp_path), "--to", "opus")
    command = [sys.executable, "-m", "dmc", "status", "--watch"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=away.environment, stdout=pipe, stderr=pipe, text=True, stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None and process.stderr is not None
        assert "talk.wav" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130
        assert (process.stdout.read(), process.stderr.read()) == ("", "")


ELSEWHERE = {4: "test_an_unknown_token_ends_with_4", 130: "test_ctrl_c…"}


def test_the_help_names_every_code_that_is_provoked_here() -> None:
    help_text = typer.main.get_command(app).epilog or ""
    assert {int(code) for code in re.findall(r"\b(\d+)\b", help_text)} == {*PROVOKED, *ELSEWHERE}
