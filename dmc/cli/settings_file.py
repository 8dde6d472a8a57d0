"""Changing `client.toml` from the command line: whole blocks are added at the end or cut out, all other lines stay as they are.

The new text is checked as settings before it replaces the file, durably.
"""

import os
import re
import tempfile
import tomllib
from pathlib import Path

from dmc.client_settings import KnownServer, ObservedPath
from dmc.config import find_file, load_client
from dmc.conversions import find_conversion
from dmc.errors import NotFound, UsageFault, WrongStatus
from dmc.files import RealDisk, write_durably
from dmc.homes import config_homes

_BLOCK = "[[list_of_paths_to_observe]]"
_SERVER = "[[list_of_servers]]"


def add_folder(
    file: Path | None, path: Path, kinds: list[str], output: Path | None, *, dry_run: bool, only_new: bool = False, sidecars: bool = True
) -> str:
    """Add an observed folder; returns what was done in words. Raises NotFound, WrongStatus, UnknownConversion, BadSettings."""
    target = file or find_file("client") or config_homes()[0] / "client.toml"
    path = Path(os.path.abspath(path.expanduser()))
    if not path.is_dir():
        raise NotFound(f"there is no folder {path}.", f"Make it first: mkdir -p {path}")
    text = _text_of(target)
    if any(one.path == path for one in _observed(text)):
        raise WrongStatus(f"{path} is watched already.", "See: dmc client folder list")
    lines = ["", _BLOCK, f"path = {_quote(path)}"]
    conversions = {medium: kind for kind in kinds for medium in sorted(find_conversion(kind).takes)}
    if conversions:
        lines.append("conversion_types = { " + ", ".join(f'{medium} = "{kind}"' for medium, kind in conversions.items()) + " }")
    if output is not None:
        lines.append(f"output_folder = {_quote(Path(os.path.abspath(output.expanduser())))}")
    if only_new:
        lines.append('existing = "leave"')
    if not sidecars:
        lines.append("sidecars = false")
    new = text.rstrip("\n") + "\n".join([*lines, ""]) if text else "\n".join([*lines[1:], ""])
    return _store(target, new, f"watch {path}", dry_run)


def remove_folder(file: Path | None, path: Path, *, dry_run: bool) -> str:
    """Cut the block of an observed folder out of the file; returns what was done in words."""
    target = file or find_file("client")
    path = Path(os.path.abspath(path.expanduser()))
    text = _text_of(target) if target else ""
    observed = _observed(text)
    number = next((n for n, one in enumerate(observed) if one.path == path), None)
    if target is None or number is None:
        raise NotFound(f"{path} is not watched.", "See: dmc client folder list")
    starts = [match.start() for match in re.finditer(r"^\[\[list_of_paths_to_observe\]\]", text, re.M)]
    if len(starts) != len(observed):
        raise UsageFault(f"{target} does not write its folders as {_BLOCK} blocks.", f"Remove {path} there by hand.")
    after = re.compile(r"^\[", re.M).search(text, starts[number] + 1)
    new = text[: starts[number]] + (text[after.start() :] if after else "")
    return _store(target, new, f"no longer watch {path}", dry_run)


def check_new_server(file: Path | None, server: KnownServer) -> None:
    """Raise WrongStatus if a server of that name, or at that address, is in the settings already."""
    target = file or find_file("client")
    for known in load_client(target).settings.list_of_servers if target and target.exists() else ():
        if known.label == server.label or (known.address, known.port, known.base_path) == (server.address, server.port, server.base_path):
            raise WrongStatus(f"there is a server {known.label} in the settings already.", f"Take its block out of {target} first.")


def add_server(file: Path | None, server: KnownServer) -> str:
    """Add a server; returns what was done in words. Raises WrongStatus, BadSettings."""
    check_new_server(file, server)
    target = file or find_file("client") or config_homes()[0] / "client.toml"
    text = _text_of(target)
    lines = ["", _SERVER, f"name = {_quoted(server.label)}", f"address = {_quoted(server.address)}", f"port = {server.port}"]
    if server.base_path:
        lines.append(f"base_path = {_quoted(server.base_path)}")
    if server.token_file is not None:
        lines.append(f"token_file = {_quote(server.token_file)}")
    if server.tls:
        lines.append("tls = true")
    if server.fingerprint is not None:
        lines.append(f"fingerprint = {_quoted(server.fingerprint)}")
    new = text.rstrip("\n") + "\n".join([*lines, ""]) if text else "\n".join([*lines[1:], ""])
    return _store(target, new, f"send to {server.label}", dry_run=False)


def _text_of(file: Path) -> str:
    """What the file says, empty if there is none. Raises BadSettings for one that is not valid as it is."""
    if not file.exists():
        return ""
    load_client(file)
    return file.read_text(encoding="utf-8")


def _observed(text: str) -> list[ObservedPath]:
    return [ObservedPath.model_validate(block) for block in tomllib.loads(text).get("list_of_paths_to_observe", [])]


def _quote(path: Path) -> str:
    """A TOML basic string."""
    try:
        text = os.fsencode(path).decode("utf-8", "strict")
    except UnicodeDecodeError:
        raise UsageFault(
            f"the name {str(path)!r} is not UTF-8, and TOML can hold no other.", "Rename it, or watch the folder above it."
        ) from None
    return _quoted(text)


def _quoted(text: str) -> str:
    escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text)
    return f'"{escaped}"'


def _store(target: Path, text: str, words: str, dry_run: bool) -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".toml", encoding="utf-8") as trial:
        trial.write(text)
        trial.flush()
        load_client(Path(trial.name))
    if dry_run:
        return f"would {words} ({target})"
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_durably(RealDisk(), target, text.encode())
    return f"dmc will {words} ({target}). A running client wants a restart."
