"""What `config/server.toml` may say: frozen models, unknown keys refused. Loading stands in config.py."""

import ipaddress
from collections.abc import Callable
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from dmc.base_path import checked_base_path
from dmc.conversions import MediaType, with_own_types
from dmc.errors import DmcError
from dmc.homes import UserPath, state_home, time_zone_name
from dmc.quiet_hours import EndAction, QuietHours, parse_window, zone_of

_FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)
Value = TypeVar("Value")
_ALL_MEDIA = (MediaType.VIDEO, MediaType.AUDIO, MediaType.IMAGE)


class Limits(BaseModel):
    """Bounds of what the server accepts and of what one conversion may use."""

    model_config = _FROZEN
    max_file_size: int = Field(default=200 * 1024**3, gt=0, description="bytes of one original")
    disk_floor: int = Field(default=1024**3, ge=0, description="bytes that stay free on the data folder's disk")
    max_bytes_per_client: int = Field(default=0, ge=0, description="originals and results of one client; 0: no bound")
    max_bytes_total: int = Field(default=0, ge=0, description="originals and results of all clients; 0: no bound")
    max_open_uploads_per_client: int = Field(default=100, gt=0, description="unfinished uploads of one client")
    upload_idle_s: float = Field(default=60.0, gt=0, description="seconds without a byte before an upload's connection is closed")
    upload_expiry_h: float = Field(default=24.0, gt=0, description="hours after which an unfinished upload is forgotten")
    max_pixels: int = Field(default=256_000_000, gt=0, description="pixels of one frame")
    max_duration_h: float = Field(default=48.0, gt=0, description="hours of one original")
    worker_memory: int = Field(default=8 * 1024**3, gt=0, description="bytes of memory of one conversion worker")
    requests_per_minute: int = Field(default=12_000, ge=0, description="of one address; 0: no bound")
    failed_sign_ins_per_minute: int = Field(default=10, gt=0, description="of one address; who has a valid token is never bound by it")
    stall_s: float = Field(default=300.0, gt=0, description="seconds of silence after which a worker is killed")


class Retention(BaseModel):
    """How long finished items stay."""

    model_config = _FROZEN
    acknowledged_days: float = Field(default=7.0, ge=0, le=36_500, description="days after the client has its result")
    originals_days: float = Field(default=0.0, ge=0, le=36_500, description="the same for originals alone; 0: as long as their items")
    unacknowledged_days: float = Field(default=0.0, ge=0, le=36_500, description="days of a finished item nobody fetched; 0: for ever")
    trash_days: float = Field(default=7.0, ge=0, le=36_500, description="days in which a deletion can be undone; 0: deleted at once")


class QuietWindow(BaseModel):
    """A time in which nothing is begun."""

    model_config = _FROZEN
    when: str = Field(description='days and times, e.g. "mon-fri 08:00-18:00" or "22:00-07:00"')
    end_action: EndAction = Field(default="finish", description="running conversions then: finish, freeze (stand still) or put-back")

    @field_validator("when")
    @classmethod
    def _is_window(cls, when: str) -> str:
        return _said_as_value_error(lambda: parse_window(when), when)


Event = Literal["finished_successful", "finished_with_errors"]
_EVENTS: tuple[Event, ...] = ("finished_successful", "finished_with_errors")


class WebhookSettings(BaseModel):
    """Another program that is told of finished items over HTTP."""

    model_config = _FROZEN
    url: str = Field(description="where to, http or https")
    secret_file: UserPath = Field(description="file with the secret that signs what is told, 16 characters or more")
    events: tuple[Event, ...] = Field(default=_EVENTS, description="what is told")
    digest_minutes: float = Field(default=10.0, ge=0, description="how long one item waits for more to be told with it")

    @field_validator("url")
    @classmethod
    def _is_web(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no address like https://example.org/dmc")
        return url


class HookSettings(BaseModel):
    """A command that is run for each finished item, with the item as JSON on its stdin."""

    model_config = _FROZEN
    command: tuple[str, ...] = Field(default=(), description="program and arguments; empty: off")
    events: tuple[Event, ...] = Field(default=_EVENTS, description="for which items")
    timeout_s: float = Field(default=60.0, gt=0, description="seconds after which it is killed")

    @field_validator("command")
    @classmethod
    def _is_absolute(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        if command and not command[0].startswith("/"):
            raise ValueError("the program is named by its whole path: /usr/local/bin/tell")
        return command


class ServerSettings(BaseModel):
    """What `config/server.toml` may say."""

    model_config = _FROZEN
    data_folder: UserPath = Field(default_factory=lambda: state_home() / "server", description="where items and the ledger live")
    network_data_folder: bool = Field(default=False, description="take a data folder on a network file system, at your risk")
    listen_on_address: str = Field(default="127.0.0.1", description="address to listen on")
    listen_on_port: int = Field(default=8770, ge=0, le=65535, description="port to listen on; 0 takes any free one")
    list_of_supported_media_types: tuple[MediaType, ...] = Field(default=_ALL_MEDIA, description="media that this server takes")
    number_of_conversion_threads: int = Field(default=0, ge=0, le=256, description="conversions at once; 0: by cores and memory")
    tls: Literal["off", "self-made"] = Field(default="off", description="self-made: a certificate is made here, for clients to pin")
    tls_certificate: UserPath | None = Field(default=None, description="a certificate of your own (PEM, with its chain)")
    tls_key: UserPath | None = Field(default=None, description="its key (PEM, without a password)")
    trusted_proxies: tuple[str, ...] = Field(default=(), description="addresses or networks of proxies in front of this server")
    base_path: str = Field(default="", description="path before every path of this server, where a proxy gives it one: /dmc")
    broker: Literal["embedded", "separate"] = Field(default="embedded", description="separate: run `dmc broker run` beside the server")
    ledger: Literal["json", "sqlite"] = Field(default="json", description="json: up to 100,000 items, readable; sqlite: a million")
    on_loss: Literal["continue", "refuse"] = Field(default="continue", description="what is done when something cannot be kept")
    sandbox: Literal["required", "best-effort", "off"] = Field(default="best-effort", description="the locked room of the workers")
    worker_nice: int = Field(default=10, ge=0, le=19, description="by how much other programs go before conversions")
    worker_user: str = Field(default="", description="user that workers become when dmc runs as root; empty: they stay root")
    allowed_hosts: tuple[str, ...] = Field(default=(), description="host names by which people reach this server")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="least level of events that are logged")
    log_form: Literal["auto", "console", "logfmt", "json"] = Field(default="auto", description="auto: console on a terminal, else logfmt")
    log_full_paths: bool = Field(default=False, description="whole paths in the log; default: only the last part")
    conversion_types: dict[str, dict[str, Any]] = Field(default_factory=dict, description="own types: a built-in base and its options")
    time_zone: str = Field(default="", description="time zone of quiet hours; empty: that of the machine")
    quiet_hours: tuple[QuietWindow, ...] = Field(default=(), description="when nothing is begun, and what becomes of what runs")
    limits: Limits = Limits()
    retention: Retention = Retention()
    hook: HookSettings = HookSettings()
    webhooks: tuple[WebhookSettings, ...] = Field(default=(), description="programs that are told over HTTP")

    @field_validator("time_zone")
    @classmethod
    def _is_zone(cls, name: str) -> str:
        return _said_as_value_error(lambda: zone_of(name), name)

    @property
    def scheme(self) -> str:
        """How this server is spoken to."""
        return "http" if self.tls == "off" and self.tls_certificate is None else "https"

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            try:
                ipaddress.ip_network(proxy, strict=False)
            except ValueError:
                raise ValueError(f"{proxy!r} is no address or network like 127.0.0.1 or 10.0.0.0/8") from None
        return proxies

    @field_validator("base_path")
    @classmethod
    def _is_path(cls, base: str) -> str:
        return checked_base_path(base)

    @field_validator("webhooks")
    @classmethod
    def _are_different(cls, webhooks: tuple[WebhookSettings, ...]) -> tuple[WebhookSettings, ...]:
        if len({webhook.url for webhook in webhooks}) < len(webhooks):
            raise ValueError("two webhooks have the same url")
        return webhooks

    @model_validator(mode="after")
    def _have_a_key(self) -> "ServerSettings":
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        if self.tls_certificate is not None and self.tls == "self-made":
            raise ValueError("either tls is self-made, or there is a tls_certificate")
        return self

    @field_validator("conversion_types")
    @classmethod
    def _are_types(cls, own: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return _said_as_value_error(lambda: with_own_types(own), own)

    def hours(self) -> QuietHours:
        """The quiet hours in their time zone."""
        windows = [parse_window(one.when, one.end_action) for one in self.quiet_hours]
        return QuietHours(windows, zone_of(self.time_zone or time_zone_name()))


def _said_as_value_error(check: Callable[[], object], value: Value) -> Value:
    """`value` if `check` has nothing against it; pydantic tells a ValueError with the key."""
    try:
        check()
    except DmcError as problem:
        raise ValueError(f"{problem.message} {problem.hint}".strip()) from None
    return value
