"""Engines of a machine that has room for one worker only: whoever imports this can fork once."""

import errno
import os

from tests.convert.engines import sleeps_for_ever

__all__ = ["sleeps_for_ever"]

_fork = os.fork
_left = [1]


def _last_fork() -> int:
    if not _left:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
    _left.pop()
    return _fork()


os.fork = _last_fork
