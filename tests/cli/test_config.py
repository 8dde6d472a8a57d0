"""`dmc config` and the changes that `dmc client folder` makes to client.toml."""

import json
import os
import tomllib
from pathlib import Path

import pytest

from dmc.cli.main import run
from dmc.client.marker import FILE_NAME, MARKER, Marks
from dmc.config import load_client
from dmc.files import RealDisk


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DMC_HOME", str(tmp_path))
    return tmp_path


def test_show_names_the_origin_of_every_value(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "server.toml").write_text("listen_on_port = 9000\n")
    monkeypatch.setenv("DMC_SERVER__LIMITS__STALL_S", "60")
    assert run(["config", "show", "--origin"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"listen_on_port = 9000  # {home / 'server.toml'}" in lines
    assert "limits.stall_s = 60.0  # environment" in lines
    assert 'listen_on_address = "127.0.0.1"  # default' in lines


def test_show_as_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "show", "--json", "--origin"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "dmc.config/1" and set(document) == {"schema", "server", "client", "origins"}


def test_check_says_what_is_wrong_and_ends_with_2(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "check"]) == 0
    (home / "client.toml").write_text("rescan_intervall_s = 1\n")
    assert run(["config", "check"]) == 2
    assert "Did you mean 'rescan_interval_s'?" in capsys.readouterr().err


def test_path_tells_where_files_are_looked_for(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "server.toml").write_text("")
    assert run(["config", "path"]) == 0
    assert f"{home / 'server.toml'}  (this one counts)" in capsys.readouterr().out


def test_a_folder_is_added_and_removed_and_all_other_lines_stay(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = home / "client.toml"
    file.write_text("# mine\nsettle_s = 1.0  # quick\n\n[[list_of_servers]]\nport = 8771\n")
    before = file.read_text()
    folder = home / 'in \N{ROCKET} "box"'
    folder.mkdir()
    assert run(["client", "folder", "add", str(folder), "--to", "web", "--dry-run"]) == 0
    assert file.read_text() == before
    assert run(["client", "folder", "add", str(folder), "--to", "web"]) == 0
    observed = tomllib.loads(file.read_text())["list_of_paths_to_observe"]
    assert observed == [{"path": str(folder), "conversion_types": {"video": "web"}}]
    assert run(["client", "folder", "add", str(folder)]) == 6
    capsys.readouterr()
    assert run(["client", "folder", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["folders"][0]["path"] == str(folder)
    assert run(["client", "folder", "remove", str(folder)]) == 0
    assert file.read_text() == before.rstrip("\n") + "\n"
    assert run(["client", "folder", "remove", str(folder)]) == 5


def test_a_folder_that_is_not_there_is_refused(home: Path) -> None:
    assert run(["client", "folder", "add", str(home / "nowhere")]) == 5
    assert run(["client", "folder", "add", str(home), "--to", "h266"]) == 2


def test_the_first_folder_makes_the_file(home: Path) -> None:
    folder = home / "inbox"
    folder.mkdir()
    assert run(["client", "folder", "add", str(folder)]) == 0
    assert tomllib.loads((home / "client.toml").read_text())["list_of_paths_to_observe"] == [{"path": str(folder)}]


def test_a_folder_may_leave_out_what_belongs_to_its_files(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = home / "inbox"
    folder.mkdir()
    assert run(["client", "folder", "add", str(folder), "--no-sidecars", "--dry-run"]) == 0
    assert not (home / "client.toml").exists()
    assert run(["client", "folder", "add", str(folder), "--no-sidecars"]) == 0
    assert tomllib.loads((home / "client.toml").read_text())["list_of_paths_to_observe"] == [{"path": str(folder), "sidecars": False}]
    assert run(["client", "folder", "remove", str(folder)]) == 0
    assert run(["client", "folder", "add", str(folder), "--sidecars"]) == 0
    assert "sidecars" not in (home / "client.toml").read_text(), "the default needs no line"


@pytest.mark.parametrize(
    "content", [b"a = [", b'state_folder = "\xff"', b"[[list_of_paths_to_observe]]\npath = 3", b"list_of_paths_to_observe = 3"]
)
def test_a_settings_file_that_is_not_valid_is_left_alone_by_folder_add_and_remove(home: Path, content: bytes) -> None:
    (home / "client.toml").write_bytes(content)
    assert run(["client", "folder", "add", str(home)]) == 2
    assert run(["client", "folder", "remove", str(home)]) == 2
    assert (home / "client.toml").read_bytes() == content


def test_a_folder_whose_name_toml_cannot_hold_is_refused_in_words(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = home / os.fsdecode(b"not-\xff-utf8")
    folder.mkdir()
    assert run(["client", "folder", "add", str(folder)]) == 2
    assert "is not UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("days", ["inf", "nan", "1e12"])
def test_a_retention_that_no_calendar_holds_is_refused(home: Path, days: str) -> None:
    (home / "server.toml").write_text(f"[retention]\nacknowledged_days = {days}\n")
    assert run(["config", "check"]) == 2


def test_an_output_folder_whose_disk_is_not_there_is_shown_as_offline(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, output = home / "inbox", home / "archive"
    for place in (folder, output):
        place.mkdir()
        (place / "clip.mp4").write_bytes(b"x")
    assert run(["client", "folder", "add", str(folder), "--output", str(output)]) == 0
    state = load_client(None).settings.state_folder
    state.mkdir(parents=True, exist_ok=True)
    Marks(state / FILE_NAME, RealDisk()).look_home(output)

    def said(*words: str) -> str:
        capsys.readouterr()
        assert run([*words]) == 0
        return capsys.readouterr().out

    assert json.loads(said("client", "folder", "list", "--json"))["folders"][0]["output_state"] == "present"
    assert "offline" not in said("client", "folder", "list")
    (output / MARKER).write_text("0" * 32 + "\n")
    assert json.loads(said("client", "folder", "list", "--json"))["folders"][0]["output_state"] == "strange"
    assert "output folder is offline" in " ".join(said("client", "folder", "list").split())
    assert json.loads(said("status", "--json"))["offline_folders"] == [str(output)]
    said("client", "folder", "trust", str(output))
    assert json.loads(said("status", "--json"))["offline_folders"] == []


def test_a_folder_with_another_in_its_place_is_shown_as_offline_and_can_be_trusted(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = home / "inbox"
    folder.mkdir()
    (folder / "clip.mp4").write_bytes(b"x")
    assert run(["client", "folder", "add", str(folder)]) == 0
    state = load_client(None).settings.state_folder
    state.mkdir(parents=True, exist_ok=True)
    Marks(state / FILE_NAME, RealDisk()).look(folder)
    (folder / MARKER).write_text("0" * 32 + "\n")
    capsys.readouterr()

    def said(*words: str) -> tuple[str, str]:
        assert run([*words]) == 0
        told = capsys.readouterr()
        return told.out, told.err

    assert json.loads(said("client", "folder", "list", "--json")[0])["folders"][0]["state"] == "strange"
    assert "offline" in said("client", "folder", "list")[0]
    out, err = said("status", "--json")
    assert json.loads(out)["offline_folders"] == [str(folder)]
    assert "offline" in err
    said("client", "folder", "trust", str(folder), "--dry-run")
    assert "offline" in said("client", "folder", "list")[0]
    said("client", "folder", "trust", str(folder))
    assert "offline" not in said("client", "folder", "list")[0]
    assert run(["client", "folder", "trust", str(folder)]) == 5
