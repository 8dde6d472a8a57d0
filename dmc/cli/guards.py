"""Folders on other disks and shares, told to systemd, so that an absent mount stops the work instead of filling the disk below it.

`dmc server folder` keeps a drop-in of the server's unit: the unit starts when the mounts are there, ends when they go, and may
write into them. The client only starts after the mounts of its folders and does not require them: it knows a folder that is away
(its marker is missing), leaves it alone, and serves the others meanwhile.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from dmc.files import RealDisk, write_durably

HEAD = "# Kept by: {command}. Other changes belong into a file of their own beside this one.\n"
SYSTEM_UNITS = Path("/etc/systemd/system")
_MANAGED = re.compile(r'^RequiresMountsFor="((?:[^"\\]|\\.)*)"$', re.M)


def drop_in(units: Path, unit: str) -> Path:
    """Where the folders of a unit are written."""
    return units / f"{unit}.d" / "folders.conf"


def required(file: Path) -> tuple[Path, ...]:
    """The folders that a drop-in of `dmc server folder` names."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return tuple(Path(re.sub(r"\\(.)", r"\1", quoted).replace("%%", "%")) for quoted in _MANAGED.findall(text))


def requiring(folders: Iterable[Path], *, writable: bool) -> str:
    """The text of a drop-in that requires the mounts of folders. `writable`: the unit sees all else read-only, so they are opened."""
    quoted = [_quoted(folder) for folder in folders]
    lines = [HEAD.format(command="dmc server folder"), "[Unit]\n", *(f"RequiresMountsFor={path}\n" for path in quoted)]
    if writable:
        # The minus: a folder that is away at the start is the mount's affair, not an error in this line.
        lines += ["\n[Service]\n", *(f'ReadWritePaths="-{path[1:]}\n' for path in quoted)]
    return "".join(lines)


def following(mounts: Iterable[Path]) -> str:
    """The text of a drop-in that orders a unit after mounts, without requiring them."""
    units = sorted({mount_unit(mount) for mount in mounts if mount != Path("/")})
    return "".join([HEAD.format(command="dmc client folder"), "[Unit]\n", *(f"After={unit}\n" for unit in units)])


def mount_point(folder: Path) -> Path:
    """The mount that holds a folder, or would."""
    return next(above for above in (folder, *folder.parents) if os.path.ismount(above))


def mount_unit(mount: Path) -> str:
    """`/mnt/my nas` → `mnt-my\\x20nas.mount`. Source: systemd.unit(5), String Escaping for Inclusion in Unit Names."""
    path = os.fsencode(mount).strip(b"/")
    if not path:
        return "-.mount"
    escaped = "".join(
        "-" if byte == 0x2F else chr(byte) if _plain(byte) and not (byte == 0x2E and at == 0) else f"\\x{byte:02x}"
        for at, byte in enumerate(path)
    )
    return f"{escaped}.mount"


def store(file: Path, text: str) -> bool:
    """Write a drop-in; False if it says so already."""
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    write_durably(RealDisk(), file, text.encode())
    file.chmod(0o644)
    return True


def _plain(byte: int) -> bool:
    return chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in ":_.")


def _quoted(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'
