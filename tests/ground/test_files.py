"""Durable file operations and names."""

import errno
import os
from pathlib import Path

import pytest

from dmc.errors import BadSettings, DiskFault, DiskFull, NotFound
from dmc.files import RealDisk, fit_name, make_home, publish, remove_tree, safe_name, sha512_of, translate, write_durably, write_loosely


class FullAfterTemp(RealDisk):
    """A disk that is full as soon as a temp file is to be synced."""

    def sync_file(self, path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_durable_write_replaces_whole_files(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    for content in (b"1", b"22", b""):
        write_durably(RealDisk(), target, content)
        assert target.read_bytes() == content
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_failed_write_leaves_the_old_file_and_no_temp(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_bytes(b"old")
    with pytest.raises(OSError, match="No space"):
        write_durably(FullAfterTemp(), target, b"new")
    assert target.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.json"]


def test_a_loose_write_syncs_nothing(tmp_path: Path) -> None:
    write_loosely(FullAfterTemp(), tmp_path / "a", b"x")
    assert (tmp_path / "a").read_bytes() == b"x"


def test_publishing_never_replaces(tmp_path: Path) -> None:
    (tmp_path / "temp").write_bytes(b"new")
    (tmp_path / "taken").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        publish(RealDisk(), tmp_path / "temp", tmp_path / "taken")
    publish(RealDisk(), tmp_path / "temp", tmp_path / "free")
    assert (tmp_path / "taken").read_bytes() == b"old" and (tmp_path / "free").read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == ["free", "taken"]


class NoHardLinks(RealDisk):
    """A file system like exFAT or many network shares."""

    def link(self, source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")


def test_publishing_without_hard_links_never_replaces_either(tmp_path: Path) -> None:
    (tmp_path / "temp").write_bytes(b"new")
    (tmp_path / "taken").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        publish(NoHardLinks(), tmp_path / "temp", tmp_path / "taken")
    publish(NoHardLinks(), tmp_path / "temp", tmp_path / "free")
    assert (tmp_path / "free").read_bytes() == b"new"


def test_removing_a_tree_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").write_bytes(b"x")
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/sub/link").symlink_to(tmp_path / "precious")
    remove_tree(RealDisk(), tmp_path / "tree")
    remove_tree(RealDisk(), tmp_path / "tree")
    assert (tmp_path / "precious/file").exists() and not (tmp_path / "tree").exists()


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("holiday.mov", "holiday.mov"),
        ("../../etc/passwd", "passwd"),
        ("C:\\films\\a.avi", "a.avi"),
        ("a\nb\x00c.mp4", "a_b_c.mp4"),
        ("", "file"),
        ("..", "file"),
        ("\N{ROCKET}.mp4", "\N{ROCKET}.mp4"),
    ],
)
def test_a_label_never_becomes_a_path(label: str, name: str) -> None:
    assert safe_name(label) == name


def test_a_long_name_is_cut_between_characters_and_keeps_its_ending() -> None:
    cut = fit_name("\N{ROCKET}" * 100 + ".mp4")
    assert len(cut.encode()) <= 255 and cut.endswith("\N{ROCKET}.mp4")
    assert fit_name("a.mp4") == "a.mp4"


def test_sha512_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha512_of(tmp_path / "a").startswith("ddaf35a193617aba")


@pytest.mark.parametrize(
    ("code", "kind"), [(errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EIO, DiskFault), (errno.ENOENT, NotFound)]
)
def test_errors_of_the_disk_become_errors_of_dmc(code: int, kind: type[Exception]) -> None:
    assert type(translate(OSError(code, os.strerror(code)), "writing")) is kind


@pytest.mark.skipif(os.geteuid() != 0, reason="only root could write into a folder of somebody else")
def test_root_leaves_nothing_in_a_folder_of_somebody_else(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    with pytest.raises(BadSettings, match="belongs to user 65534") as told:
        make_home(home)
    assert "sudo -u '#65534'" in told.value.hint
    os.chown(home, 0, 0)
    make_home(home)
