"""The support bundle: what somebody who helps has to know, without anything that is the user's own.

What stays is chosen, not what goes: numbers, times, truth values and words that dmc itself knows. Any other text, be it a path, an
address, a name or a secret, becomes its length. Sentences lose every word that stands in the settings, and whatever looks like a path.
"""

import os
import platform
import re
import sqlite3
import sys
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from dmc import __version__
from dmc.cli.finding import Check
from dmc.client_settings import ClientSettings
from dmc.config import load_client, load_server
from dmc.conversions import CONVERSION_TYPES, MediaType
from dmc.errors import DmcError
from dmc.server_settings import ServerSettings

LAST_LINES = 200
_LOCAL = ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::")  # noqa: S104 - compared
_PATH = re.compile(r"(?:[~.]{0,2}/|\b\w+://)[^\s'\"]+")
_FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')
_TELLING = frozenset({"ts", "level", "room", "event", "code", "status", "problem", "to", "version"})
"""Fields of the log whose texts are dmc's own words; of the others only numbers stay."""
_SHORTEST = 2
"""Words of the settings up to this length stay in sentences: they tell nothing, and stand everywhere."""
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def bundle_of(checks: Iterable[Check]) -> dict[str, Any]:
    """Versions, settings, findings, counts and the last lines of the log, as plain data."""
    server, client = load_server().settings, load_client().settings
    own = _own_words(server, client)
    return {
        "versions": _versions(),
        "settings": {"server": redacted(server), "client": redacted(client)},
        "checks": [{"name": _name(c.name), "state": c.state, "message": plain(c.message, own), "why": c.why} for c in checks],
        "ledger": _ledger_counts(server),
        "outbox": _outbox_counts(client),
        "log": _last_lines(server),
    }


def redacted(settings: ServerSettings | ClientSettings) -> dict[str, Any]:
    """All settings by name, their values only where they are dmc's own words."""
    known = _words_of(type(settings))
    return {key: _told(value, known) for key, value in settings.model_dump().items()}


def _words_of(*models: Any) -> set[str]:
    """Every word of dmc's own in settings: names of fields, and what a `Literal` offers, also of the settings within them."""
    found: set[str] = set()
    left, seen = list(models), set()
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        fields = getattr(one, "model_fields", {})
        found |= set(fields)
        left += [field.annotation for field in fields.values()]
        for inner in get_args(one):
            if isinstance(inner, str):
                found.add(inner)
            else:
                left.append(inner)
    return found | {"", *CONVERSION_TYPES, *map(str, MediaType), *_LOCAL}


def _told(value: Any, known: set[str]) -> Any:
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {_told(key, known): _told(inner, known) for key, inner in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [_told(inner, known) for inner in value]
    text = os.fspath(value) if isinstance(value, Path) else str(value)
    return text if text in known else f"<{len(text)} characters>"


def _own_words(server: ServerSettings, client: ClientSettings) -> list[str]:
    """What stands in the settings, whole and in parts, the longest first."""
    words: set[str] = {platform.node(), os.path.expanduser("~"), Path.home().name}
    left: list[Any] = [server.model_dump(mode="json"), client.model_dump(mode="json"), [known.label for known in client.list_of_servers]]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            left += [*one.values(), *one.keys()]
        elif isinstance(one, list):
            left += one
        elif isinstance(one, str):
            words |= {one, *one.split("/")}
    known = _words_of(ServerSettings, ClientSettings)
    return sorted((word for word in words - known if len(word) > _SHORTEST), key=len, reverse=True)


def plain(sentence: str, own: Iterable[str]) -> str:
    """A sentence without the user's own words and without paths."""
    for word in own:
        sentence = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", "<...>", sentence)
    return _PATH.sub("<path>", sentence)


def _name(name: str) -> str:
    """A check's name without what it is about: `folder /srv/me/x` says whose it is."""
    return name.partition(" ")[0] if name.startswith(("folder ", "server ")) else name


def _versions() -> dict[str, Any]:
    from importlib.metadata import version

    from dmc.convert.codecs import library_versions

    packages = {name: version(name) for name in ("aiohttp", "pydantic", "typer", "watchdog", "filelock")}
    system = {"system": platform.system(), "kernel": platform.release(), "machine": platform.machine(), "processors": os.cpu_count()}
    return {
        "dmc": __version__,
        "python": sys.version.split()[0],
        "sqlite": sqlite3.sqlite_version,
        **system,
        **packages,
        **library_versions(),
    }


def _ledger_counts(settings: ServerSettings) -> dict[str, Any] | None:
    from dmc.assemble.server import open_ledger

    if not settings.data_folder.is_dir():
        return None
    try:
        ledger = open_ledger(settings, recover=False)
    except DmcError as problem:
        return {"problem": problem.code}
    try:
        return {"kind": settings.ledger, **{str(status): number for status, number in ledger.counts().items()}}
    finally:
        ledger.close()


def _outbox_counts(settings: ClientSettings) -> dict[str, Any] | None:
    from dmc.assemble.client import open_outbox

    if not (settings.state_folder / "outbox.json").is_file():
        return None
    try:
        outbox = open_outbox(settings)
    except DmcError as problem:
        return {"problem": problem.code}
    try:
        return {str(status): number for status, number in outbox.counts().items()}
    finally:
        outbox.close()


def _last_lines(settings: ServerSettings) -> list[str]:
    """The last lines of what `dmc up` logged; services log to the journal, which is not ours to read."""
    try:
        lines = (settings.data_folder.parent / "up.log").read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    return [told for line in lines[-LAST_LINES:] if (told := line_of_log(line))]


def line_of_log(line: str) -> str:
    """A logfmt line with dmc's own words and numbers; of everything else the key alone. Empty for a line of another form."""
    kept = []
    for key, value in _FIELD.findall(line):
        bare = value.strip('"')
        telling = key in _TELLING and "/" not in bare and (key not in ("to", "problem", "code") or bare.isidentifier())
        kept.append(f"{key}={value}" if telling or _NUMBER.fullmatch(bare) else f"{key}=...")
    return " ".join(kept)
