"""What `dmc doctor` asks of the machine itself: watches, clock, codecs, walls, services."""

import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from dmc.cli.finding import Check
from dmc.cli.guards import EVERYBODYS_UNITS, SYSTEM_UNITS
from dmc.convert.wire import SandboxMode
from dmc.homes import user_units

BROKER = "dmc-broker.service"
UNITS = ("dmc-server.service", BROKER, "dmc-client.service")
AHEAD_S = 300.0
"""A file of dmc that lies further in the future tells that the clock went back."""
_ASK_S = 5.0


def check_inotify(folders: int, limit: Path = Path("/proc/sys/fs/inotify/max_user_watches")) -> Check:
    """Whether the kernel lets the client watch that many folders."""
    why = "New files in the folders beyond are only found at the next scan."
    try:
        most = int(limit.read_text())
    except OSError:
        return Check("inotify", "warn", "this system does not tell its limit of watches.", "", why)
    if most < folders:
        fix = f"echo fs.inotify.max_user_watches={max(folders * 2, 524288)} | sudo tee /etc/sysctl.d/60-dmc.conf && sudo sysctl --system"
        return Check("inotify", "warn", f"{most} watches for {folders} folders.", fix, why)
    return Check("inotify", "ok", f"{most} watches are allowed, {folders} are wanted.")


def check_clock(homes: Iterable[Path], now: float | None = None) -> Check:
    """Whether the clock went back behind what dmc itself wrote."""
    now = time.time() if now is None else now
    written = [file.stat().st_mtime for home in homes if home.is_dir() for file in home.iterdir() if file.is_file()]
    ahead = max(written, default=now) - now
    if ahead > AHEAD_S:
        words = f"files of dmc were written {ahead / 60:.0f} minutes from now: the clock went back."
        why = "Times in lists are wrong, and what expires (uploads, links, results) does so too late."
        return Check("clock", "warn", words, "sudo timedatectl set-ntp true", why)
    return Check("clock", "ok", "it is not behind what dmc wrote last.")


def check_codecs() -> Iterator[Check]:
    """Whether every built-in conversion type can be made here."""
    from dmc.convert.codecs import library_versions, missing_encoders

    missing = missing_encoders()
    versions = library_versions()
    if not missing:
        yield Check("codecs", "ok", f"all encoders are here (PyAV {versions['av']}).")
        return
    names = ", ".join(f"{kind} ({encoder})" for kind, encoder in missing)
    fix = "Install dmc anew with install/try: PyAV's own wheels hold all encoders."
    yield Check("codecs", "bad", f"without their encoder: {names}.", fix, "Files for these types would all fail.")


def check_sandbox(mode: SandboxMode) -> Iterator[Check]:
    """Which walls stand around decoders."""
    from dmc.convert.quiet import idle_refused
    from dmc.convert.sandbox import status

    walls, refused = status(mode), idle_refused()
    idle = "idle I/O" if refused is None else f"without idle I/O ({refused.lower()})"
    yield Check("sandbox", "ok", f"active: {', '.join([*walls.active, idle])}.")
    why = "A file that is made to break a decoder could then do more than crash it."
    for part in walls.missing:
        fix = 'Set sandbox = "best-effort" in server.toml.' if mode == "off" else "A kernel from 5.13 on has it; see: uname -r"
        yield Check("sandbox", "warn", f"missing: {part}.", fix, why)


def check_services(*, separate_broker: bool) -> Iterator[Check]:
    """How the services stand that were installed for systemd; nothing where there are none. A broker's own only if it works alone."""
    for unit in UNITS:
        own, everybodys = (user_units() / unit).exists(), (EVERYBODYS_UNITS / unit).exists()
        mine = own or everybodys
        if (not mine and not (SYSTEM_UNITS / unit).exists()) or (unit == BROKER and not separate_broker):
            continue
        command = ["systemctl", "--user"] if mine else ["systemctl"]
        state = _state([*command, "is-active", unit])
        if everybodys and not own and not state:
            continue  # Somebody without a session, e.g. the user of the server: it is others' client.
        again, log = " ".join([*command, "restart", unit]), f"journalctl {'--user ' if mine else ''}-u {unit} -n 50"
        name = f"service {unit.removesuffix('.service')}"
        if state == "failed":
            yield Check(name, "bad", "it has failed.", f"{log}; then: {again}", "Nothing is done until it runs again.")
        elif state in ("active", "activating", "reloading"):
            yield Check(name, "ok", f"it is {state}.")
        else:
            yield Check(
                name, "warn", f"it is {state or 'not known to systemd'}.", again.replace("restart", "start"), "It does nothing now."
            )


def _state(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_ASK_S, check=False).stdout.strip()  # noqa: S603 - ours
    except (OSError, subprocess.TimeoutExpired):
        return ""
