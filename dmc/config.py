"""Loading of settings: defaults < TOML < `DMC_*` variables < flags, each beating the one before.

Unknown keys are refused with a did-you-mean, wherever they come from. `load_server` and `load_client` give the settings
and, for each key that is not a default, where it came from. What the keys are stands in server_settings.py and client_settings.py.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from dmc.client_settings import ClientSettings, KnownServer
from dmc.conversions import did_you_mean
from dmc.errors import BadSettings
from dmc.homes import config_homes
from dmc.server_settings import ServerSettings

Settings = TypeVar("Settings", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[Settings]):
    """Settings, the file they came from (None: there is none), and the origin of every key that is not a default."""

    settings: Settings
    file: Path | None
    origins: Mapping[str, str] = field(default_factory=dict)


def load_server(
    file: Path | None = None, flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
) -> Loaded[ServerSettings]:
    """Server settings: defaults < `server.toml` < `DMC_SERVER__*` < flags. Raises BadSettings."""
    return _load(ServerSettings, "server", file, flags or {}, os.environ if environ is None else environ)


def load_client(
    file: Path | None = None, flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
) -> Loaded[ClientSettings]:
    """Client settings: defaults < `client.toml` < `DMC_CLIENT__*` < flags. Raises BadSettings."""
    return _load(ClientSettings, "client", file, flags or {}, os.environ if environ is None else environ)


UP_FILE = "up.json"
"""In the server's data folder: how to reach the server of the `dmc up` that ran here last."""


def known_servers(settings: ClientSettings, data_folder: Path | None = None) -> tuple[KnownServer, ...]:
    """The servers of the settings; if there are none, that of `dmc up` on this machine."""
    if settings.list_of_servers:
        return settings.list_of_servers
    file = (data_folder or load_server().settings.data_folder) / UP_FILE
    try:
        return (KnownServer.model_validate_json(file.read_bytes()),)
    except (OSError, ValidationError):
        return ()


def find_file(kind: str, environ: Mapping[str, str] | None = None) -> Path | None:
    """The settings file that counts when none is named: the first of `config_homes` that is there."""
    homes = config_homes(os.environ if environ is None else environ)
    return next((home / f"{kind}.toml" for home in homes if (home / f"{kind}.toml").is_file()), None)


def _load(model: type[Settings], kind: str, file: Path | None, flags: Mapping[str, Any], environ: Mapping[str, str]) -> Loaded[Settings]:
    found = file or find_file(kind, environ)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    layers = (
        (str(found), _read_toml(found) if found else {}),
        ("environment", _from_environment(kind, environ)),
        ("flag", {key: value for key, value in flags.items() if value is not None}),
    )
    for origin, layer in layers:
        _merge(values, layer, origin, origins)
    try:
        settings = model.model_validate(values)
    except ValidationError as problem:
        raise _explain(model, problem, origins) from None
    return Loaded(settings, found, origins)


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as problem:
        raise BadSettings(f"cannot read {file}: {problem.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise BadSettings(f"{file} is not valid TOML: {problem}.") from None


OTHER_VARIABLES = frozenset({"DMC_HOME"})
_KINDS = ("server", "client")


def _from_environment(kind: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """`DMC_SERVER__LIMITS__STALL_S=60` → {"limits": {"stall_s": 60}}; values are TOML where they parse, else text."""
    values: dict[str, Any] = {}
    for name, text in environ.items():
        if not name.startswith("DMC_") or name in OTHER_VARIABLES:
            continue
        head, *path = name.removeprefix("DMC_").lower().split("__")
        if head not in _KINDS or not path:
            near = did_you_mean(name, [*OTHER_VARIABLES, *(f"DMC_{k.upper()}__" for k in _KINDS)])
            raise BadSettings(f"{name} is not a variable of dmc.", f"{near} Settings are DMC_SERVER__KEY and DMC_CLIENT__KEY.".strip())
        if head == kind:
            inner = values
            for part in path[:-1]:
                inner = inner.setdefault(part, {})
            inner[path[-1]] = _toml_value(text)
    return values


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _merge(into: dict[str, Any], layer: Mapping[str, Any], origin: str, origins: dict[str, str], prefix: str = "") -> None:
    for key, value in layer.items():
        if isinstance(value, Mapping) and isinstance(into.get(key, {}), dict):
            _merge(into.setdefault(key, {}), value, origin, origins, f"{prefix}{key}.")
        else:
            into[key] = value
            origins[prefix + key] = origin


def _explain(model: type[BaseModel], problem: ValidationError, origins: Mapping[str, str]) -> BadSettings:
    """All that is wrong, a sentence each, with the key's origin and a did-you-mean."""
    lines = []
    for error in problem.errors():
        path = ".".join(str(part) for part in error["loc"])
        origin = next((origins[key] for key in origins if path == key or path.startswith(f"{key}.") or key.startswith(f"{path}.")), "")
        where = f"{origin}: " if origin else ""
        if error["type"] == "extra_forbidden":
            near = did_you_mean(str(error["loc"][-1]), _keys_at(model, error["loc"][:-1]))
            lines.append(f"{where}{path} is not a setting. {near}".strip())
        else:
            lines.append(f"{where}{path}: {error['msg'].removeprefix('Value error, ')}.".replace("..", "."))
    return BadSettings("\n".join(lines), "See config/ for every setting with its meaning, or run: dmc config show")


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The names of the settings at a place inside a model."""
    here: Any = model
    for part in location:
        if isinstance(part, int):
            continue
        if not (isinstance(here, type) and issubclass(here, BaseModel)) or part not in here.model_fields:
            return []
        annotation = here.model_fields[part].annotation
        nested = [a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, BaseModel)]
        here = nested[0] if nested else None
    return list(here.model_fields) if isinstance(here, type) and issubclass(here, BaseModel) else []
