"""Conversion types of the settings: a built-in one with options of its own, checked like those of an item."""

from pathlib import Path

import pytest

from dmc.config import load_server
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
