"""One item's files, lent to a worker that becomes another user, and taken back when it is dead. Only root can do either."""

import os
import stat
from pathlib import Path

from dmc.jobs import Job


def lend(job: Job, uid: int, gid: int) -> None:
    """Let that user read the original, pass the item's folder and own out/; nothing else of the item changes hands."""
    item = Path(job.out_dir).parent
    os.chmod(item, stat.S_IMODE(item.stat().st_mode) | stat.S_IXOTH)
    mode = stat.S_IMODE(os.lstat(job.original).st_mode)
    os.chown(job.original, -1, gid, follow_symlinks=False)
    os.chmod(job.original, mode | stat.S_IRGRP)
    os.chown(job.out_dir, uid, gid)


def take_back(job: Job) -> str | None:
    """Shut the item's folder and own out/ and the plain files in it again, so that no later worker of that user can read or touch
    them. The worker is dead. Returns why that is not possible, if so."""
    me, group, item = os.geteuid(), os.getegid(), Path(job.out_dir).parent
    try:
        os.chmod(item, stat.S_IMODE(item.stat().st_mode) & ~stat.S_IXOTH)
        os.chown(job.out_dir, me, group, follow_symlinks=False)
        with os.scandir(job.out_dir) as entries:
            for entry in entries:
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
                    os.chown(entry.path, me, group, follow_symlinks=False)
    except FileNotFoundError:
        return None  # It was cancelled, and its folder removed.
    except OSError as problem:
        return f"out/ could not be taken back ({problem.strerror})"
    return None
