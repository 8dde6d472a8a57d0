"""Settings: precedence, refusals with a did-you-mean, and the examples that say what the code does."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from dmc.client_settings import ClientSettings, KnownServer, ObservedPath
from dmc.config import find_file, load_client, load_server
from dmc.errors import BadSettings
from dmc.homes import config_homes
from dmc.server_settings import ServerSettings, WebhookSettings

CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"DMC_HOME": str(tmp_path)}


def test_without_anything_the_defaults_count(environ: dict[str, str]) -> None:
    loaded = load_server(environ=environ)
    assert loaded.settings.listen_on_address == "127.0.0.1" and loaded.settings.listen_on_port == 8770
    assert loaded.file is None and loaded.origins == {}


def test_flags_beat_the_environment_which_beats_the_file(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "server.toml").write_text("listen_on_port = 1\nnumber_of_conversion_threads = 1\n[limits]\nstall_s = 1\nmax_pixels = 1\n")
    environ |= {"DMC_SERVER__LISTEN_ON_PORT": "2", "DMC_SERVER__LIMITS__STALL_S": "2.5", "DMC_CLIENT__SETTLE_S": "9"}
    loaded = load_server(None, {"listen_on_port": 3, "data_folder": None}, environ)
    assert loaded.settings.listen_on_port == 3
    assert loaded.settings.limits.stall_s == 2.5 and loaded.settings.limits.max_pixels == 1
    assert loaded.settings.number_of_conversion_threads == 1
    assert loaded.origins["listen_on_port"] == "flag" and loaded.origins["limits.stall_s"] == "environment"
    assert loaded.origins["limits.max_pixels"] == str(tmp_path / "server.toml")


def test_plain_words_in_the_environment_need_no_quotes(environ: dict[str, str]) -> None:
    environ |= {"DMC_SERVER__LOG_LEVEL": "debug", "DMC_SERVER__ALLOWED_HOSTS": '["nas.local"]'}
    settings = load_server(environ=environ).settings
    assert settings.log_level == "debug" and settings.allowed_hosts == ("nas.local",)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("listen_on_prot = 1", "listen_on_port"),
        ("[limits]\nmax_pixel = 1", "max_pixels"),
        ("[retention]\nacknowledged_day = 1", "acknowledged_days"),
    ],
)
def test_an_unknown_key_is_refused_with_a_did_you_mean(environ: dict[str, str], tmp_path: Path, text: str, near: str) -> None:
    (tmp_path / "server.toml").write_text(text)
    with pytest.raises(BadSettings, match=rf"is not a setting. Did you mean '{near}'\?") as caught:
        load_server(environ=environ)
    assert str(tmp_path / "server.toml") in caught.value.message and caught.value.exit_code == 2


def test_an_unknown_key_inside_a_list_is_found_too(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "client.toml").write_text("[[list_of_paths_to_observe]]\npath = '/a'\nconversion_type = {}\n")
    with pytest.raises(BadSettings, match="Did you mean 'conversion_types'"):
        load_client(environ=environ)


def test_an_unknown_variable_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(BadSettings, match="DMC_SEVER__LISTEN_ON_PORT is not a variable"):
        load_server(environ=environ | {"DMC_SEVER__LISTEN_ON_PORT": "1"})
    with pytest.raises(BadSettings, match="listen_on_prot is not a setting"):
        load_server(environ=environ | {"DMC_SERVER__LISTEN_ON_PROT": "1"})


def test_every_fault_is_told_not_only_the_first(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "server.toml").write_text("listen_on_port = 70000\nbroker = 'outside'\n")
    with pytest.raises(BadSettings) as caught:
        load_server(environ=environ)
    assert "listen_on_port" in caught.value.message and "broker" in caught.value.message


def test_broken_toml_is_a_sentence_with_the_place(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "server.toml").write_text("listen_on_port = \n")
    with pytest.raises(BadSettings, match=r"is not valid TOML: .*line 1"):
        load_server(environ=environ)


def test_a_conversion_that_does_not_fit_its_medium_is_refused(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "client.toml").write_text("[[list_of_paths_to_observe]]\npath = '/a'\nconversion_types = {image = 'h265'}\n")
    with pytest.raises(BadSettings, match="h265 is made from video"):
        load_client(environ=environ)
    (tmp_path / "client.toml").write_text("[[list_of_paths_to_observe]]\npath = '/a'\nconversion_types = {video = 'H265'}\n")
    with pytest.raises(BadSettings, match=r"Did you mean 'h26[45]'"):
        load_client(environ=environ)


def test_conversions_that_are_not_named_keep_their_default(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "client.toml").write_text("[[list_of_paths_to_observe]]\npath = '/a'\nconversion_types = {video = 'web'}\n")
    [observed] = load_client(environ=environ).settings.list_of_paths_to_observe
    assert observed.conversion_types == {"video": "web", "audio": "opus", "image": "webp"}


def test_the_users_file_counts_before_the_systems(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    assert config_homes(environ)[-1] == Path("/etc/dmc")
    (tmp_path / "dmc").mkdir()
    (tmp_path / "dmc/server.toml").write_text("")
    assert find_file("server", environ) == tmp_path / "dmc/server.toml"


def _uncommented(file: Path) -> dict[str, Any]:
    """The example with every setting switched on."""
    lines = [re.sub(r"^# ((\[\[)?\w+(\]\]| = ).*)$", r"\1", line) for line in file.read_text().splitlines()]
    return tomllib.loads("\n".join(lines))


def _keys(model: type[BaseModel], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for name, field in model.model_fields.items():
        nested = field.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            found |= _keys(nested, f"{prefix}{name}.")
        else:
            found.add(prefix + name)
    return found


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def test_the_server_example_holds_every_key_with_its_default() -> None:
    example = _uncommented(CONFIG / "server.toml")
    shown = {key: example.pop(key) for key in ("conversion_types", "quiet_hours", "tls_certificate", "tls_key", "webhooks")}
    assert ServerSettings.model_validate(shown).conversion_types
    assert ServerSettings.model_validate(shown).hours()
    assert set(shown["webhooks"][0]) == set(WebhookSettings.model_fields)
    assert set(_flat(example)) == _keys(ServerSettings) - shown.keys()
    defaults = ServerSettings().model_dump(mode="json")
    assert ServerSettings.model_validate({k: v for k, v in example.items() if k != "data_folder"}).model_dump(mode="json") == defaults


def test_the_client_example_holds_every_key_with_its_default() -> None:
    example = _uncommented(CONFIG / "client.toml")
    [observed], [server] = example.pop("list_of_paths_to_observe"), example.pop("list_of_servers")
    assert set(example) == _keys(ClientSettings) - {"list_of_paths_to_observe", "list_of_servers"}
    assert set(observed) == set(ObservedPath.model_fields) and set(server) == set(KnownServer.model_fields)
    assert ObservedPath.model_validate(observed).ignore == () and KnownServer.model_validate(server).label == "nas"
    defaults = ClientSettings().model_dump(mode="json")
    assert ClientSettings.model_validate({k: v for k, v in example.items() if k != "state_folder"}).model_dump(mode="json") == defaults


def test_the_examples_change_nothing_as_they_are() -> None:
    assert tomllib.loads((CONFIG / "client.toml").read_text()) == {}
    assert set(_flat(tomllib.loads((CONFIG / "server.toml").read_text()))) == set()


def test_quiet_hours_are_checked_when_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "server.toml").write_text('[[quiet_hours]]\nwhen = "funday 08:00-18:00"\n')
    with pytest.raises(BadSettings, match="'funday' in 'funday 08:00-18:00' is no day"):
        load_server(tmp_path / "server.toml", environ={})
    with pytest.raises(BadSettings, match="time_zone: there is no time zone"):
        load_server(None, {"time_zone": "Middle/Earth"}, environ={"DMC_HOME": str(tmp_path / "none")})
