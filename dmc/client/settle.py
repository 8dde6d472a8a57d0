"""Is a file quiet long enough? Pure: looks go in, a verdict comes out; the clock and the disk are the caller's.

A file is quiet when size, mtime, ctime and inode stay equal over a window that runs from the first look that saw them
so. An old mtime never counts as quiet: copying programs set it back.
"""

import os
import stat
from dataclasses import dataclass
from typing import NamedTuple

from dmc.client.model import Timing


class Signature(NamedTuple):
    """What tells one state of a file from another. Times in ns. A tuple, since a walk makes one for each file."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    dev: int

    def same_content(self, other: "Signature") -> bool:
        """Whether nothing speaks for a change. The device number is left out: it may change with a mount."""
        return self[:4] == other[:4]


def signature_of(found: os.stat_result) -> Signature | None:
    """The signature of a regular file, None for everything else."""
    if not stat.S_ISREG(found.st_mode):
        return None
    return Signature(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)


@dataclass(frozen=True, slots=True)
class Seen:
    """A file that may become a drop. `since` and `first` are monotonic seconds, `busy` counts how often it was found in use."""

    signature: Signature
    since: float
    first: float
    busy: int = 0


def look(before: Seen | None, signature: Signature, now: float) -> Seen:
    """What is known after one more look: the window starts anew with every change."""
    if before is None:
        return Seen(signature, now, now)
    if before.signature == signature:
        return before
    return Seen(signature, now, before.first, before.busy)


def found_busy(before: Seen, now: float) -> Seen:
    """The file is still being written though it looked quiet: wait anew, longer each time."""
    return Seen(before.signature, now, before.first, before.busy + 1)


def quiet_at(seen: Seen, timing: Timing, *, polled: bool) -> float:
    """The monotonic time at which the file counts as quiet if nothing changes until then."""
    window = timing.settle_polled_s if polled else timing.settle_s
    if seen.signature.size == 0:
        window = max(window, timing.empty_s)
    return seen.since + min(window * 2.0 ** min(seen.busy, 10), max(window, 60.0))
