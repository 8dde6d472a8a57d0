"""Is anybody still writing this file? Asked with a Linux read lease, which the kernel refuses while a writer has it open or mapped.

The lease is given back at once. Where leases are unknown (network file systems, files of other owners, other kernels)
the answer is None, and the quiet window alone decides.
"""

import errno
import fcntl
import signal

_SET_LEASE = getattr(fcntl, "F_SETLEASE", None)
_SET_SIGNAL = getattr(fcntl, "F_SETSIG", 10)


def has_writer(fd: int) -> bool | None:
    """Whether another descriptor has the file of `fd` (opened for reading only) open for writing; None if it cannot be told."""
    if _SET_LEASE is None:
        return None
    try:
        # A writer that comes within these microseconds breaks the lease, and the kernel signals the holder: by default
        # with SIGIO, which ends a process. SIGURG is ignored by default.
        fcntl.fcntl(fd, _SET_SIGNAL, signal.SIGURG)
        fcntl.fcntl(fd, _SET_LEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, _SET_LEASE, fcntl.F_UNLCK)
    except OSError as problem:
        return True if problem.errno in (errno.EAGAIN, errno.EWOULDBLOCK) else None
    return False
