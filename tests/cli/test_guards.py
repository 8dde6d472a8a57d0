"""Folders told to systemd: `dmc server folder`, and what `dmc client folder` writes for the client's unit."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmc.cli.guards import asserted, drop_in, follow, following, mount_unit, required, requiring, store
from dmc.cli.main import run

NAMES = ["/mnt/my nas", "/a-b/.c", "/ü/x", "/mnt/50%", '/mnt/"quoted"', "/mnt/back\\slash", "/-x", "/.x"]


@pytest.mark.parametrize("name", NAMES)
def test_a_mount_units_name_is_what_systemd_makes_of_the_path(name: str) -> None:
    if shutil.which("systemd-escape") is None:
        pytest.skip("systemd-escape is not installed here")
    done = subprocess.run(["systemd-escape", "--path", "--suffix=mount", name], capture_output=True, text=True, check=True)
    assert mount_unit(Path(name)) == done.stdout.strip()


@given(st.lists(st.text(st.characters(exclude_characters="/\0\n", exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1), max_size=4))
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    file = tmp_path_factory.mktemp("units") / "folders.conf"
    folders = tuple(Path("/mnt") / name for name in names if name not in (".", ".."))
    file.write_text(requiring(folders, writable=True), encoding="utf-8")
    assert required(file) == folders


def test_a_folder_of_the_service_is_added_listed_and_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    units, folder = tmp_path / "units", tmp_path / "big disk"
    folder.mkdir()
    place = ["--units", str(units)]
    assert run(["server", "folder", "add", str(folder), "--dry-run", *place]) == 0 and not units.exists()
    assert run(["server", "folder", "add", str(folder), *place]) == 0
    text = (units / "dmc-server.service.d" / "folders.conf").read_text()
    assert f'RequiresMountsFor="{folder}"' in text and f'ReadWritePaths="-{folder}"' in text
    assert (units / "dmc-broker.service.d" / "folders.conf").read_text() == text
    assert "systemctl reenable dmc-server.service &&" in capsys.readouterr().err
    assert run(["server", "folder", "add", str(folder), *place]) == 6
    assert run(["server", "folder", "add", str(tmp_path / "absent"), *place]) == 5
    capsys.readouterr()
    assert run(["server", "folder", "list", "--json", *place]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(one["path"], one["there"]) for one in listed["folders"]] == [(str(folder), True)]
    assert run(["server", "folder", "remove", str(folder), *place]) == 0
    assert run(["server", "folder", "remove", str(folder), *place]) == 5
    assert required(drop_in(units, "dmc-server.service")) == ()


def test_the_service_ends_with_the_mount_and_begins_with_it_also_where_it_is_away_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.ismount", lambda path: str(path) in ("/", "/mnt/usb"))
    folders = [Path("/srv/dmc"), Path("/mnt/usb/dmc")]
    there = requiring(folders, writable=True)
    assert "BindsTo=mnt-usb.mount\n" in there and there.endswith("[Install]\nWantedBy=mnt-usb.mount\n") and "-.mount" not in there
    monkeypatch.setattr("os.path.ismount", lambda path: str(path) == "/")
    assert requiring(folders, writable=True, known=there) == there
    assert "mnt-usb" not in requiring(folders[:1], writable=True, known=there)


def test_systemd_accepts_the_unit_with_its_folders(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed here")
    unit = tmp_path / "dmc-server.service"
    template = Path(__file__).parents[2] / "install/systemd/system/dmc-server.service"
    unit.write_text(template.read_text().replace("@PROGRAM@", "/bin/true"))
    store(drop_in(tmp_path, unit.name), requiring([Path("/srv/a b"), Path("/srv/50%")], writable=True))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "folders.conf" not in done.stderr, done.stderr


def test_the_client_starts_after_the_mounts_of_its_folders_and_does_not_require_them() -> None:
    text = following([Path("/mnt/nas"), Path("/"), Path("/mnt/nas")])
    assert text.count("After=mnt-nas.mount") == 1 and "Requires" not in text and "-.mount" not in text


def test_a_client_folder_is_told_to_systemd_only_where_the_client_is_its_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("DMC_HOME", raising=False)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    units = tmp_path / "config" / "systemd" / "user"
    assert run(["client", "folder", "add", str(tmp_path / "one")]) == 0 and not units.exists()
    units.mkdir(parents=True)
    (units / "dmc-client.service").touch()
    assert run(["client", "folder", "add", str(tmp_path / "two")]) == 0
    assert drop_in(units, "dmc-client.service").read_text().startswith("# Kept by: dmc client folder")


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """The places that are mounted, besides `/`."""
    mounts: set[Path] = set()
    monkeypatch.setattr("os.path.ismount", lambda path: Path(path) in mounts or Path(path) == Path("/"))
    return mounts


def test_a_mount_is_required_only_if_asked_and_stays_so_while_it_is_away(tmp_path: Path, mounted: set[Path]) -> None:
    nas, usb = tmp_path / "my nas 50%", tmp_path / "usb"
    mounted |= {nas, usb}
    file = drop_in(tmp_path, "dmc-client.service")
    assert follow(file, [nas / "films"], require=[nas / "films"])
    text = file.read_text()
    assert f"AssertPathIsMountPoint={tmp_path}/my nas 50%%\n" in text and "After=" not in text
    assert required(file) == (nas / "films",)
    mounted.remove(nas)
    assert follow(file, [nas / "films", usb])
    assert asserted(file) == {nas / "films": nas}
    assert f"After={mount_unit(usb)}" in file.read_text()
    follow(file, [usb])
    assert asserted(file) == {}


def test_systemd_accepts_the_clients_unit_with_a_required_mount(tmp_path: Path, mounted: set[Path]) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed here")
    mounted.add(tmp_path / "a b 50%")
    unit = tmp_path / "dmc-client.service"
    template = Path(__file__).parents[2] / "install/systemd/user/dmc-client.service"
    unit.write_text(template.read_text().replace("@PROGRAM@", "/bin/true"))
    follow(drop_in(tmp_path, unit.name), [tmp_path / "a b 50%"], require=[tmp_path / "a b 50%"])
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "folders.conf" not in done.stderr, done.stderr


def test_a_mount_that_nobody_could_require_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounted: set[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("DMC_HOME", raising=False)
    (tmp_path / "share").mkdir()
    add = ["client", "folder", "add", str(tmp_path / "share"), "--require-mount"]
    assert run(add) == 6 and "no service" in capsys.readouterr().err
    units = tmp_path / "config" / "systemd" / "user"
    units.mkdir(parents=True)
    (units / "dmc-client.service").touch()
    assert run(add) == 6 and "no mount" in capsys.readouterr().err
    assert not list((tmp_path / "config").rglob("*.toml")) and not (units / "dmc-client.service.d").exists()
    mounted.add(tmp_path / "share")
    assert run([*add, "--dry-run"]) == 0 and not (units / "dmc-client.service.d").exists()
    assert run(add) == 0
    assert asserted(drop_in(units, "dmc-client.service")) == {tmp_path / "share": tmp_path / "share"}
    assert run(["client", "folder", "remove", str(tmp_path / "share")]) == 0
    assert asserted(drop_in(units, "dmc-client.service")) == {}
