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

from dmc.client.transport import LocalFault
from dmc.errors import BadSettings
from dmc.files import Disk
from dmc.log import Log

_LOG = Log("client")


@dataclass(frozen=True, slots=True)
class Ownership:
    """User and group ids, None: as the system gives them. `umask`: mode bits that are taken away.

    `below`: a folder under which nothing is made or given away through a link, since others may put links there; None: links count.
    """

    user: int | None = None
    group: int | None = None
    umask: int = 0
    below: Path | None = None

    def guards(self, path: Path) -> bool:
        """Whether no link is followed on the way to `path`."""
        return self.below is not None and path != self.below and path.is_relative_to(self.below)

    def make_folders(self, folder: Path, disk: Disk) -> None:
        """Create what is missing of a guarded `folder` below `below`, which is there; each durable in its parent. Raises LocalFault."""
        base = self.below or folder
        held, here = os.open(base, _FOLDER & ~os.O_NOFOLLOW), base
        try:
            for part in folder.relative_to(base).parts:
                here /= part
                made = _made(part, held)
                held = _stepped(held, part)
                if made:
                    self._dress_folder(held, part)
                    disk.sync_folder(here.parent)
        finally:
            os.close(held)

    def settle_file(self, path: Path, source_mode: int) -> None:
        """Dress a result that nobody sees yet: readable and writable for its owner, for others at most as the source was."""
        with self._held(path, os.O_NONBLOCK) as fd:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                raise OSError(errno.EPERM, "another file stands where the result was fetched to")
            self._give(fd, path.name)
            os.chmod(fd, (source_mode & 0o666 & ~self.umask) | 0o600)  # After the change of owner, which may take bits away.

    def settle_folder(self, path: Path) -> None:
        """Dress a folder that was made for results."""
        with self._held(path, os.O_DIRECTORY) as fd:
            self._dress_folder(fd, path.name)

    def _dress_folder(self, fd: int, name: str) -> None:
        self._give(fd, name)
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
    def _held(self, path: Path, flags: int) -> Iterator[int]:
        """What stands at `path`, never what a link there points to: the folder may be somebody's whom root must not serve so."""
        fd = self._folder_of(path) if self.guards(path) else None
        try:
            found = os.open(path if fd is None else path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=fd)
        finally:
            if fd is not None:
                os.close(fd)
        try:
            yield found
        finally:
            os.close(found)

    def _folder_of(self, path: Path) -> int:
        """The folder above a guarded `path`, reached part by part."""
        base = self.below or path.parent
        fd = os.open(base, _FOLDER & ~os.O_NOFOLLOW)
        try:
            for part in path.parent.relative_to(base).parts:
                fd = _stepped(fd, part)
        except BaseException:
            os.close(fd)
            raise
        return fd


_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def _made(name: str, folder: int) -> bool:
    try:
        os.mkdir(name, dir_fd=folder)
    except FileExistsError:
        return False
    return True


def _stepped(folder: int, name: str) -> int:
    """The folder `name` in `folder`, in its place, which is closed if that worked. Raises LocalFault where a link stands."""
    if name == os.pardir:
        raise OSError(errno.EINVAL, "a way that leads up again")
    try:
        inner = os.open(name, _FOLDER, dir_fd=folder)
    except OSError as problem:
        if problem.errno not in (errno.ELOOP, errno.ENOTDIR) or not _is_link(name, folder):
            raise
        shown = os.fsencode(name).decode("utf-8", "replace")
        raise LocalFault(
            f"{shown} is a link: results that are given to an owner go through none.",
            "Put a folder there, or name the one it points to: output_folder in client.toml.",
        ) from None
    os.close(folder)
    return inner


def _is_link(name: str, folder: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


NOBODY_IN_PARTICULAR = Ownership()


def base_of(observed: Path, output: Path | None) -> Path:
    """The folder that the settings name for results: what lies above it is the administrator's, what lies below may be anybody's."""
    return observed if output is None or output.is_relative_to(observed) else output


def ownership(owner: str | None, group: str | None, umask: str | None, below: Path | None = None) -> Ownership:
    """From names or numbers as in the settings. `below` counts for root who gives results away: others can do no harm through a link.

    Raises BadSettings for what does not exist or this process may not give.
    """
    user = _number(owner, "owner", lambda name: pwd.getpwnam(name).pw_uid)
    group_id = _number(group, "group", lambda name: grp.getgrnam(name).gr_gid)
    if os.geteuid() != 0:
        if user not in (None, os.geteuid()):
            raise BadSettings(f"only root may give results to {owner}.", "Run the client as that user, or leave results_owner out.")
        if group_id is not None and group_id not in {os.getegid(), *os.getgroups()}:
            raise BadSettings(f"this user is not in the group {group}.", f"Add it: sudo usermod -aG {group} $USER, then sign in anew.")
    guarded = os.geteuid() == 0 and (user is not None or group_id is not None)
    return Ownership(user, group_id, int(umask or "0", 8), below if guarded else None)


def _number(text: str | None, what: str, find: Callable[[str], int]) -> int | None:
    if text is None:
        return None
    if text.isdigit():
        return int(text)
    try:
        return find(text)
    except KeyError:
        raise BadSettings(f"there is no {what} called {text} on this machine.", f"See results_{what} in client.toml.") from None
