"""Folders reached without following a link: what others may put into an observed folder leads nowhere else."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def folder_below(root: Path, folder: Path) -> Iterator[int]:
    """A handle of `folder`, reached from `root` without following a link; raises OSError."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    handle = os.open(root, flags)
    try:
        for part in folder.relative_to(root).parts:
            inner = os.open(part, flags | os.O_NOFOLLOW, dir_fd=handle)
            os.close(handle)
            handle = inner
        yield handle
    finally:
        os.close(handle)
