"""On which kind of file system does a folder lie?

inotify hears nothing of changes that other machines make, so those are polled; and a ledger is not kept where locks and
syncs end at a network. `mount_of` is pure over the text of /proc/self/mountinfo; where that file is missing, disks are trusted.
"""

import os
from dataclasses import dataclass
from pathlib import Path

NETWORK_KINDS = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb", "smb3", "smbfs", "ncpfs", "afs", "ceph", "lustre", "glusterfs", "davfs", "9p"),
        *("fuse.sshfs", "fuse.rclone", "fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.s3fs", "fuse.gcsfuse", "fuse.smbnetfs"),
        *("fuse.davfs", "fuse.curlftpfs", "fuse.juicefs", "fuse.seaweedfs", "fuse.moosefs", "fuse.mfs", "fuse.afpfs", "fuse.gvfsd-fuse"),
    }
)
"""File systems whose disk is in another machine."""

POLLED_KINDS = NETWORK_KINDS | {"gfs2", "ocfs2", "virtiofs", "vboxsf", "vmhgfs", "prl_fs", "fuse", "fuseblk"}
"""File systems that others may change behind this kernel's back; `fuse.*` counts as well."""

_OF_THIS_HOST = frozenset({"trans=virtio", "trans=fd", "trans=xen"})
"""9p that a virtual machine or a container gets its host's folders by; no network is in between."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A file system as the kernel lists it: its type, e.g. `ext4`, and the options of the file system itself."""

    kind: str
    options: frozenset[str] = frozenset()

    @property
    def is_polled(self) -> bool:
        return self.kind in POLLED_KINDS or self.kind.startswith("fuse.")

    @property
    def is_network(self) -> bool:
        return self.kind in NETWORK_KINDS and not (self.kind == "9p" and self.options & _OF_THIS_HOST)


def is_polled(folder: Path) -> bool:
    """Whether `folder` must be scanned, since events cannot be relied on there."""
    return _look(folder).is_polled


def network_kind(folder: Path) -> str:
    """The type of the network file system that `folder` lies on, or would; empty for a disk of this machine."""
    mount = _look(folder)
    return mount.kind if mount.is_network else ""


def _look(folder: Path) -> Mount:
    try:
        table = Path("/proc/self/mountinfo").read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return Mount("")
    return mount_of(os.path.realpath(folder), table)


def mount_of(path: str, mountinfo: str) -> Mount:
    """The file system that `path` (absolute, links resolved) lies on; of an empty kind if the table does not say."""
    best, found = "", Mount("")
    for line in mountinfo.splitlines():
        left, dash, right = line.partition(" - ")
        fields = left.split(" ")
        if not dash or len(fields) < 5:
            continue
        point = _unescape(fields[4])
        # Later lines are mounted over earlier ones, so an equal mount point wins too.
        if len(point) >= len(best) and (path == point or path.startswith(point.rstrip("/") + "/")):
            kind, _, rest = right.partition(" ")
            best, found = point, Mount(kind, frozenset(rest.rpartition(" ")[2].split(",")))
    return found


def _unescape(text: str) -> str:
    for code, sign in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, sign)
    return text
