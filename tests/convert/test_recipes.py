"""Recipes and the conversion types that everybody knows agree with each other."""

import io

import av
import pytest

from dmc.conversions import CONVERSION_TYPES, OPTIONS, MediaType, check_options, extension_of, find_conversion
from dmc.convert.recipes import CONTAINERS, FALLBACK_SOUND, RECIPES
from dmc.convert.sound import LAYOUTS
from dmc.convert.verify import ENCODED_AS
from dmc.errors import BadRequest


def test_every_type_for_video_or_sound_has_a_recipe_and_every_type_has_options() -> None:
    with_streams = {name for name, kind in CONVERSION_TYPES.items() if kind.takes & {MediaType.VIDEO, MediaType.AUDIO}}
    assert set(RECIPES) == with_streams
    assert set(OPTIONS) == set(CONVERSION_TYPES)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_gives_the_file_ending_that_its_type_promises(name: str) -> None:
    assert f".{RECIPES[name].container.name}" == CONVERSION_TYPES[name].extension


def test_every_encoder_is_in_this_build_and_its_codec_is_known_to_verify() -> None:
    for recipe in RECIPES.values():
        for part in (recipe.video, recipe.sound):
            if part is not None:
                assert av.Codec(part.encoder, "w").canonical_name == part.codec == ENCODED_AS[part.encoder]
    for sound in FALLBACK_SOUND.values():
        assert ENCODED_AS[sound.encoder] == sound.codec


@pytest.mark.parametrize("name", sorted(CONTAINERS))
def test_every_codec_that_a_container_claims_is_one_that_its_muxer_takes(name: str) -> None:
    container = CONTAINERS[name]
    with av.open(io.BytesIO(), "w", format=container.muxer) as out:
        taken = {av.Codec(c, "r").canonical_name if c in av.codecs_available and _reads(c) else c for c in out.supported_codecs}
    unknown = {c for c in container.video | container.sound | container.subtitles if _reads(c)} - taken
    assert not unknown


def _reads(codec: str) -> bool:
    try:
        av.Codec(codec, "r")
    except ValueError:
        return False
    return True


def test_layouts_have_as_many_channels_as_they_say() -> None:
    assert all(av.AudioLayout(name).nb_channels == channels for channels, name in LAYOUTS.items())


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("h264", {"crf": 20, "height": 720, "container": "mp4", "on_loss": "refuse", "keep_if_larger": True}),
        ("h265", {"crf": 27.5}),
        ("web", {"height": 480}),
        ("opus", {"keep_if_larger": False}),
        ("webp", {}),
    ],
)
def test_options_within_bounds_are_taken(kind: str, options: dict[str, object]) -> None:
    check_options(kind, options)


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("h264", {"cfr": 20}, "Did you mean 'crf'?"),
        ("h264", {"crf": 52}, "from 0 to 51"),
        ("h264", {"crf": True}, "from 0 to 51"),
        ("h264", {"crf": "20"}, "from 0 to 51"),
        ("h264", {"height": 720.5}, "whole number"),
        ("h264", {"container": "avi"}, "one of mkv, mp4"),
        ("web", {"container": "mkv"}, "It takes"),
        ("mkv", {"on_loss": "ask"}, "continue, refuse"),
        ("opus", {"keep_if_larger": 1}, "true or false"),
    ],
)
def test_options_out_of_bounds_are_refused_with_what_is_allowed(kind: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(BadRequest) as caught:
        check_options(kind, options)
    assert said in caught.value.hint


def test_the_option_container_changes_the_file_ending() -> None:
    assert extension_of(find_conversion("h264"), {}) == ".mkv"
    assert extension_of(find_conversion("h264"), {"container": "mp4"}) == ".mp4"
