"""Large buffers from the heap, in large pages, and kept for the next: for work that fills several of them, one after the other.

By default the C library takes each from the kernel anew, and gives it back: the pages of a picture of one megapixel cost 6,000 faults
then, a tenth of the time that its conversion takes in a virtual machine. Does nothing where there is no glibc.
Sources: mallopt(3), malloc.h of glibc, madvise(2).
"""

import ctypes

from dmc.convert.libc import LIBC
from dmc.convert.release import allow_large_pages

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4
_LARGEST = 32 * 1024 * 1024
"""Bytes of the largest buffer that is kept; glibc takes no more."""
_AHEAD, _RESERVED = 32 * 1024 * 1024, 64 * 1024 * 1024
_MAPPED = 65536
"""How many buffers the C library maps by default."""
_KEPT = 256 * 1024 * 1024
_HEAD, _LEAST = 8, 32
"""Bytes that the heap needs before each buffer, and for the smallest one."""
_HUGE_PAGE = 2 * 1024 * 1024
_MADV_HUGEPAGE = 14


def keep_large_buffers() -> None:
    """From now on, and for the life of this process, though it was kept to small pages so far (release.py): no encoder of video runs."""
    if not all(hasattr(LIBC, name) for name in ("gnu_get_libc_version", "mallopt", "madvise")):
        return
    allow_large_pages()
    LIBC.malloc.restype = ctypes.c_void_p
    _set((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _KEPT), (_TOP_PAD, 0))  # So that it is the end of the heap that grows.
    start = LIBC.malloc(ctypes.c_size_t(_RESERVED))
    LIBC.free(ctypes.c_void_p(start))
    _set((_MMAP_MAX, _MAPPED), (_MMAP_THRESHOLD, _LARGEST), (_TOP_PAD, _AHEAD))
    if start is None:
        return
    begin, end = -(-start // _HUGE_PAGE) * _HUGE_PAGE, (start + _RESERVED) // _HUGE_PAGE * _HUGE_PAGE
    LIBC.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), ctypes.c_int(_MADV_HUGEPAGE))
    if begin - start > _LEAST:
        LIBC.malloc(ctypes.c_size_t(begin - start - _HEAD))  # What lies before the first large page is left out.


def _set(*settings: tuple[int, int]) -> None:
    for what, value in settings:
        LIBC.mallopt(ctypes.c_int(what), ctypes.c_int(value))
