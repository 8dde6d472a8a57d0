"""Only new files: what lay in a folder before it was watched is left alone."""

import os
from pathlib import Path

import pytest

from dmc.cli import client as commands
from dmc.cli.main import run
from dmc.client.ignore import IgnoreRules
from dmc.client.left import Left
from dmc.client.model import ObservedPath
from dmc.client.roots import Roots
from dmc.client.scan import Found, walk
from dmc.files import RealDisk
from tests.client.world import World


def _found(folder: Path) -> dict[str, Found]:
    return {Path(one.path).name: one for one in walk(folder, IgnoreRules(())) if isinstance(one, Found)}


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    for name in ("old.wav", "\N{CLAPPER BOARD}.wav"):
        (tmp_path / "inbox" / name).write_bytes(name.encode())
    return tmp_path / "inbox"


def test_what_was_there_is_left_also_when_moved_copied_back_or_given_away(tmp_path: Path, inbox: Path) -> None:
    left = Left(tmp_path / "state", inbox, RealDisk())
    assert not left.made and left.make(walk(inbox, IgnoreRules(()))) == 2
    left = Left(tmp_path / "state", inbox, RealDisk())
    assert left.made and all(left.holds(one.path, one.signature) for one in _found(inbox).values())
    (inbox / "old.wav").rename(inbox / "moved.wav")
    (inbox / "moved.wav").chmod(0o600)
    assert left.holds(str(inbox / "moved.wav"), _found(inbox)["moved.wav"].signature)


def test_new_and_changed_files_are_not_left(tmp_path: Path, inbox: Path) -> None:
    left = Left(tmp_path / "state", inbox, RealDisk())
    left.make(walk(inbox, IgnoreRules(())))
    (inbox / "new.wav").write_bytes(b"new")
    (inbox / "old.wav").write_bytes(b"another content")
    found = _found(inbox)
    assert not left.holds(found["new.wav"].path, found["new.wav"].signature)
    assert not left.holds(found["old.wav"].path, found["old.wav"].signature)


def test_names_are_not_in_the_list(tmp_path: Path, inbox: Path) -> None:
    Left(tmp_path / "state", inbox, RealDisk()).make(walk(inbox, IgnoreRules(())))
    (file,) = (tmp_path / "state" / "left").iterdir()
    assert "old" not in file.read_text() and "inbox" not in str(file.name) and len(file.read_text().split()) == 4


def test_a_root_leaves_only_where_the_settings_say_so(tmp_path: Path, inbox: Path) -> None:
    Left(tmp_path / "state", inbox, RealDisk()).make(walk(inbox, IgnoreRules(())))

    def root(leave: bool) -> bool:
        roots = Roots([ObservedPath(inbox, leave_existing=leave)], left=lambda path: Left(tmp_path / "state", path, RealDisk()))
        return all(roots.all[0].leaves(one.path, one.signature) for one in _found(inbox).values())

    assert root(True) and not root(False)


def test_the_client_converts_only_what_is_new_also_after_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    (folder / "old.mp4").write_bytes(b"old")
    world = World(tmp_path, observed=[ObservedPath(folder, leave_existing=True)])
    world.run(5)
    world.drop("new.mp4", b"new")
    world.live_longer()
    world.restart()
    world.sync.hints.path(world.sync._roots.all[0].key, str(folder / "old.mp4"))
    world.live_longer()
    assert [record.label for record in world.records()] == ["new.mp4"] and world.all_done()
    world.drop("old.mp4", b"old, but edited")
    world.live_longer()
    assert [record.label for record in world.records()] == ["new.mp4", "old.mp4"]


@pytest.mark.parametrize(("flag", "taken"), [("--only-new", 0), ("--all", 2), (None, 2)])
def test_adding_a_folder_from_a_script(
    flag: str | None, taken: int, tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DMC_HOME", str(tmp_path / "home"))
    assert run(["client", "folder", "add", str(inbox), *([flag] if flag else []), "--dry-run"]) == 0
    assert not (tmp_path / "home" / "client.toml").exists() and not (tmp_path / "home" / "client" / "left").exists()
    assert run(["client", "folder", "add", str(inbox), *([flag] if flag else [])]) == 0
    (inbox / "new.wav").write_bytes(b"new")
    capsys.readouterr()
    assert run(["client", "folder", "test", str(inbox)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert len(told) == taken + 1 and any("new.wav" in line for line in told)


@pytest.mark.parametrize(("answer", "only_new"), [(True, False), (False, True)])
def test_on_a_terminal_one_question_is_asked(
    answer: bool, only_new: bool, tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DMC_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(commands.sys.stdin, "isatty", lambda: True, raising=False)
    asked: list[str] = []
    monkeypatch.setattr(commands.typer, "confirm", lambda words, **_: asked.append(words) or answer)
    assert run(["client", "folder", "add", str(inbox)]) == 0
    assert len(asked) == 1 and "2 files are here already." in capsys.readouterr().err
    assert ('existing = "leave"' in (tmp_path / "home" / "client.toml").read_text()) is only_new
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run(["client", "folder", "add", str(empty)]) == 0 and len(asked) == 1, "nothing to ask where nothing is"
    assert os.listdir(empty) == []
