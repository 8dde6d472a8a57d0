"""C9: which names are never drops."""

import pytest

from dmc.client.ignore import IgnoreRules
from dmc.errors import BadSettings


@pytest.mark.parametrize(
    "name",
    [
        *(".hidden.mp4", "~$report.mp4", "clip.tmp", "clip.mp4.part", "clip.mp4.partial", "clip.mp4.crdownload", ".clip.mp4.swp"),
        *("clip.mp4~", "4913", ".~lock.clip.mp4#", ".syncthing.clip.mp4.tmp", ".goutputstream-AB12", "._clip.mp4", ".DS_Store"),
        *("Thumbs.db", "desktop.ini", ".dmc-1f2e3d4c5b6a", "@eaDir/clip.mp4", ".stfolder/clip.mp4", "#recycle/clip.mp4"),
        *("a/b/@eaDir/c/clip.mp4", "$RECYCLE.BIN/x.mp4", "x/.git/clip.mp4"),
    ],
)
def test_C9_ignored_by_default(name: str) -> None:
    assert IgnoreRules().ignores(name)


@pytest.mark.parametrize("name", ["clip.mp4", "a/b/clip.mp4", "tmp/clip.mp4", "clip.part.mp4", "4913.mp4", "new\nline.mp4", "~clip.mp4"])
def test_C9_everything_else_passes(name: str) -> None:
    assert not IgnoreRules().ignores(name)


def test_C9_the_first_match_wins_and_an_exclamation_mark_takes_in_again() -> None:
    rules = IgnoreRules(["!.keep.mp4", "*.mp4", "!clip.mp4"])
    assert not rules.ignores(".keep.mp4")
    assert rules.ignores("clip.mp4")
    assert rules.ignores(".other.mov")


def test_C9_our_own_temporary_files_cannot_be_taken_in_again() -> None:
    assert IgnoreRules(["!.dmc-*", "!*"]).ignores(".dmc-1f2e3d4c5b6a")


@pytest.mark.parametrize(
    ("pattern", "matches", "passes"),
    [
        ("raw/*.mp4", "raw/clip.mp4", "raw/deep/clip.mp4"),
        ("raw/**", "raw/deep/clip.mp4", "other/raw.mp4"),
        ("**/drafts/*", "a/b/drafts/clip.mp4", "a/drafts.mp4"),
        ("drafts/", "a/drafts/clip.mp4", "a/drafts.mp4"),
        ("clip-?.mp4", "clip-1.mp4", "clip-10.mp4"),
        ("clip-[0-9].mp4", "clip-1.mp4", "clip-a.mp4"),
        ("clip-[!0-9].mp4", "clip-a.mp4", "clip-1.mp4"),
        ("re:take[0-9]+\\.mov", "deep/take12.mov", "take.mov"),
        ("/top.mp4", "top.mp4", "other.mp4"),
        ("a+b(c).mp4", "a+b(c).mp4", "aab(c).mp4"),
    ],
)
def test_patterns(pattern: str, matches: str, passes: str) -> None:
    rules = IgnoreRules([pattern], defaults=())
    assert rules.ignores(matches)
    assert not rules.ignores(passes)


def test_a_pattern_that_cannot_be_understood_is_told() -> None:
    with pytest.raises(BadSettings, match="no regular expression"):
        IgnoreRules(["re:(("])
