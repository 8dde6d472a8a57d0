"""Which files belong to a source by their name, what their copies beside its result are called, and when one is written. Pure.

`film.srt`, `film.de.forced.ass` and `film.nfo` belong to every source with the stem `film`; `film.mkv.xmp` belongs to `film.mkv` alone.
The longest name wins: `film.part2.srt` belongs to `film.part2.mkv`, not to `film.mkv`. Case and the form of accents do not
count, unless two sources differ by nothing else.
"""

import os
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from dmc.client.naming import fit
from dmc.client.records import Companion, decode_path, encode_path
from dmc.conversions import EXTENSIONS, guess_media_type

ENDINGS = frozenset(
    {
        *("srt", "ass", "ssa", "vtt", "ttml", "dfxp", "smi", "sub", "idx", "sup", "usf", "sbv", "scc", "lrc"),  # Texts and subtitles.
        *("nfo", "xmp", "aae", "thm", "pp3", "dop", "gpx", "xml", "json", "txt", "description"),  # What is known of it, edits, places.
        *("cue", "edl"),  # Where its parts begin.
    }
)
"""Lower-case endings of files that belong to a source."""

NO_SOURCES = frozenset({"sub", "thm"})
"""Those among them whose first bytes are a video's or a picture's: they are no sources all the same."""

MOST_BYTES = 64 * 1024 * 1024
"""Larger files stay where they are: no sidecar is as large, and it is read as a whole."""
MOST_NAMES = 9
"""Names that are tried for one copy."""
MOST_PARTS = 3
"""Words between the name of the source and the ending: language and flags."""

_WORD = re.compile(r"[^\W\d_][\w '()+-]{0,31}|\d{1,2}")
"""`en`, `pt-BR`, `forced`, `English (UK)`, `supplemental-metadata`; or a track's number."""


class Belongs(NamedTuple):
    """The file `name` and the names of the sources it belongs to: by their stem, or if `whole` by their name with its ending.

    `tail`: what follows that, e.g. `.en.srt`.
    """

    name: str
    sources: tuple[str, ...]
    tail: str
    whole: bool


@dataclass(frozen=True, slots=True)
class Write:
    """Put a copy at `place`. `instead_of`: digest of an older copy of ours there, empty if nothing is there."""

    place: Path
    instead_of: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """The copy is at `place` already; only the record does not say so yet."""

    place: Path


def is_companion(name: str) -> bool:
    """Whether a file of this name may belong to a source."""
    stem, dot, ending = name.rpartition(".")
    return bool(stem and dot) and ending.lower() in ENDINGS


def is_no_source(name: str) -> bool:
    """Whether a file of this name is no source, whatever its first bytes say."""
    return name.rpartition(".")[2].lower() in NO_SOURCES


def belonging(names: Collection[str], asked: Collection[str], known: Iterable[str] = ()) -> list[Belongs]:
    """The companions among `names`, all of one folder, that are in `asked` or belong to a source that is.

    `known`: names of sources that are there no more, e.g. since they lie in the trash.
    """
    sources = {name for name in names if not is_companion(name) and guess_media_type(name) is not None} | set(known)
    by_name, by_stem = _index(sources, lambda name: name), _index(sources, lambda name: os.path.splitext(name)[0])
    wanted = set(asked)
    # Folders may be large: only what begins like a source that is asked for, or is asked for itself, is looked at closely.
    starts = tuple({_key(os.path.splitext(name)[0]) for name in wanted if not is_companion(name)})
    near = (name for name in names if is_companion(name) and (name in wanted or _key(name).startswith(starts)))
    found = (_owned(name, by_name, by_stem) for name in sorted(near))
    return [each for each in found if each is not None and not wanted.isdisjoint((each.name, *each.sources))]


def _owned(name: str, by_name: Mapping[str, list[str]], by_stem: Mapping[str, list[str]]) -> Belongs | None:
    words = name.split(".")
    for cut in range(len(words) - 1, max(0, len(words) - 2 - MOST_PARTS), -1):
        if not all(_is_word(word) for word in words[cut:-1]):
            return None
        start, tail = ".".join(words[:cut]), "." + ".".join(words[cut:])
        for index, whole in ((by_name, True), (by_stem, False)):
            sources = index.get(_key(start), [])
            same_case = [source for source in sources if (source if whole else os.path.splitext(source)[0]) == start]
            if sources:
                return Belongs(name, tuple(sorted(same_case or sources)), tail, whole)
    return None


def _is_word(text: str) -> bool:
    """No ending of a source that is there no more; those of two letters are languages as well."""
    return _WORD.fullmatch(text) is not None and (len(text) == 2 or text.lower() not in EXTENSIONS)


def _index(names: Iterable[str], of: Callable[[str], str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(_key(of(name)), []).append(name)
    return found


def _key(text: str) -> str:
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text.casefold())


def places(belongs: Belongs, result: Path) -> Iterator[Path]:
    """Where a copy may lie, beside the result at `result` and named after it: `film.en.srt`, `film (2).en.srt`, …"""
    start = result.name if belongs.whole else os.path.splitext(result.name)[0]
    yield result.with_name(fit(start, belongs.tail))
    for number in range(2, MOST_NAMES + 1):
        yield result.with_name(fit(start, f" ({number}){belongs.tail}"))


def decide(
    sha512: str, before: Companion | None, candidates: Iterable[Path], there: Callable[[Path], str | None], ours: Collection[Companion]
) -> Write | Written | None:
    """What to do so that content with the digest `sha512` lies at one of `candidates`; None: nothing, or no name is free.

    `before`: what is known of an earlier copy of the same file. `there`: the digest of what lies at a place, None for nothing. `ours`:
    all copies known in that folder. A copy that was removed or changed by somebody else is theirs; only newer content is written again.
    """
    names = list(islice(candidates, MOST_NAMES))
    earlier = decode_path(before.place) if before is not None else None
    if before is not None and earlier in names:
        if before.placed and before.sha512 == sha512:
            return None
        names.remove(earlier)
        names.insert(0, earlier)
    for place in names:
        digest = there(place)
        if digest is None:
            return Write(place)
        known = {digest for each in ours if each.place == encode_path(place) for digest in (each.sha512, each.instead_of) if digest}
        if digest == sha512:
            return Written(place) if before is not None and place == earlier else None
        if digest in known:
            return Write(place, digest)
    return None
