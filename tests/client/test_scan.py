"""C6, C7, C10: what a walk finds, passes over, and never does."""

import os
import socket
import tracemalloc
from pathlib import Path

import pytest

from dmc.client.ignore import IgnoreRules
from dmc.client.model import ObservedPath
from dmc.client.roots import Roots
from dmc.client.scan import Found, Passed, RootState, Tally, root_state, walk
from dmc.mounts import is_polled, mount_of


def found(root: Path, *excluded: Path) -> list[str]:
    return sorted(os.path.relpath(told.path, root) for told in walk(root, IgnoreRules(), excluded) if isinstance(told, Found))


def test_it_finds_regular_files_at_any_depth_and_counts_folders(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    for name in ("x.mp4", "a/y.mp4", "a/b/z.mp4", os.fsdecode(b"a/\xff\n.mp4")):
        (tmp_path / name).write_bytes(b"x")
    tally = Tally()
    assert len(list(walk(tmp_path, IgnoreRules(), tally=tally))) == 4
    assert tally.folders == 3
    assert found(tmp_path) == sorted(["x.mp4", "a/y.mp4", "a/b/z.mp4", os.fsdecode(b"a/\xff\n.mp4")])
    assert found(tmp_path, tmp_path / "a") == ["x.mp4"]


def test_C10_links_pipes_sockets_and_devices_are_passed_over_with_a_word(tmp_path: Path) -> None:
    (tmp_path / "real.mp4").write_bytes(b"x")
    (tmp_path / "link.mp4").symlink_to("real.mp4")
    (tmp_path / "dangling.mp4").symlink_to("nowhere")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    (tmp_path / "folder.mp4").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.mp4"))
        told = {os.path.basename(each.path): each for each in walk(tmp_path, IgnoreRules())}
    reasons = {name: each.reason for name, each in told.items() if isinstance(each, Passed)}
    assert reasons == {
        "link.mp4": "a link",
        "dangling.mp4": "a link",
        "loop.mp4": "a link",
        "folder.mp4": "a link",
        "pipe.mp4": "a pipe",
        "socket.mp4": "a socket",
    }
    assert isinstance(told["real.mp4"], Found)


def test_ignored_folders_are_not_entered(tmp_path: Path) -> None:
    (tmp_path / "@eaDir").mkdir()
    (tmp_path / "@eaDir/thumb.jpg").write_bytes(b"x")
    tally = Tally()
    assert list(walk(tmp_path, IgnoreRules(), tally=tally)) == []
    assert tally.folders == 1


def test_a_folder_that_goes_away_meanwhile_is_no_fault(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.mp4").write_bytes(b"x")
    walking = walk(tmp_path, IgnoreRules())
    first = next(walking)
    assert isinstance(first, Found)
    other = tmp_path / ("b" if "/a/" in first.path else "a")
    (other / "x.mp4").unlink()
    other.rmdir()
    assert [each for each in walking if isinstance(each, Found)] == []
    assert [type(each) for each in walk(tmp_path / "nowhere", IgnoreRules())] == [Passed]


def test_a_walk_needs_no_memory_for_what_it_has_passed(tmp_path: Path) -> None:
    for folder in range(20):
        (tmp_path / str(folder)).mkdir()
        for number in range(100):
            (tmp_path / str(folder) / f"{number}.mp4").touch()
    tracemalloc.start()
    count = sum(1 for _ in walk(tmp_path, IgnoreRules()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 2000
    assert peak < 100_000


def test_C6_a_root_is_present_empty_or_away(tmp_path: Path) -> None:
    assert root_state(tmp_path) is RootState.EMPTY
    (tmp_path / ".hidden").touch()
    assert root_state(tmp_path) is RootState.PRESENT
    assert root_state(tmp_path / "nowhere") is RootState.AWAY
    assert root_state(tmp_path / ".hidden") is RootState.AWAY


MOUNTS = """\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:30 / /mnt/nas rw - nfs4 nas:/share rw
31 27 0:31 / /mnt/with\\040space rw shared:1 - cifs //nas/share rw
32 27 0:32 / /mnt/sshfs rw - fuse.sshfs nas: rw
33 30 0:33 / /mnt/nas/local rw - tmpfs tmpfs rw
34 30 0:34 / /mnt/nas/local rw - fuseblk /dev/sdb1 rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me", "ext4"),
        ("/mnt/nas", "nfs4"),
        ("/mnt/nas/deep/er", "nfs4"),
        ("/mnt/nasty", "ext4"),
        ("/mnt/with space/x", "cifs"),
        ("/mnt/sshfs/x", "fuse.sshfs"),
        ("/mnt/nas/local/x", "fuseblk"),
    ],
)
def test_C7_the_file_system_of_a_path(path: str, kind: str) -> None:
    assert mount_of(path, MOUNTS).kind == kind


def test_C7_this_disk_is_listened_to(tmp_path: Path) -> None:
    assert not is_polled(tmp_path)
    assert mount_of("/", "").kind == ""


def test_a_file_below_two_observed_folders_belongs_to_the_inner_one(tmp_path: Path) -> None:
    outer, inner = ObservedPath(tmp_path), ObservedPath(tmp_path / "inner")
    roots = Roots([outer, inner])
    root = roots.of(str(tmp_path / "inner" / "clip.mp4"))
    assert root is not None and root.observed == inner
    assert roots.of(str(tmp_path / "converted" / "clip.mp4")) is None
    assert roots.of(str(tmp_path / "inner" / "converted" / "clip.mp4")) is None
    assert roots.of(str(tmp_path / ".hidden" / "clip.mp4")) is None
    assert roots.of("/elsewhere/clip.mp4") is None
    assert roots.of(str(tmp_path) + "-other/clip.mp4") is None
