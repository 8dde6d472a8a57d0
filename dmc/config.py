"""Settings: frozen models, read from TOML, `DMC_*` variables and flags, each beating the one before.

Unknown keys are refused with a did-you-mean, wherever they come from. This is the only file that reads environment
variables. `load_server` and `load_client` give the settings and, for each key that is not a default, where it came from.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from dmc.conversions import CONVERSION_TYPES, DEFAULT_CONVERSIONS, MediaType, check_fits, did_you_mean, find_conversion, with_own_types
from dmc.errors import BadSettings, DmcError

_FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
_ALL_MEDIA = (MediaType.VIDEO, MediaType.AUDIO, MediaType.IMAGE)

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


# --- Server --------------------------------------------------------------------------------------------------------


class Limits(BaseModel):
    """Bounds of what the server accepts and of what one conversion may use."""

    model_config = _FROZEN
    max_file_size: int = Field(default=200 * 1024**3, gt=0, description="bytes of one original")
    disk_floor: int = Field(default=1024**3, ge=0, description="bytes that stay free on the data folder's disk")
    max_open_uploads_per_client: int = Field(default=100, gt=0, description="unfinished uploads of one client")
    upload_idle_s: float = Field(default=60.0, gt=0, description="seconds without a byte before an upload's connection is closed")
    upload_expiry_h: float = Field(default=24.0, gt=0, description="hours after which an unfinished upload is forgotten")
    max_pixels: int = Field(default=256_000_000, gt=0, description="pixels of one frame")
    max_duration_h: float = Field(default=48.0, gt=0, description="hours of one original")
    worker_memory: int = Field(default=8 * 1024**3, gt=0, description="bytes of memory of one conversion worker")
    stall_s: float = Field(default=300.0, gt=0, description="seconds of silence after which a worker is killed")


class Retention(BaseModel):
    """How long finished items stay."""

    model_config = _FROZEN
    acknowledged_days: float = Field(default=7.0, ge=0, le=36_500, description="days after the client has its result")


class ServerSettings(BaseModel):
    """What `config/server.toml` may say."""

    model_config = _FROZEN
    data_folder: UserPath = Field(default_factory=lambda: state_home() / "server", description="where items and the ledger live")
    listen_on_address: str = Field(default="127.0.0.1", description="address to listen on")
    listen_on_port: int = Field(default=8770, ge=0, le=65535, description="port to listen on; 0 takes any free one")
    list_of_supported_media_types: tuple[MediaType, ...] = Field(default=_ALL_MEDIA, description="media that this server takes")
    number_of_conversion_threads: int = Field(default=0, ge=0, le=256, description="conversions at once; 0: by cores and memory")
    broker: Literal["embedded", "separate"] = Field(default="embedded", description="separate: run `dmc broker run` beside the server")
    ledger: Literal["json", "sqlite"] = Field(default="json", description="json: up to 100,000 items, readable; sqlite: a million")
    sandbox: Literal["required", "best-effort", "off"] = Field(default="best-effort", description="the locked room of the workers")
    allowed_hosts: tuple[str, ...] = Field(default=(), description="host names by which people reach this server")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="least level of events that are logged")
    conversion_types: dict[str, dict[str, Any]] = Field(default_factory=dict, description="own types: a built-in base and its options")
    limits: Limits = Limits()
    retention: Retention = Retention()

    @field_validator("conversion_types")
    @classmethod
    def _are_types(cls, own: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        try:
            with_own_types(own)
        except DmcError as problem:
            raise ValueError(f"{problem.message} {problem.hint}".strip()) from None
        return own


# --- Client --------------------------------------------------------------------------------------------------------


def _check_conversions(conversions: dict[MediaType, str]) -> dict[MediaType, str]:
    for medium, name in conversions.items():
        try:
            check_fits(find_conversion(name), medium)
        except DmcError as problem:
            raise ValueError(str(problem)) from None
    return {**DEFAULT_CONVERSIONS, **conversions}


class ObservedPath(BaseModel):
    """A folder that the client watches."""

    model_config = _FROZEN
    path: UserPath = Field(description="the folder")
    observed_media_types: tuple[MediaType, ...] = Field(default=_ALL_MEDIA, description="media that are taken from it")
    conversion_types: Annotated[dict[MediaType, str], AfterValidator(_check_conversions)] = Field(
        default_factory=lambda: dict(DEFAULT_CONVERSIONS), description="conversion type per medium"
    )
    output_folder: UserPath | None = Field(default=None, description="where results go; default: `converted` inside the folder")
    originals: Literal["keep", "trash"] = Field(
        default="keep", description="trash: move them to `.originals` in the folder once their results are home"
    )
    ignore: tuple[str, ...] = Field(default=(), description="patterns of names to ignore; `!pattern` takes one in again")


class KnownServer(BaseModel):
    """A server that the client may send to."""

    model_config = _FROZEN
    name: str = Field(default="", description="what this client calls it; default: address and port")
    address: str = Field(default="127.0.0.1", description="host name or address")
    port: int = Field(default=8770, ge=1, le=65535, description="port")
    token_file: UserPath | None = Field(default=None, description="file that holds the token, readable by you alone")
    list_of_supported_media_types: tuple[MediaType, ...] = Field(default=_ALL_MEDIA, description="media this server is for")
    conversion_types: tuple[str, ...] | None = Field(default=None, description="conversion types it is for; default: all")

    @field_validator("conversion_types")
    @classmethod
    def _known(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in names or ():
            if name not in CONVERSION_TYPES:
                raise ValueError(f"there is no conversion type {name!r}. {did_you_mean(name, CONVERSION_TYPES)}".strip())
        return names

    @property
    def label(self) -> str:
        return self.name or f"{self.address}:{self.port}"


class ClientSettings(BaseModel):
    """What `config/client.toml` may say."""

    model_config = _FROZEN
    state_folder: UserPath = Field(default_factory=lambda: state_home() / "client", description="where the outbox lives")
    list_of_paths_to_observe: tuple[ObservedPath, ...] = Field(default=(), description="folders to watch")
    list_of_servers: tuple[KnownServer, ...] = Field(default=(), description="servers, the first that fits takes a file")
    rescan_interval_s: float = Field(default=300.0, gt=0, description="seconds between two full scans")
    settle_s: float = Field(default=2.0, ge=0, description="seconds a file must be unchanged, on a local disk")
    settle_polled_s: float = Field(default=10.0, ge=0, description="the same on a network share, where only polling sees changes")
    settle_empty_s: float = Field(default=30.0, ge=0, description="the same for a file without content")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="least level of events that are logged")


# --- Loading -------------------------------------------------------------------------------------------------------

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
