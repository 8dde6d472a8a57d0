"""Which files belong to a source by their name, and what becomes of their copies: tables."""

import unicodedata
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import pytest

from dmc.client.companions import ENDINGS, NO_SOURCES, Write, Written, belonging, decide, is_companion, places
from dmc.client.records import Companion, encode_path
from dmc.conversions import EXTENSIONS


def test_no_ending_is_that_of_a_source() -> None:
    assert not ENDINGS & EXTENSIONS.keys() and NO_SOURCES < ENDINGS
    assert all(not is_companion(f"film.{ending}") for ending in EXTENSIONS)


NFD = unicodedata.normalize("NFD", "Käse")

CASES: Mapping[str, tuple[list[str], dict[str, str]]] = {
    # what is in the folder → what belongs to a source: by this stem, or by its whole name
    "the same stem": (["film.mkv", "film.srt"], {"film.srt": "film"}),
    "a language and flags": (
        ["film.mkv", "film.de.forced.ass", "film.pt-BR.srt"],
        {"film.de.forced.ass": "film", "film.pt-BR.srt": "film"},
    ),
    "a pair of files": (["film.mkv", "film.sub", "film.idx", "film.SUP"], {"film.sub": "film", "film.idx": "film", "film.SUP": "film"}),
    "a track's number": (["film.mkv", "film.en.2.srt"], {"film.en.2.srt": "film"}),
    "its whole name": (["IMG_1.jpg", "IMG_1.jpg.xmp", "IMG_1.aae"], {"IMG_1.jpg.xmp": "whole", "IMG_1.aae": "IMG_1"}),
    "its whole name with words": (["a.jpg", "a.jpg.supplemental-metadata.json"], {"a.jpg.supplemental-metadata.json": "whole"}),
    "case does not count": (["FILM.MOV", "film.srt", "FILM.NFO"], {"film.srt": "FILM", "FILM.NFO": "FILM"}),
    "forms of accents do not count": ([f"{NFD}.mkv", "Käse.srt"], {"Käse.srt": NFD}),
    "the longest name wins": (["film.mkv", "film.part2.mkv", "film.part2.srt"], {"film.part2.srt": "film.part2"}),
    "of another film": (["film.mkv", "films.srt", "film2.srt", "my film.srt", "film-1.srt"], {}),
    "no sidecar": (["film.mkv", "film.jpg", "film.zip", "film", "film.md5", ".srt"], {}),
    "too many words": (["film.mkv", "film.a.b.c.d.srt"], {}),
    "no words": (["film.mkv", "film..srt", "film.2024.srt", f"film.{'x' * 40}.srt"], {}),
    "without a source": (["film.srt", "other.mkv"], {}),
    "names that are no text": (["f\udcff.mkv", "f\udcff.en.srt"], {"f\udcff.en.srt": "f\udcff"}),
    "a newline": (["a\nb.mkv", "a\nb.srt"], {"a\nb.srt": "a\nb"}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_belongs_to_whom(case: str) -> None:
    names, expected = CASES[case]
    found = belonging(names, names)
    assert {each.name: "whole" if each.whole else each.sources[0].rpartition(".")[0] for each in found} == expected


def test_two_sources_with_one_stem_share_what_belongs_to_it() -> None:
    (found,) = belonging(["film.mov", "film.mkv", "film.en.srt"], ["film.mov"])
    assert (found.sources, found.tail, found.whole) == (("film.mkv", "film.mov"), ".en.srt", False)


def test_sources_that_differ_in_case_alone_have_each_their_own() -> None:
    found = belonging(["Film.mkv", "film.mkv", "film.srt", "Film.srt"], ["film.mkv", "Film.mkv"])
    assert {each.name: each.sources for each in found} == {"film.srt": ("film.mkv",), "Film.srt": ("Film.mkv",)}


def test_only_what_was_asked_for_is_told_and_a_source_in_the_trash_has_its_own_too() -> None:
    names = ["film.mkv", "film.srt", "other.mkv", "other.srt"]
    assert [each.name for each in belonging(names, ["other.mkv"])] == ["other.srt"]
    assert [each.name for each in belonging(names, ["film.srt"])] == ["film.srt"]
    assert [each.name for each in belonging(["film.srt"], ["film.srt"], ["film.mkv"])] == ["film.srt"]
    assert belonging(["film.mkv.xmp", "film.mov"], ["film.mkv.xmp"]) == []


@pytest.mark.parametrize(
    ("names", "result", "copies"),
    [
        (["film.mkv", "film.en.srt"], "film.webm", ["film.en.srt", "film (2).en.srt"]),
        (["film.mkv", "film.en.srt"], "film (2).mp4", ["film (2).en.srt", "film (2) (2).en.srt"]),
        (["film.mkv", "film.srt"], "film.conflict-20260101T000000Z-laptop.mkv", ["film.conflict-20260101T000000Z-laptop.srt"]),
        (["a.jpg", "a.jpg.xmp"], "a.webp", ["a.webp.xmp", "a.webp (2).xmp"]),
        (["x" * 250 + ".mkv", "x" * 250 + ".srt"], "x" * 251 + ".mkv", ["x" * 251 + ".srt", "x" * 247 + " (2).srt"]),
    ],
)
def test_a_copy_is_named_after_the_result(names: list[str], result: str, copies: list[str]) -> None:
    (found,) = belonging(names, names)
    assert [path.name for path in islice(places(found, Path("/home") / result), len(copies))] == copies


A, B, THEIRS = "a" * 128, "b" * 128, "7" * 128
FIRST, SECOND = Path("/home/film.srt"), Path("/home/film (2).srt")


def copy(sha512: str, place: Path = FIRST, *, instead_of: str = "", placed: bool = True, name: str = "film.srt") -> Companion:
    return Companion(name=name, place=encode_path(place), size=1, mtime_ns=1, sha512=sha512, instead_of=instead_of, placed=placed)


DECISIONS = {
    # name: content, what is known of its copy, what lies there, → what is done
    "first": (A, None, {}, Write(FIRST)),
    "the name is taken": (A, None, {FIRST: THEIRS}, Write(SECOND)),
    "somebody copied it already": (A, None, {FIRST: A}, None),
    "done": (A, copy(A), {FIRST: A}, None),
    "done, and removed at home": (A, copy(A), {}, None),
    "done, and changed at home": (A, copy(A), {FIRST: THEIRS}, None),
    "newer": (B, copy(A), {FIRST: A}, Write(FIRST, A)),
    "newer, and removed at home": (B, copy(A), {}, Write(FIRST)),
    "newer, and changed at home": (B, copy(A), {FIRST: THEIRS}, Write(SECOND)),
    "newer, beside theirs": (B, copy(A, SECOND), {FIRST: THEIRS, SECOND: A}, Write(SECOND, A)),
    "newer, and the same at home": (B, copy(A), {FIRST: B}, Written(FIRST)),
    "killed before the copy": (A, copy(A, placed=False), {}, Write(FIRST)),
    "killed after the copy": (A, copy(A, placed=False), {FIRST: A}, Written(FIRST)),
    "killed before a newer copy": (B, copy(B, instead_of=A, placed=False), {FIRST: A}, Write(FIRST, A)),
    "killed after a newer copy": (B, copy(B, instead_of=A, placed=False), {FIRST: B}, Written(FIRST)),
    "killed before the copy, and the name was taken": (A, copy(A, placed=False), {FIRST: THEIRS}, Write(SECOND)),
    "the result has another place by now": (A, copy(A, Path("/elsewhere/film.srt")), {}, Write(FIRST)),
}


@pytest.mark.parametrize("case", DECISIONS)
def test_what_is_done_with_a_copy(case: str) -> None:
    sha512, before, there, expected = DECISIONS[case]
    assert decide(sha512, before, [FIRST, SECOND], there.get, [before] if before else []) == expected


def test_a_copy_that_another_record_of_this_folder_wrote_is_ours_too() -> None:
    other = copy(A)
    assert decide(B, None, [FIRST, SECOND], {FIRST: A}.get, [other]) == Write(FIRST, A)
    assert decide(B, None, [FIRST, SECOND], {FIRST: A}.get, []) == Write(SECOND)


def test_when_every_name_is_taken_nothing_is_done() -> None:
    assert decide(A, None, [FIRST, SECOND], {FIRST: THEIRS, SECOND: THEIRS}.get, []) is None
