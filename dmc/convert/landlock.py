"""Landlock by plain system calls: from here on this thread, and what it starts, sees only the given files.

Source: Linux, Documentation/userspace-api/landlock.rst and include/uapi/linux/landlock.h. Rights that the running kernel does not
know are left out of the request, as that document advises; what is then missing is said.
"""

import ctypes
import os
import stat
import sys
from collections.abc import Sequence

from dmc.convert.libc import LIBC

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_REG = 1 << 8
_TRUNCATE = 1 << 14
_FS_BITS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_TCP_BIND_AND_CONNECT = 0b11
_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE

_READS = _READ_FILE | _READ_DIR
_WRITES = _READS | _WRITE_FILE | _TRUNCATE | _MAKE_REG | _REMOVE_FILE
"""No folders, links, sockets, pipes or devices can be made, and nothing be run or moved from folder to folder."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("handled_access_fs", ctypes.c_uint64), ("handled_access_net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def abi() -> int:
    """The version of Landlock that this kernel offers; raises OSError when it offers none."""
    if not sys.platform.startswith("linux"):
        raise OSError(38, "this system has no Landlock")
    return _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))


def absent() -> str | None:
    """Why there is no Landlock here; None if there is."""
    try:
        abi()
    except OSError as problem:
        return problem.strerror or str(problem)
    return None


def restrict(read: Sequence[str], write: Sequence[str]) -> str:
    """Let only `read` be read and only `write` be written from now on; raises OSError. Needs no_new_privs."""
    version = abi()
    handled = (1 << _FS_BITS_BY_ABI.get(version, 16)) - 1
    ruleset = _Ruleset(handled, _TCP_BIND_AND_CONNECT if version >= 4 else 0, _SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    fd = _call(_CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), ctypes.c_uint32(0))
    try:
        for path in read:
            _allow(fd, path, _READS & handled)
        for path in write:
            _allow(fd, path, _WRITES & handled)
        _call(_RESTRICT_SELF, ctypes.c_int(fd), ctypes.c_uint32(0))
    finally:
        os.close(fd)
    kinds = ["files"] + ["truncation"] * (version >= 3) + ["TCP"] * (version >= 4) + ["signals"] * (version >= 6)
    return f"Landlock {version} ({', '.join(kinds)})"


def _allow(ruleset: int, path: str, access: int) -> None:
    parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(parent).st_mode):
            access &= _OF_FILES
        rule = _PathBeneath(access, parent)
        _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_RULE_PATH_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0))
    finally:
        os.close(parent)


def _call(number: int, *arguments: object) -> int:
    result = int(LIBC.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
