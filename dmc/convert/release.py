"""What a worker does to hold no more memory than its encoder needs.

Containers that were closed are given back at once, and not when the collector happens to come by. PyAV's containers and their streams
hold each other, so closing one ends neither its decoders nor its encoders: the 200 MB of an x264 would lie beside the check that follows.
"""

import contextlib
import ctypes
import gc
from collections.abc import Iterator

from dmc.convert import sandbox
from dmc.convert.libc import LIBC

_M_ARENA_MAX = -8
_PR_SET_THP_DISABLE = 41


def keep_to_one_heap() -> None:
    """No heap of its own for each thread, where the C library can be told: codecs seldom ask for memory, and 4 MB would lie idle.

    Called before the first thread begins. Source: mallopt(3), glibc's.
    """
    mallopt = getattr(LIBC, "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def keep_to_small_pages() -> None:
    """No huge pages for this process, where the kernel lets it choose; `allow_large_pages` takes it back.

    x264 asks for them, which rounds its pictures up to 2 MB each: a twentieth of its memory, without a gain in time that could be measured
    at 720p, and with a loss at 4K, where they are cleared for nothing. Source: prctl(2).
    """
    with contextlib.suppress(OSError):
        sandbox.prctl(_PR_SET_THP_DISABLE, 1)


def allow_large_pages() -> None:
    """For a process that runs no encoder of video after all."""
    with contextlib.suppress(OSError):
        sandbox.prctl(_PR_SET_THP_DISABLE, 0)


@contextlib.contextmanager
def only_what_is_new() -> Iterator[None]:
    """While the body runs, `release` looks only through what came to be in it: milliseconds, however much there was before."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def release() -> None:
    """Free what nobody can reach any more; called where a container has gone out of sight."""
    gc.collect()


def trim() -> None:
    """Give the kernel back what is free in the heap, where the C library can tell.

    Of a process that is about to be forked: its children would copy the old bytes of each page before they write over them.
    """
    give_back = getattr(LIBC, "malloc_trim", None)
    if give_back is not None:
        give_back(ctypes.c_size_t(0))
