"""Whom results belong to, and the folders made for them: as the settings say, open to nobody who could not read the source."""

import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dmc.errors import BadSettings
from dmc.log import Log

_LOG = Log("client")


@dataclass(frozen=True, slots=True)
class Ownership:
    """User and group ids, None: as the system gives them. `umask`: mode bits that are taken away."""

    user: int | None = None
    group: int | None = None
    umask: int = 0

    def settle_file(self, path: Path, source_mode: int) -> None:
        """Dress a result that nobody sees yet: readable and writable for its owner, for others at most as the source was."""
        with _held(path, os.O_NONBLOCK) as fd:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                raise OSError(errno.EPERM, "another file stands where the result was fetched to")
            self._give(fd, path.name)
            os.chmod(fd, (source_mode & 0o666 & ~self.umask) | 0o600)  # After the change of owner, which may take bits away.

    def settle_folder(self, path: Path) -> None:
        """Dress a folder that was made for results."""
        with _held(path, os.O_DIRECTORY) as fd:
            self._give(fd, path.name)
            if self.umask:
                os.chmod(fd, (os.fstat(fd).st_mode & 0o7777 & ~self.umask) | 0o700)

    def _give(self, fd: int, name: str) -> None:
        if self.user is None and self.group is None:
            return
        try:
            os.chown(fd, -1 if self.user is None else self.user, -1 if self.group is None else self.group)
        except PermissionError as problem:  # A share that knows no owners: the result is worth more than whom it belongs to.
            _LOG.warning("owner not set", name=name, reason=problem.strerror)


@contextmanager
def _held(path: Path, flags: int) -> Iterator[int]:
    """What stands at `path`, never what a link there points to: the folder may be somebody's whom root must not serve so."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags)
    try:
        yield fd
    finally:
        os.close(fd)


NOBODY_IN_PARTICULAR = Ownership()


def ownership(owner: str | None, group: str | None, umask: str | None) -> Ownership:
    """From names or numbers as in the settings. Raises BadSettings for what does not exist or this process may not give."""
    user = _number(owner, "owner", lambda name: pwd.getpwnam(name).pw_uid)
    group_id = _number(group, "group", lambda name: grp.getgrnam(name).gr_gid)
    if os.geteuid() != 0:
        if user not in (None, os.geteuid()):
            raise BadSettings(f"only root may give results to {owner}.", "Run the client as that user, or leave results_owner out.")
        if group_id is not None and group_id not in {os.getegid(), *os.getgroups()}:
            raise BadSettings(f"this user is not in the group {group}.", f"Add it: sudo usermod -aG {group} $USER, then sign in anew.")
    return Ownership(user, group_id, int(umask or "0", 8))


def _number(text: str | None, what: str, find: Callable[[str], int]) -> int | None:
    if text is None:
        return None
    if text.isdigit():
        return int(text)
    try:
        return find(text)
    except KeyError:
        raise BadSettings(f"there is no {what} called {text} on this machine.", f"See results_{what} in client.toml.") from None
