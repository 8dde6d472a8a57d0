"""Large buffers from the heap, in large pages, and kept for the next: for work that fills several of them, one after the other.

By default the C library takes each from the kernel anew, and gives it back: the pages of a picture of one megapixel cost 6,000 faults
then, a tenth of the time that its conversion takes in a virtual machine. Does nothing where there is no glibc.
Sources: mallopt(3), malloc.h of glibc, madvise(2).
"""

import ctypes

from dmc.convert.libc import LIBC
from dmc.convert.release import allow_large_pages

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_LARGEST = 32 * 1024 * 1024
"""Bytes of the largest buffer that is kept; glibc takes no more."""
_AHEAD = 32 * 1024 * 1024
_KEPT = 256 * 1024 * 1024
_HUGE_PAGE = 2 * 1024 * 1024
_MADV_HUGEPAGE = 14


def keep_large_buffers() -> None:
    """From now on, and for the life of this process, though it was kept to small pages so far (release.py): no encoder of video runs."""
    if not all(hasattr(LIBC, name) for name in ("gnu_get_libc_version", "mallopt", "sbrk", "madvise")):
        return
    for what, value in ((_MMAP_THRESHOLD, _LARGEST), (_TRIM_THRESHOLD, _KEPT), (_TOP_PAD, _AHEAD)):
        LIBC.mallopt(ctypes.c_int(what), ctypes.c_int(value))
    allow_large_pages()
    LIBC.malloc.restype = LIBC.sbrk.restype = ctypes.c_void_p
    LIBC.free(ctypes.c_void_p(LIBC.malloc(ctypes.c_size_t(_AHEAD - _HUGE_PAGE))))  # Its pages stay untouched.
    end = LIBC.sbrk(ctypes.c_ssize_t(0))
    begin = -(-(end - 2 * _AHEAD + _HUGE_PAGE) // _HUGE_PAGE) * _HUGE_PAGE
    LIBC.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end // _HUGE_PAGE * _HUGE_PAGE - begin), ctypes.c_int(_MADV_HUGEPAGE))
