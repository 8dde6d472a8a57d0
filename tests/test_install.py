"""The two commands of the README, where they have to say no."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = [
    "install/try",
    "install/test",
    "install/setup.sh",
    "install/lock",
    "install/server",
    "install/client",
    "install/uninstall",
    "install/container/entrypoint",
    ".ci/run",
]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with nothing but the scripts, and a PATH with nothing but the tools they use."""
    copied = tmp_path / "check out"
    shutil.copytree(ROOT / "install", copied / "install")
    shutil.copy(ROOT / "pyproject.toml", copied)
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "dirname", "cat", "cksum", "rm", "sed"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or tool)
    return copied


def _run(checkout: Path, script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": str(checkout.parent / "bin"), "HOME": str(checkout.parent)}
    return subprocess.run([checkout / script, *arguments], env=environment, cwd="/", capture_output=True, text=True, timeout=60)


def _fake_python(checkout: Path, body: str) -> None:
    fake = checkout.parent / "bin" / "python3"
    fake.write_text(f"#!/bin/sh\n{body}\n")
    fake.chmod(0o755)


@pytest.mark.parametrize("script", ["install/try", "install/test"])
def test_without_a_python_that_is_new_enough_it_says_what_to_install(checkout: Path, script: str) -> None:
    for body in (None, "exit 1"):
        if body:
            _fake_python(checkout, body)
        done = _run(checkout, script)
        assert done.returncode == 1 and "Python 3.11 or newer" in done.stderr and "apt install" in done.stderr
        assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("script", ["install/try", "install/test"])
def test_without_venv_it_says_what_to_install(checkout: Path, script: str) -> None:
    _fake_python(checkout, 'case "$*" in *venv*) echo "No module named venv" >&2; exit 1;; *--version*) echo "Python 3.11.2";; esac')
    done = _run(checkout, script)
    assert done.returncode == 1 and "python3-venv" in done.stderr and "No module named venv" in done.stderr
    assert not (checkout / ".venv").exists() and not (checkout / ".venv-problem").exists()


def test_help_installs_nothing(checkout: Path) -> None:
    done = _run(checkout, "install/try", "--help")
    assert done.returncode == 0 and "install/try FOLDER" in done.stdout and not (checkout / ".venv").exists()


def test_the_scripts_are_clean_posix_shell() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed here; the check before landing installs it")
    done = subprocess.run(["shellcheck", "-x", *SCRIPTS], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_scripts_can_be_run() -> None:
    for script in SCRIPTS:
        if not script.endswith(".sh"):
            assert os.access(ROOT / script, os.X_OK), script


def test_the_lock_files_name_no_host_and_cover_every_dependency() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name, wanted in (
        ("requirements.txt", project["dependencies"]),
        ("requirements-test.txt", project["dependencies"] + project["optional-dependencies"]["test"]),
    ):
        text = (ROOT / "install" / name).read_text()
        assert "://" not in text and "--hash=sha256:" in text
        pinned = {line.partition("==")[0] for line in text.splitlines() if "==" in line}
        for requirement in wanted:
            assert requirement.partition(">=")[0] in pinned, f"{name} lacks {requirement}"
