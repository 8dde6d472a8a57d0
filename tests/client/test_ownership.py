"""Whom results belong to: as the settings say, and open to nobody who could not read the source."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dmc.client import deliver
from dmc.client.ownership import Ownership, ownership
from dmc.errors import BadSettings
from dmc.files import RealDisk

NOBODY = 65534
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to somebody else")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("source", "umask", "result"), [(0o644, 0o027, 0o640), (0o600, 0o000, 0o600), (0o666, 0o077, 0o600), (0o640, 0o022, 0o640)]
)
def test_a_umask_only_ever_takes_away(tmp_path: Path, source: int, umask: int, result: int) -> None:
    file = tmp_path / "result"
    file.touch(0o600)
    Ownership(umask=umask).settle_file(file, source)
    assert _mode(file) == result


def test_folders_made_for_results_are_dressed_too_and_those_that_were_there_are_not(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o755)
    deliver.make_folders(tmp_path / "a/b", RealDisk(), Ownership(umask=0o077))
    assert [_mode(path) for path in (tmp_path, tmp_path / "a", tmp_path / "a/b")] == [0o755, 0o700, 0o700]


@only_root
def test_results_and_their_folders_are_given_away(tmp_path: Path) -> None:
    owned = ownership(str(NOBODY), "nogroup", "027")
    deliver.make_folders(tmp_path / "a", RealDisk(), owned)
    (tmp_path / "a/result").touch()
    owned.settle_file(tmp_path / "a/result", 0o644)
    for path in (tmp_path / "a", tmp_path / "a/result"):
        assert path.stat().st_uid == NOBODY
        assert path.stat().st_gid == ownership(None, "nogroup", None).group
    assert _mode(tmp_path / "a/result") == 0o640


def test_a_share_that_knows_no_owners_gets_the_result_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    (tmp_path / "result").touch()
    Ownership(user=1, umask=0o077).settle_file(tmp_path / "result", 0o644)
    assert _mode(tmp_path / "result") == 0o600


def test_names_that_do_not_exist_and_gifts_that_are_not_allowed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSettings, match="no owner called no-such-user"):
        ownership("no-such-user", None, None)
    with pytest.raises(BadSettings, match="no group called no-such-group"):
        ownership(None, "no-such-group", None)
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    with pytest.raises(BadSettings, match="only root may give"):
        ownership("0", None, None)
    with pytest.raises(BadSettings, match="not in the group"):
        ownership(None, "54321", None)
    assert ownership("4321", None, "022") == Ownership(4321, None, 0o022)


@pytest.mark.parametrize("how", [os.symlink, os.link], ids=["a link", "a second name"])
def test_nobody_gets_another_file_by_putting_it_where_the_result_was(tmp_path: Path, how: Callable[[Path, Path], None]) -> None:
    secret, temp = tmp_path / "secret", tmp_path / "temp"
    secret.touch(0o600)
    how(secret, temp)
    with pytest.raises(OSError):
        Ownership(user=os.geteuid()).settle_file(temp, 0o644)
    assert _mode(secret) == 0o600


def test_nobody_gets_another_folder_by_putting_a_link_where_one_was_made(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(0o755)
    (tmp_path / "made").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        Ownership(umask=0o077).settle_folder(tmp_path / "made")
    assert _mode(tmp_path / "elsewhere") == 0o755
