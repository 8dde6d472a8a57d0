"""Whom results belong to, and the folders made for them: as the settings say, open to nobody who could not read the source."""

import grp
import os
import pwd
from collections.abc import Callable
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
        self._give(path)
        os.chmod(path, (source_mode & 0o666 & ~self.umask) | 0o600)  # After the change of owner, which may take bits away.

    def settle_folder(self, path: Path) -> None:
        """Dress a folder that was made for results."""
        self._give(path)
        if self.umask:
            os.chmod(path, (path.stat().st_mode & 0o7777 & ~self.umask) | 0o700)

    def _give(self, path: Path) -> None:
        if self.user is None and self.group is None:
            return
        try:
            os.chown(path, -1 if self.user is None else self.user, -1 if self.group is None else self.group)
        except PermissionError as problem:  # A share that knows no owners: the result is worth more than whom it belongs to.
            _LOG.warning("owner not set", name=path.name, reason=problem.strerror)


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
