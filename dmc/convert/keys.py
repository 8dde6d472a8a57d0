"""Finds the key picture from which a moment of a video can be decoded, and where to begin to read, without reading the whole file
where its index is right."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.container import InputContainer
from av.error import FFmpegError

from dmc.convert.cut import SNAP, Cut, cut_of, has_nothing_of
from dmc.convert.facts import MediaFacts
from dmc.convert.limits import Limits
from dmc.convert.media import open_media, packets
from dmc.convert.recipes import Recipe

_BACK_S = (0, 15, 120)
"""How far before the moment reading begins: indexes may point a little too late. After these the file is read from its beginning."""


_SEEKS = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "mpegts"})
"""Containers whose times are the same wherever reading begins; others count or estimate them from the beginning."""

_WORTH_S = 60
"""A beginning up to this length is read along."""

_MARGIN_S, _LONGEST_TEXT_S = 10, 60
"""How long before the cut reading begins, at least: for decoders of sound to settle, and for subtitles that are still shown."""

_PACKETS_TO_SEE = 20_000


def cut_for(source: Path, facts: MediaFacts, recipe: Recipe, options: Mapping[str, Any], limits: Limits, label: str) -> Cut | None:
    """The cut that `options` ask of this file, its key picture and where to begin found; None for none. Raises what cut_of does."""
    cut = cut_of(facts, options, label)
    if cut is None or cut.start == 0:
        return cut
    pictures = [s.index for s in facts.streams if s.type == "video" and not s.cover and s.decodable and not recipe.only_sound]
    if pictures:
        keys = [find_key(source, index, cut.first, limits, label) for index in (pictures[:1] if recipe.remux else pictures)]
        known = [key for key in keys if key is not None]
        if len(known) < len(keys):
            return cut
        cut = replace(cut, key=min(known))
        cut = cut.at_key() if recipe.remux else cut
    return replace(cut, begin=find_begin(source, facts, cut, limits, label))


def find_begin(source: Path, facts: MediaFacts, cut: Cut, limits: Limits, label: str) -> Fraction | None:
    """Where on the file's clock to seek so that nothing of `cut` is missed, seen by trying; None: read from the beginning."""
    needed = cut.first if cut.key is None else min(cut.first, cut.key)
    if facts.container not in _SEEKS or needed - cut.zero < _WORTH_S:
        return None
    margin = _LONGEST_TEXT_S if any(s.type == "subtitle" for s in facts.streams) else _MARGIN_S
    tracks = [s.index for s in facts.streams if s.type in ("video", "audio") and not s.cover and s.decodable and not has_nothing_of(s, cut)]
    for begin in (needed - margin, needed - 6 * margin):
        if begin - cut.zero < _WORTH_S / 2:
            break
        with open_media(source, limits, label) as media:
            try:
                media.seek(int(begin * 1_000_000))
            except (FFmpegError, OSError):
                break
            if _all_there(media, tracks, needed):
                return begin
    return None


def _all_there(media: InputContainer, tracks: list[int], needed: Fraction) -> bool:
    """Does every track have something, pictures a key picture, well before the moment that is needed?"""
    waiting = set(tracks)
    for count, packet in enumerate(packets(media, [media.streams[index] for index in tracks])):
        shown = packet.pts if packet.pts is not None else packet.dts
        at = None if shown is None else shown * packet.time_base
        if at is not None and at > needed - 1:
            return False
        if at is not None and (packet.is_keyframe or packet.stream.type != "video"):
            waiting.discard(packet.stream_index)
        if not waiting:
            return True
        if count > _PACKETS_TO_SEE:
            break
    return False


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
