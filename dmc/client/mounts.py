"""On which kind of file system does a folder lie? inotify hears nothing of changes that other machines make, so those are polled.

`kind_of` is pure over the text of /proc/self/mountinfo; `is_polled` reads it. Where that file is missing, events are trusted.
"""

import os
from pathlib import Path

POLLED_KINDS = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb", "smb3", "smbfs", "ncpfs", "afs", "ceph", "lustre", "gfs2", "ocfs2", "glusterfs", "davfs"),
        *("9p", "virtiofs", "vboxsf", "vmhgfs", "prl_fs", "fuse", "fuseblk"),
    }
)
"""File systems that others may change behind this kernel's back; `fuse.*` counts as well."""


def is_polled(folder: Path) -> bool:
    """Whether `folder` must be scanned, since events cannot be relied on there."""
    try:
        table = Path("/proc/self/mountinfo").read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return False
    kind = kind_of(os.path.realpath(folder), table)
    return kind in POLLED_KINDS or kind.startswith("fuse.")


def kind_of(path: str, mountinfo: str) -> str:
    """The type of the file system that `path` (absolute, links resolved) lies on; empty if the table does not say."""
    best, kind = "", ""
    for line in mountinfo.splitlines():
        left, dash, right = line.partition(" - ")
        fields = left.split(" ")
        if not dash or len(fields) < 5:
            continue
        point = _unescape(fields[4])
        # Later lines are mounted over earlier ones, so an equal mount point wins too.
        if len(point) >= len(best) and (path == point or path.startswith(point.rstrip("/") + "/")):
            best, kind = point, right.split(" ")[0]
    return kind


def _unescape(text: str) -> str:
    for code, sign in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, sign)
    return text
