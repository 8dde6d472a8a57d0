"""Completion in real shells: what a person sees after Tab."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dmc.cli.complete import conversion_types, item_ids
from dmc.cli.completion import Shell, script
from dmc.cli.main import run
from tests import warm

DEADLINE_S = 120


@pytest.fixture
def dmc(tmp_path: Path) -> Path:
    """A folder with a `dmc` to be found, and a home without any settings."""
    program = tmp_path / "bin" / "dmc"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dmc "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program.parent


def _ask(shell: str, words: list[str], dmc: Path) -> list[str]:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed here")
    path = f"{dmc}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "DMC_HOME": str(dmc.parent / "home"), "HOME": str(dmc.parent), "LC_ALL": "C.UTF-8"}
    done = subprocess.run([shell, *words], env=environment, cwd=dmc.parent, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def _bash(line: str, dmc: Path) -> list[str]:
    (dmc / "dmc.bash").write_text(script(Shell.BASH))
    asking = f"""source {dmc}/dmc.bash
COMP_LINE={line!r}; COMP_POINT=${{#COMP_LINE}}; _dmc_completion dmc; printf '%s\\n' "${{COMPREPLY[@]}}"
complete -p dmc >/dev/null"""
    return _ask("bash", ["--norc", "-c", asking], dmc)


def _zsh(line: str, dmc: Path) -> list[str]:
    """The function is asked as zsh asks it; `_describe` and `compdef` belong to an interactive shell and stand in for it here."""
    (dmc / "_dmc").write_text(script(Shell.ZSH))
    asking = f"""compdef() {{ :; }}; _files() {{ :; }}
_describe() {{ local -a known; known=("${{(@P)${{@[-1]}}}}"); print -rl -- "${{known[@]%%:*}}"; }}
source {dmc}/_dmc; words=({line}{" ''" if line.endswith(" ") else ""}); CURRENT=$#words; _dmc"""
    return _ask("zsh", ["-f", "-c", asking], dmc)


def _fish(line: str, dmc: Path) -> list[str]:
    (dmc / "dmc.fish").write_text(script(Shell.FISH))
    return _ask("fish", ["--no-config", "-c", f"source {dmc}/dmc.fish; complete -C {line!r} | string split -f1 \\t"], dmc)


ASK = {"bash": _bash, "zsh": _zsh, "fish": _fish}


@pytest.mark.parametrize("shell", ASK)
def test_commands_and_types_are_offered_in_a_real_shell(shell: str, dmc: Path) -> None:
    assert ASK[shell]("dmc comp", dmc) == ["completion"]
    assert {"web", "h265", "opus"} <= set(ASK[shell]("dmc add --to ", dmc))
    assert ASK[shell]("dmc client fol", dmc) == ["folder"]


@pytest.mark.parametrize("shell", ASK)
def test_in_a_narrow_terminal_meanings_do_not_become_offers(shell: str, dmc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    assert ASK[shell]("dmc comp", dmc) == ["completion"]


@pytest.mark.parametrize("shell", ASK)
def test_a_file_that_is_called_like_a_command_line_is_never_run(shell: str, dmc: Path) -> None:
    evil = dmc.parent / "$(touch pwned)`touch pwned`;touch pwned.wav"
    evil.write_bytes(b"RIFF$\0\0\0WAVEfmt " + bytes(100))
    environment = {**os.environ, "DMC_HOME": str(dmc.parent / "home")}
    assert warm.run("add", str(evil), "--to", "opus", environment=environment, timeout=DEADLINE_S).returncode == 0
    (one,) = ASK[shell]("dmc cancel ", dmc)
    assert len(one) == 36
    assert not (dmc.parent / "pwned").exists()


@pytest.mark.parametrize("shell", Shell)
def test_the_script_is_printed(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert capsys.readouterr().out == script(shell)
    assert run(["completion", "powershell"]) == 2


def test_a_fault_offers_nothing_instead_of_being_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMC_HOME", str(tmp_path))
    (tmp_path / "client.toml").write_text("this is no TOML")
    (tmp_path / "server.toml").write_text("this is no TOML")
    assert item_ids("") == []
    assert ("web") in dict(conversion_types("w"))


def test_types_of_the_servers_own_settings_are_offered_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMC_HOME", str(tmp_path))
    (tmp_path / "server.toml").write_text("[conversion_types.tiny]\nbase = 'h264'\ncrf = 30\n")
    assert "tiny" in dict(conversion_types("ti"))


def test_asking_loads_neither_media_nor_network(tmp_path: Path) -> None:
    words = "import sys; from dmc.cli.complete import conversion_types, item_ids; conversion_types('a'); item_ids('0')"
    words += "; print([m for m in ('av', 'aiohttp', 'PIL', 'rich.console') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", words], env={**os.environ, "DMC_HOME": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]", done.stderr
