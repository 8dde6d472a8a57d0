"""Folders on other disks and shares, told to systemd, so that an absent mount stops the work instead of filling the disk below it.

`dmc server folder` keeps a drop-in of the server's unit: the unit starts when the mounts are there, ends when they go, and may
write into them. The client only starts after the mounts of its folders and does not require them: it knows a folder that is away
(its marker is missing), leaves it alone, and serves the others meanwhile. With `--require-mount` it does not start without that mount.
"""

import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from dmc.files import RealDisk, write_durably

HEAD = "# Kept by: {command}. Other changes belong into a file of their own beside this one.\n"
SYSTEM_UNITS = Path("/etc/systemd/system")
EVERYBODYS_UNITS = Path("/etc/systemd/user")
"""Units of each user's own session."""
ROOT_UNIT = "-.mount"
_MANAGED = re.compile(r'^RequiresMountsFor="((?:[^"\\]|\\.)*)"$', re.M)
_ASSERTED = re.compile(_MANAGED.pattern + r"\nAssertPathIsMountPoint=(.*)$", re.M)


def drop_in(units: Path, unit: str) -> Path:
    """Where the folders of a unit are written."""
    return units / f"{unit}.d" / "folders.conf"


def required(file: Path) -> tuple[Path, ...]:
    """The folders that a drop-in of `dmc server folder` names."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return tuple(_unquoted(quoted) for quoted in _MANAGED.findall(text))


def asserted(file: Path) -> dict[Path, Path]:
    """The folders that a drop-in of `dmc client folder` requires, each with the mount that must be there."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return {_unquoted(quoted): Path(mount.replace("%%", "%")) for quoted, mount in _ASSERTED.findall(text)}


def requiring(folders: Iterable[Path], *, writable: bool, known: str = "") -> str:
    """The text of a drop-in that requires the mounts of folders. `writable`: the unit sees all else read-only, so they are opened.

    `known`: the text of before; it tells the mounts of folders that are away now.
    """
    folders = tuple(folders)
    quoted = [_quoted(folder) for folder in folders]
    mounts = sorted({unit for folder in folders if (unit := _mount_of(folder, known)) != ROOT_UNIT})
    lines = [HEAD.format(command="dmc server folder"), "[Unit]\n", *(f"RequiresMountsFor={path}\n" for path in quoted)]
    # Also if somebody takes the disk away without asking systemd.
    lines += [f"BindsTo={unit}\n" for unit in mounts]
    if writable:
        # The minus: a folder that is away at the start is the mount's affair, not an error in this line.
        lines += ["\n[Service]\n", *(f'ReadWritePaths="-{path[1:]}\n' for path in quoted)]
    # It ended with its disk, or never began without it: when the disk comes, it begins.
    lines += ["\n[Install]\n", *(f"WantedBy={unit}\n" for unit in mounts)]
    return "".join(lines)


def _mount_of(folder: Path, known: str) -> str:
    for above in (folder, *folder.parents):
        if os.path.ismount(above) or f"\nBindsTo={mount_unit(above)}\n" in known:
            return mount_unit(above)
    return ROOT_UNIT


def following(mounts: Iterable[Path], required: Mapping[Path, Path] = MappingProxyType({})) -> str:
    """The text of a drop-in that orders a unit after mounts. Of `required` folders, each with its mount, the mounts must be there.

    A user's own systemd only orders by RequiresMountsFor, since the mounts are the system's: the assertion is what keeps the unit from
    starting. Source: systemd.unit(5).
    """
    units = sorted({mount_unit(mount) for mount in mounts if mount != Path("/")} - {mount_unit(mount) for mount in required.values()})
    lines = [HEAD.format(command="dmc client folder"), "[Unit]\n", *(f"After={unit}\n" for unit in units)]
    for folder, mount in sorted(required.items()):
        lines += [f"RequiresMountsFor={_quoted(folder)}\n", f"AssertPathIsMountPoint={str(mount).replace('%', '%%')}\n"]
    return "".join(lines)


def follow(file: Path, folders: Collection[Path], require: Collection[Path] = ()) -> bool:
    """Have a drop-in follow the mounts of `folders`, and require those of `require` and of what it required before."""
    kept = {folder: mount for folder, mount in asserted(file).items() if folder in folders}
    new = {folder: mount for folder in require if (mount := mount_point(folder)) != Path("/")}
    return store(file, following(map(mount_point, folders), kept | new))


def mount_point(folder: Path) -> Path:
    """The mount that holds a folder, or would."""
    return next(above for above in (folder, *folder.parents) if os.path.ismount(above))


def mount_unit(mount: Path) -> str:
    """`/mnt/my nas` → `mnt-my\\x20nas.mount`. Source: systemd.unit(5), String Escaping for Inclusion in Unit Names."""
    path = os.fsencode(mount).strip(b"/")
    if not path:
        return ROOT_UNIT
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


def _unquoted(text: str) -> Path:
    return Path(re.sub(r"\\(.)", r"\1", text).replace("%%", "%"))


def _quoted(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'
