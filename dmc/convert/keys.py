"""Finds the key picture from which a moment of a video can be decoded, without reading the whole file where its index is right."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.container import InputContainer
from av.error import FFmpegError

from dmc.convert.cut import SNAP, Cut, cut_of
from dmc.convert.facts import MediaFacts
from dmc.convert.limits import Limits
from dmc.convert.media import open_media, packets
from dmc.convert.recipes import Recipe

_BACK_S = (0, 15, 120)
"""How far before the moment reading begins: indexes may point a little too late. After these the file is read from its beginning."""


def cut_for(source: Path, facts: MediaFacts, recipe: Recipe, options: Mapping[str, Any], limits: Limits, label: str) -> Cut | None:
    """The cut that `options` ask of this file, its key picture found; None for none. Raises what cut_of does."""
    cut = cut_of(facts, options, label)
    pictures = [s.index for s in facts.streams if s.type == "video" and not s.cover and s.decodable]
    if cut is None or cut.start == 0 or not pictures or recipe.only_sound:
        return cut
    if recipe.remux:
        return replace(cut, key=find_key(source, pictures[0], cut.first, limits, label)).at_key()
    keys = [find_key(source, index, cut.first, limits, label) for index in pictures]
    known = [key for key in keys if key is not None]
    return replace(cut, key=min(known) if len(known) == len(keys) else None)


def find_key(source: Path, index: int, at: Fraction, limits: Limits, label: str) -> Fraction | None:
    """When the last key picture of stream `index` at or before `at` is shown, both on the file's clock; None if there is none."""
    for back in (*_BACK_S, None):
        with open_media(source, limits, label) as media:
            if back is not None:
                if at <= back:
                    continue
                try:
                    media.seek(int((at - back) * 1_000_000))
                except (FFmpegError, OSError):
                    continue
            found = _last_key(media, index, at)
            if found is not None:
                return found
    return None


def _last_key(media: InputContainer, index: int, at: Fraction) -> Fraction | None:
    found: Fraction | None = None
    for packet in packets(media, [media.streams[index]]):
        shown = packet.pts if packet.pts is not None else packet.dts
        decoded = packet.dts if packet.dts is not None else packet.pts
        if shown is None or decoded is None:
            continue
        if packet.is_keyframe and shown * packet.time_base <= at + SNAP:
            found = shown * packet.time_base
        if decoded * packet.time_base > at + SNAP:
            break
    return found
