"""`dmc backup` and `dmc restore` as a person calls them: what they print, and their exit codes."""

import json
from pathlib import Path

import pytest

from dmc.cli.main import run


def test_there_and_back_with_exit_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DMC_HOME", str(tmp_path / "home"))
    file, new = str(tmp_path / "b.tar.gz"), str(tmp_path / "new")
    assert run(["backup", file]) == 5, "there is nothing yet"
    (tmp_path / "a.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    assert run(["broker", "add", str(tmp_path / "a.wav")]) == 0
    assert run(["backup", file, "--dry-run"]) == 0
    assert not Path(file).exists()
    capsys.readouterr()
    assert run(["backup", file, "--with-media", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["items"], told["media"], told["with_secrets"]) == ("dmc.backup/1", 1, 1, False)
    assert run(["backup", file]) == 6
    assert run(["backup", file, "--verify"]) == 0
    assert run(["restore", file]) == 6, "this data folder is in use"
    assert run(["restore", file, "--data-folder", new, "--dry-run"]) == 0
    assert not Path(new).exists()
    capsys.readouterr()
    assert run(["restore", file, "--data-folder", new, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["items"], told["left_out"]) == ("dmc.restore/1", 1, [])
    assert run(["broker", "verify", "--data-folder", new]) == 0
    Path(file).write_bytes(Path(file).read_bytes()[:-20])
    assert run(["backup", file, "--verify"]) == 10
