"""Conversion types of the settings: a built-in one with options of its own, checked like those of an item."""

from pathlib import Path

import pytest

from dmc.client_settings import unknown_types
from dmc.config import load_client, load_server
from dmc.conversions import built_in, check_options, describe, find_conversion, with_own_types
from dmc.errors import BadRequest, BadSettings

SMALL = """
[conversion_types.small]
base = "h265"
crf = 28
max_height = 720
container = "mp4"
"""


def test_an_own_type_is_its_base_with_its_options(tmp_path: Path) -> None:
    (tmp_path / "server.toml").write_text(SMALL)
    types = with_own_types(load_server(tmp_path / "server.toml", environ={}).settings.conversion_types)
    small = find_conversion("small", types)
    assert (small.base, small.extension, small.takes) == ("h265", ".mp4", types["h265"].takes)
    assert small.summary == "h265 with crf 28, height 720, container mp4"
    assert [kind["name"] for kind in describe(types)][-1] == "small"
    assert built_in("small", {"crf": 20}, types) == ("h265", {"crf": 20, "height": 720, "container": "mp4"})
    assert built_in("h264", {"crf": 20}, types) == ("h264", {"crf": 20})
    check_options("small", {"crf": 20, "keep_if_larger": True}, types)
    with pytest.raises(BadRequest) as caught:
        check_options("small", {"cfr": 20}, types)
    assert "Did you mean 'crf'?" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[conversion_types.small]\nbase = "h256"', "Did you mean 'h265'?"),
        ('[conversion_types.small]\nbase = "h265"\ncfr = 28', "Did you mean 'crf'?"),
        ('[conversion_types.small]\nbase = "h265"\ncrf = 99', "from 0 to 51"),
        ("[conversion_types.small]\ncrf = 28", "does not say what it is based on"),
        ('[conversion_types.h264]\nbase = "h265"', "built-in"),
        ('[conversion_types."A b"]\nbase = "h265"', "no name"),
    ],
)
def test_a_wrong_one_is_refused_with_what_was_meant(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "server.toml").write_text(text)
    with pytest.raises(BadSettings) as caught:
        load_server(tmp_path / "server.toml", environ={})
    assert said in caught.value.message


def test_every_option_is_described_with_type_bounds_and_default() -> None:
    types = with_own_types({"small": {"base": "h265", "crf": 28, "max_height": 720}})
    small = next(kind for kind in describe(types) if kind["name"] == "small")
    options = {option.pop("name"): option for option in small["options"]}
    assert small["base"] == "h265" and all(option["summary"] for option in options.values())
    assert {key: options["crf"][key] for key in ("type", "least", "most", "default")} == {
        "type": "number",
        "least": 0,
        "most": 51,
        "default": 28,
    }
    assert (options["height"]["type"], options["height"]["default"]) == ("integer", 720)
    assert (options["container"]["type"], options["container"]["words"], options["container"]["default"]) == ("word", ["mkv", "mp4"], None)
    assert options["strip_location"]["type"] == "boolean"


def test_a_client_takes_the_name_of_a_type_it_does_not_know_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "client.toml"
    file.write_text(
        f'[[list_of_paths_to_observe]]\npath = {str(tmp_path)!r}\nconversion_types = {{ video = "h256" }}\n'
        '[[list_of_servers]]\nconversion_types = ["small", "h265"]\n'
    )
    first, second = unknown_types(load_client(file, environ={}).settings)
    assert "'h256'" in first and "Did you mean 'h265'?" in first
    assert "'small'" in second and "its own" in second


@pytest.mark.parametrize(
    "named", ['path = "/x"\nconversion_types = { video = "No Name" }', 'path = "/x"\nconversion_types = { video = "webp" }']
)
def test_what_can_be_no_type_for_the_medium_is_still_refused(tmp_path: Path, named: str) -> None:
    (tmp_path / "client.toml").write_text(f"[[list_of_paths_to_observe]]\n{named}")
    with pytest.raises(BadSettings):
        load_client(tmp_path / "client.toml", environ={})
