"""Which file systems end at a network, told by the kernel's own list."""

from pathlib import Path

import pytest

from dmc.assemble.server import open_parts
from dmc.cli.main import run
from dmc.errors import BadSettings
from dmc.mounts import mount_of, network_kind
from dmc.server_settings import ServerSettings

MOUNTS = """\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:30 / /mnt/nfs rw - nfs4 nas:/share rw,vers=4.2
31 27 0:31 / /mnt/cifs rw shared:1 - cifs //nas/share rw
32 27 0:32 / /mnt/smb3 rw - smb3 //nas/share rw
33 27 0:33 / /mnt/sshfs rw - fuse.sshfs nas: rw
34 27 0:34 / /mnt/pool rw - fuse.mergerfs 1:2 rw
35 27 0:35 / /mnt/usb rw - fuseblk /dev/sdb1 rw
36 27 0:36 / /mnt/9p rw - 9p nas rw,trans=tcp
37 27 0:37 / /mnt/host rw - 9p share rw,sync,trans=virtio
38 30 0:38 / /mnt/nfs/disk rw - xfs /dev/sdc1 rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/dmc", ""),
        ("/mnt/nfs/dmc", "nfs4"),
        ("/mnt/cifs", "cifs"),
        ("/mnt/smb3/dmc", "smb3"),
        ("/mnt/sshfs/dmc", "fuse.sshfs"),
        ("/mnt/pool/dmc", ""),
        ("/mnt/usb/dmc", ""),
        ("/mnt/9p/dmc", "9p"),
        ("/mnt/host/dmc", ""),
        ("/mnt/nfs/disk/dmc", ""),
    ],
)
def test_what_ends_at_a_network_is_told_from_disks_and_folders_of_this_host(path: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_bytes", lambda _: MOUNTS.encode())
    assert network_kind(Path(path)) == kind


def test_a_folder_reached_by_a_link_lies_where_the_link_leads(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    table = f"27 1 254:0 / / rw - ext4 /dev/vda rw\n30 27 0:30 / {tmp_path / 'disk'} rw - nfs nas:/share rw\n"
    assert mount_of(str((tmp_path / "link").resolve()), table).is_network
    assert not mount_of(str(tmp_path / "link"), table).is_network, "so links are resolved first"


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that lists everything as a share."""
    real = Path.read_bytes
    table = b"30 1 0:30 / / rw - nfs4 nas:/share rw\n"
    monkeypatch.setattr(Path, "read_bytes", lambda path: table if path.name == "mountinfo" else real(path))


@pytest.mark.usefixtures("shared")
def test_a_data_folder_on_a_share_is_refused_at_start_unless_the_settings_take_it(tmp_path: Path) -> None:
    settings = ServerSettings(data_folder=tmp_path / "data")
    with pytest.raises(BadSettings) as caught, open_parts(settings, recover=True):
        pass
    assert "(nfs4)" in caught.value.message and "local disk" in caught.value.hint
    assert list((tmp_path / "data").iterdir()) == [], "nothing is begun there"
    with open_parts(settings.model_copy(update={"network_data_folder": True}), recover=True) as parts:
        assert parts.storage.places() == []


@pytest.mark.usefixtures("shared")
def test_the_server_ends_with_2_and_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["server", "run", "--data-folder", str(tmp_path / "data"), "--port", "0"]) == 2
    told = capsys.readouterr().err
    assert "lies on a network file system (nfs4)" in told and "network_data_folder = true" in told and "Traceback" not in told
