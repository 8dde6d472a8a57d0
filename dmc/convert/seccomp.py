"""A seccomp filter by plain prctl: what no decoder ever needs is answered with "not permitted".

No sockets, no other programs, no new processes, no looking into, signalling, limiting or slowing others, no changing of modes,
owners and times, no kernel interfaces that are known for their holes. It is a list of what is refused, not of what is allowed:
Landlock holds the files, this holds the rest, and the emptying of files, which Landlock only knows since its third version.
Sources: Linux include/uapi/linux/{seccomp,filter,audit,bpf_common}.h and the two system call tables.
"""

import ctypes
import errno
import functools
import os
import platform
import struct
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dmc.convert.libc import LIBC

_PR_GET_SECCOMP, _PR_SET_SECCOMP, _MODE_FILTER = 21, 22, 2
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _AND, _JUMP_EQ, _JUMP_GE, _JUMP_SET, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_AT_NUMBER, _AT_ARCH, _AT_ARGS = 0, 4, 16
_X32_BIT = 0x40000000
_CLONE_THREAD = 0x00010000
_PR_SET_PDEATHSIG = 1
_SIGNALS_BY_FCNTL = (8, 10, 15)
"""F_SETOWN, F_SETSIG, F_SETOWN_EX: the kernel would signal another process when a descriptor has something to read."""

_SIGNALS_BY_IOCTL = (0x8901, 0x8902)
"""FIOSETOWN and SIOCSPGRP: the same."""

_O_TRUNC, _O_WRONLY, _O_RDWR = 0o1000, 1, 2


@dataclass(frozen=True, slots=True)
class _Machine:
    """One architecture: its audit number, and numbers of system calls by name."""

    audit: int
    refused: Mapping[str, int]
    clone: int
    clone3: int
    prctl: int
    kill: int
    tgkill: int
    tkill: int
    prlimit: int
    fcntl: int
    ioctl: int
    openat: int
    openat2: int
    open: int | None = None


_X86_64 = _Machine(
    audit=0xC000003E,
    clone=56,
    clone3=435,
    prctl=157,
    kill=62,
    tgkill=234,
    tkill=200,
    prlimit=302,
    fcntl=72,
    ioctl=16,
    openat=257,
    openat2=437,
    open=2,
    refused={
        "socket": 41, "connect": 42, "accept": 43, "bind": 49, "listen": 50, "socketpair": 53, "accept4": 288,
        "fork": 57, "vfork": 58, "execve": 59, "execveat": 322,
        "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "process_madvise": 440, "process_mrelease": 448,
        "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297, "pidfd_send_signal": 424, "pidfd_open": 434, "pidfd_getfd": 438,
        "chmod": 90, "fchmod": 91, "fchmodat": 268, "fchmodat2": 452, "chown": 92, "fchown": 93, "lchown": 94, "fchownat": 260,
        "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "setxattrat": 463,
        "removexattr": 197, "lremovexattr": 198, "fremovexattr": 199, "removexattrat": 466,
        "truncate": 76, "utime": 132, "utimes": 235, "futimesat": 261, "utimensat": 280,
        "setpriority": 141, "ioprio_set": 251, "sched_setparam": 142, "sched_setscheduler": 144, "sched_setaffinity": 203,
        "sched_setattr": 314, "migrate_pages": 256, "move_pages": 279,
        "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308, "open_tree": 428,
        "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442,
        "open_by_handle_at": 304, "name_to_handle_at": 303, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
        "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "keyctl": 250, "add_key": 248, "request_key": 249,
        "init_module": 175, "finit_module": 313, "delete_module": 176, "kexec_load": 246, "kexec_file_load": 320, "reboot": 169,
        "swapon": 167, "swapoff": 168, "settimeofday": 164, "clock_settime": 227, "adjtimex": 159, "clock_adjtime": 305,
        "sethostname": 170, "setdomainname": 171, "acct": 163, "quotactl": 179, "quotactl_fd": 443, "syslog": 103, "personality": 135,
        "iopl": 172, "ioperm": 173, "mknod": 133, "mknodat": 259, "fanotify_init": 300, "lookup_dcookie": 212, "nfsservctl": 180,
        "setuid": 105, "setgid": 106, "setreuid": 113, "setregid": 114, "setresuid": 117, "setresgid": 119, "setgroups": 116,
        "msgget": 68, "msgsnd": 69, "msgrcv": 70, "msgctl": 71, "shmget": 29, "shmat": 30, "shmctl": 31,
        "semget": 64, "semop": 65, "semctl": 66, "semtimedop": 220, "mq_open": 240, "mq_unlink": 241,
    },
)  # fmt: skip

_AARCH64 = _Machine(
    audit=0xC00000B7,
    clone=220,
    clone3=435,
    prctl=167,
    kill=129,
    tgkill=131,
    tkill=130,
    prlimit=261,
    fcntl=25,
    ioctl=29,
    openat=56,
    openat2=437,
    refused={
        "socket": 198, "socketpair": 199, "bind": 200, "listen": 201, "accept": 202, "connect": 203, "accept4": 242,
        "execve": 221, "execveat": 281,
        "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272, "process_madvise": 440, "process_mrelease": 448,
        "rt_sigqueueinfo": 138, "rt_tgsigqueueinfo": 240, "pidfd_send_signal": 424, "pidfd_open": 434, "pidfd_getfd": 438,
        "fchmod": 52, "fchmodat": 53, "fchmodat2": 452, "fchownat": 54, "fchown": 55,
        "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7, "setxattrat": 463,
        "removexattr": 14, "lremovexattr": 15, "fremovexattr": 16, "removexattrat": 466,
        "truncate": 45, "utimensat": 88,
        "setpriority": 140, "ioprio_set": 30, "sched_setparam": 118, "sched_setscheduler": 119, "sched_setaffinity": 122,
        "sched_setattr": 274, "migrate_pages": 238, "move_pages": 239,
        "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51, "unshare": 97, "setns": 268, "open_tree": 428,
        "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442,
        "open_by_handle_at": 265, "name_to_handle_at": 264, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
        "bpf": 280, "perf_event_open": 241, "userfaultfd": 282, "keyctl": 219, "add_key": 217, "request_key": 218,
        "init_module": 105, "finit_module": 273, "delete_module": 106, "kexec_load": 104, "kexec_file_load": 294, "reboot": 142,
        "swapon": 224, "swapoff": 225, "settimeofday": 170, "clock_settime": 112, "adjtimex": 171, "clock_adjtime": 266,
        "sethostname": 161, "setdomainname": 162, "acct": 89, "quotactl": 60, "quotactl_fd": 443, "syslog": 116, "personality": 92,
        "mknodat": 33, "fanotify_init": 262, "lookup_dcookie": 18, "nfsservctl": 42,
        "setuid": 146, "setgid": 144, "setreuid": 145, "setregid": 143, "setresuid": 147, "setresgid": 149, "setgroups": 159,
        "msgget": 186, "msgctl": 187, "msgrcv": 188, "msgsnd": 189, "shmget": 194, "shmctl": 195, "shmat": 196,
        "semget": 190, "semctl": 191, "semtimedop": 192, "semop": 193, "mq_open": 180, "mq_unlink": 181,
    },
)  # fmt: skip

_MACHINES = {"x86_64": _X86_64, "aarch64": _AARCH64}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def absent() -> str | None:
    """Why there can be no filter here; None if there can."""
    if not sys.platform.startswith("linux"):
        return "this system has no seccomp"
    if platform.machine() not in _MACHINES or sys.maxsize < 1 << 32:
        return f"no filter is written for {platform.machine()} processors"
    if _prctl(_PR_GET_SECCOMP, 0, None) < 0:
        return "the kernel was built without it"
    return None


def prepare() -> None:
    """Compile what is the same in every worker; only where there can be a filter."""
    _refusals(*sorted(_MACHINES[platform.machine()].refused.values()))


def restrict() -> str:
    """Put the filter on this thread and all that it starts; raises OSError. Needs no_new_privs."""
    why = absent()
    if why is not None:
        raise OSError(errno.ENOSYS, why)
    code = program(_MACHINES[platform.machine()], os.getpid())
    if _prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(_Program(len(code) // 8, code))) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return "seccomp (no sockets, no programs, no new processes)"


def program(machine: _Machine, pid: int) -> bytes:
    """The filter as the kernel's virtual machine reads it: eight bytes per instruction.

    Another architecture's calls kill the process; `pid` may only signal and limit itself; clone may only make threads, and what is
    opened for reading may not be emptied by that. clone3 and openat2, whose flags a filter cannot see, are "not there", so that the C
    library falls back to the older calls.
    """
    refuse, missing = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
    lines: list[bytes] = [
        _op(_LOAD, _AT_ARCH),
        _op(_JUMP_EQ, machine.audit, 1, 0),
        _op(_RETURN, _KILL_PROCESS),
        _op(_LOAD, _AT_NUMBER),
        _op(_JUMP_GE, _X32_BIT, 0, 1),
        _op(_RETURN, refuse),
        _op(_JUMP_EQ, machine.clone3, 1, 0),
        _op(_JUMP_EQ, machine.openat2, 0, 1),
        _op(_RETURN, missing),
    ]
    lines.append(_refusals(*sorted(machine.refused.values())))
    lines += _when(machine.clone, [_op(_LOAD, _AT_ARGS), _op(_JUMP_SET, _CLONE_THREAD, 1, 0), _op(_RETURN, refuse)])
    lines += _when(machine.prctl, [_op(_LOAD, _AT_ARGS), _op(_JUMP_EQ, _PR_SET_PDEATHSIG, 0, 1), _op(_RETURN, refuse)])
    for number in (machine.kill, machine.tgkill):
        lines += _when(number, [_op(_LOAD, _AT_ARGS), _op(_JUMP_EQ, pid, 1, 0), _op(_RETURN, refuse)])
    lines += _when(machine.tkill, [_op(_RETURN, refuse)])
    lines += _when(machine.prlimit, [_op(_LOAD, _AT_ARGS), _op(_JUMP_EQ, 0, 2, 0), _op(_JUMP_EQ, pid, 1, 0), _op(_RETURN, refuse)])
    for number, wishes in ((machine.fcntl, _SIGNALS_BY_FCNTL), (machine.ioctl, _SIGNALS_BY_IOCTL)):
        asked = [line for wish in wishes for line in (_op(_JUMP_EQ, wish, 0, 1), _op(_RETURN, refuse))]
        lines += _when(number, [_op(_LOAD, _AT_ARGS + 8), *asked])
    lines += _when(machine.openat, _emptied(_AT_ARGS + 16, refuse))
    if machine.open is not None:
        lines += _when(machine.open, _emptied(_AT_ARGS + 8, refuse))
    return b"".join([*lines, _op(_RETURN, _ALLOW)])


@functools.cache
def _refusals(*numbers: int) -> bytes:
    """ "Not permitted" for each of these system calls."""
    return b"".join(_op(_JUMP_EQ, number, 0, 1) + _op(_RETURN, _ERRNO | errno.EPERM) for number in numbers)


def _emptied(flags_at: int, refuse: int) -> list[bytes]:
    """Refuse O_TRUNC without writing: Linux would empty the file for it, and Landlock before its third version would not look."""
    return [
        _op(_LOAD, flags_at),
        _op(_JUMP_SET, _O_TRUNC, 0, 4),
        _op(_AND, _O_WRONLY | _O_RDWR),
        _op(_JUMP_EQ, _O_WRONLY, 2, 0),
        _op(_JUMP_EQ, _O_RDWR, 1, 0),
        _op(_RETURN, refuse),
    ]


def _when(number: int, then: list[bytes]) -> Iterable[bytes]:
    """`then`, and after it "allowed", only for system call `number`."""
    block = [*then, _op(_RETURN, _ALLOW)]
    return [_op(_JUMP_EQ, number, 0, len(block)), *block]


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _prctl(option: int, mode: int, pointer: object) -> int:
    nothing = ctypes.c_ulong(0)
    return int(LIBC.prctl(ctypes.c_int(option), ctypes.c_ulong(mode), pointer, nothing, nothing))
