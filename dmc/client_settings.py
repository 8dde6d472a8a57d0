"""What `config/client.toml` may say: frozen models, unknown keys refused. Loading stands in config.py."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from dmc.base_path import checked_base_path
from dmc.conversions import CONVERSION_TYPES, DEFAULT_CONVERSIONS, MediaType, check_fits, did_you_mean, find_conversion, may_be_own
from dmc.errors import DmcError
from dmc.fingerprints import plain_fingerprint
from dmc.homes import UserPath, state_home

_FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)
_ALL_MEDIA = (MediaType.VIDEO, MediaType.AUDIO, MediaType.IMAGE)


def _check_conversions(conversions: dict[MediaType, str]) -> dict[MediaType, str]:
    for medium, name in conversions.items():
        try:
            if not may_be_own(name):
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
    sidecars: bool = Field(default=True, description="copies of subtitles, metadata and the like of the same name follow the result")
    trash_days: int = Field(default=30, ge=0, le=36_500, description="days until what is in `.originals` is deleted for good; 0: never")
    existing: Literal["convert", "leave"] = Field(default="convert", description="leave: files that were there at first are left alone")
    results_owner: str | None = Field(default=None, description="user that results belong to, by name or number; wants root")
    results_group: str | None = Field(default=None, description="group that results belong to, by name or number")
    results_umask: str | None = Field(default=None, pattern="^0?[0-7]{3}$", description="mode bits that results do not get")
    ignore: tuple[str, ...] = Field(default=(), description="patterns of names to ignore; `!pattern` takes one in again")


class KnownServer(BaseModel):
    """A server that the client may send to."""

    model_config = _FROZEN
    name: str = Field(default="", description="what this client calls it; default: address and port")
    address: str = Field(default="127.0.0.1", description="host name or address")
    port: int = Field(default=8770, ge=1, le=65535, description="port")
    base_path: str = Field(default="", description="path that a proxy gives to the server: /dmc")
    token_file: UserPath | None = Field(default=None, description="file that holds the token, readable by you alone")
    tls: bool = Field(default=False, description="speak TLS; so it is with a fingerprint or a ca_file anyway")
    fingerprint: str | None = Field(default=None, description="SHA-256 of the server's certificate: no other one is taken")
    ca_file: UserPath | None = Field(default=None, description="certificates (PEM) of whoever vouches for the server's")
    list_of_supported_media_types: tuple[MediaType, ...] = Field(default=_ALL_MEDIA, description="media this server is for")
    conversion_types: tuple[str, ...] | None = Field(default=None, description="conversion types it is for; default: all")

    @field_validator("base_path")
    @classmethod
    def _is_path(cls, base: str) -> str:
        return checked_base_path(base)

    @field_validator("fingerprint")
    @classmethod
    def _plain(cls, fingerprint: str | None) -> str | None:
        try:
            return None if fingerprint is None else plain_fingerprint(fingerprint)
        except DmcError as problem:
            raise ValueError(problem.message) from None

    @field_validator("conversion_types")
    @classmethod
    def _known(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in names or ():
            if name not in CONVERSION_TYPES and not may_be_own(name):
                raise ValueError(f"there is no conversion type {name!r}. {did_you_mean(name, CONVERSION_TYPES)}".strip())
        return names

    @property
    def url(self) -> str:
        """Where it is reached."""
        scheme = "https" if self.tls or self.fingerprint is not None or self.ca_file is not None else "http"
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{scheme}://{host}:{self.port}{self.base_path}"

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
    log_form: Literal["auto", "console", "logfmt", "json"] = Field(default="auto", description="auto: console on a terminal, else logfmt")
    log_full_paths: bool = Field(default=False, description="whole paths in the log; default: only the last part")


def unknown_types(settings: ClientSettings) -> list[str]:
    """A sentence for each conversion type that only a server's own settings can explain."""
    named = [name for path in settings.list_of_paths_to_observe for name in path.conversion_types.values()]
    named += [name for server in settings.list_of_servers for name in server.conversion_types or ()]
    return [
        f"{name!r} is no built-in conversion type: the server must have it as its own. {did_you_mean(name, CONVERSION_TYPES)}".strip()
        for name in dict.fromkeys(named)
        if name not in CONVERSION_TYPES
    ]
