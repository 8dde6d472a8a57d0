"""Removes part files that a fetch left and nobody remembers: only our own names, only in folders for results, only when they are old.

Another client may fetch into the same folder, so a young part is left alone whoever it belongs to.
"""

import os
import re
import stat
from collections.abc import Collection, Iterable
from pathlib import Path

from dmc.files import TEMP_PREFIX

OLD_S = 7 * 24 * 3600.0

_PART = re.compile("(" + re.escape(TEMP_PREFIX) + r"[0-9a-f]{12})(\.\d{1,3})?(\.json)?")


def sweep(folders: Iterable[Path], keep: Collection[str], now: float) -> int:
    """Remove old part files below `folders` but for those named in `keep`; `now` is seconds since 1970. Returns how many."""
    removed = 0
    for folder in folders:
        for here, _, names in os.walk(folder):
            for name in names:
                part = _PART.fullmatch(name)
                if part is not None and part[1] not in keep:
                    removed += _remove_if_old(os.path.join(here, name), now)
    return removed


def _remove_if_old(path: str, now: float) -> bool:
    try:
        found = os.lstat(path)
        # The time of the last change of state: the other one is set to that of the source.
        if not stat.S_ISREG(found.st_mode) or now - found.st_ctime < OLD_S:
            return False
        os.unlink(path)
    except OSError:
        return False
    return True
