"""The C library of this process, loaded once and before workers are forked: each time it is asked for, ctypes makes classes for it."""

import ctypes

LIBC = ctypes.CDLL(None, use_errno=True)
"""Of its functions `malloc` and `sbrk` give pointers; where that is said, heap.py says it."""
