"""Where dmc keeps its data and looks for its settings when nobody says otherwise. Beside config.py the only reader of variables."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TextIO

from pydantic import AfterValidator

UserPath = Annotated[Path, AfterValidator(lambda path: Path(os.path.abspath(path.expanduser())))]
"""A path in settings: `~` is the home folder, relative ones count from the current folder."""


def state_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Where dmc keeps data by default: `$DMC_HOME`, else `$XDG_STATE_HOME/dmc`, else `~/.local/state/dmc`."""
    if environ.get("DMC_HOME"):
        return Path(os.path.abspath(Path(environ["DMC_HOME"]).expanduser()))
    return Path(environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "dmc"


def config_homes(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Folders in which settings files are looked for; the first one found counts."""
    if environ.get("DMC_HOME"):
        return (state_home(environ),)
    user = Path(environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "dmc"
    return (user, Path("/etc/dmc"))


def user_units(environ: Mapping[str, str] = os.environ) -> Path:
    """Where units of this user's own session stand."""
    return Path(environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "systemd" / "user"


def journal_stream(environ: Mapping[str, str] = os.environ) -> str | None:
    """`device:inode` of the stream that leads to systemd's journal; None if none does. Source: systemd.exec(5), $JOURNAL_STREAM."""
    return environ.get("JOURNAL_STREAM") or None


def leads_to_journal(stream: TextIO) -> bool:
    """Whether what is written into a stream ends in systemd's journal."""
    try:
        there = os.fstat(stream.fileno())
    except (OSError, ValueError):  # Not a real file, e.g. in a test.
        return False
    return journal_stream() == f"{there.st_dev}:{there.st_ino}"


@dataclass(frozen=True, slots=True)
class Supervision:
    """What a service manager tells its child: where to say things, and after how many seconds of silence it ends the child."""

    notify_socket: str | None = None
    watchdog_s: float | None = None


def supervision(environ: Mapping[str, str] = os.environ) -> Supervision:
    """From `$NOTIFY_SOCKET`, `$WATCHDOG_USEC` and `$WATCHDOG_PID`, as in sd_notify(3) and sd_watchdog_enabled(3)."""
    socket = environ.get("NOTIFY_SOCKET") or None
    microseconds = environ.get("WATCHDOG_USEC", "")
    mine = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    watched = socket is not None and mine and microseconds.isdigit() and int(microseconds) > 0
    return Supervision(socket, int(microseconds) / 1e6 if watched else None)


def time_zone_name(environ: Mapping[str, str] = os.environ) -> str:
    """The name of the time zone that `$TZ` asks for; empty for that of the machine."""
    return environ.get("TZ", "").removeprefix(":")
