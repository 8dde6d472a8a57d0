"""Whom results belong to: as the settings say, and open to nobody who could not read the source."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dmc.client import deliver
from dmc.client.ownership import Ownership, base_of, ownership
from dmc.client.transport import LocalFault
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
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere").chmod(0o755)
    (tmp_path / "made").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        Ownership(umask=0o077).settle_folder(tmp_path / "made")
    assert _mode(tmp_path / "elsewhere") == 0o755


@pytest.mark.parametrize("link", ["converted", "converted/2024"])
def test_nothing_is_made_or_given_away_through_a_link_above_it(tmp_path: Path, link: str) -> None:
    inbox, elsewhere = tmp_path / "inbox", tmp_path / "elsewhere"
    for folder in (inbox, elsewhere / "2024", (inbox / link).parent):
        folder.mkdir(parents=True, exist_ok=True)
    (elsewhere / "2024").chmod(0o755)
    (elsewhere / "secret").touch(0o600)
    (inbox / link).symlink_to(elsewhere)
    owned = Ownership(user=os.geteuid(), umask=0o077, below=inbox)
    for call in (
        lambda: deliver.make_folders(inbox / link / "new" / "newer", RealDisk(), owned),
        lambda: deliver.make_folders(inbox / link, RealDisk(), owned),
        lambda: owned.settle_file(inbox / link / "secret", 0o644),
        lambda: owned.settle_folder(inbox / link / "2024"),
    ):
        with pytest.raises(LocalFault, match=f"{Path(link).name} is a link"):
            call()
    assert sorted(path.name for path in elsewhere.iterdir()) == ["2024", "secret"]
    assert _mode(elsewhere / "secret") == 0o600
    assert _mode(elsewhere / "2024") == 0o755


def test_below_a_guarded_folder_results_get_their_folders_and_are_dressed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk").chmod(0o755)
    (tmp_path / "inbox").symlink_to(tmp_path / "disk")
    below = tmp_path / "inbox" / "out"
    owned = Ownership(user=os.geteuid(), umask=0o077, below=below)
    for _ in range(2):
        deliver.make_folders(below / "a/b", RealDisk(), owned)
    (below / "a/b/result").touch(0o644)
    owned.settle_file(below / "a/b/result", 0o644)
    assert [_mode(below / name) for name in (".", "a", "a/b", "a/b/result")] == [0o700, 0o700, 0o700, 0o600]
    assert _mode(tmp_path / "disk") == 0o755
    with pytest.raises(OSError):
        deliver.make_folders(below / "a/b/result/c", RealDisk(), owned)
    with pytest.raises(OSError):
        owned.make_folders(below / ".." / "up", RealDisk())
    assert not (tmp_path / "disk/up").exists()


def test_links_are_followed_by_all_but_root_who_gives_results_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "converted").symlink_to(tmp_path / "elsewhere")
    deliver.make_folders(tmp_path / "converted/a", RealDisk(), ownership(None, None, "022", tmp_path))
    assert (tmp_path / "elsewhere/a").is_dir()
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    assert ownership("4321", None, None, tmp_path).below is None
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert ownership("4321", None, None, tmp_path).below == tmp_path


def test_what_the_settings_name_is_the_base_even_if_it_is_a_link(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    assert [base_of(inbox, output) for output in (None, inbox / "out", tmp_path / "archive")] == [inbox, inbox, tmp_path / "archive"]
