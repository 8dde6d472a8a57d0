"""Which names are never taken as drops: pure patterns, first match wins, `!` takes a name in again.

A pattern without a slash is compared with every part of the path below the observed folder; one with a slash with the
path as a whole, and with the folders above the file. `*` and `?` do not cross slashes, `**` does; case counts.
A pattern that begins with `re:` is a regular expression that must match a whole part.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from dmc.errors import BadSettings
from dmc.files import TEMP_PREFIX

DEFAULT_PATTERNS: tuple[str, ...] = (
    f"{TEMP_PREFIX}*",
    "._*",
    ".*",
    "~$*",
    "*~",
    "*.tmp",
    "*.part",
    "*.partial",
    "*.crdownload",
    "*.!qB",
    "*.swp",
    "*.filepart",
    "4913",
    "Thumbs.db",
    "desktop.ini",
    "@eaDir",
    "@tmp",
    "#recycle",
    "#snapshot",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
)
"""Dotfiles (among them .stfolder, .syncthing.*, .goutputstream-*, .~lock.*#, .DS_Store, .Trash*), half-written files of editors, browsers
and copy programs, and the folders that storage boxes and desktops keep for themselves."""


@dataclass(frozen=True, slots=True)
class _Rule:
    keeps: bool
    whole: bool
    matcher: re.Pattern[str]


class IgnoreRules:
    """Rules compiled once. `patterns` stand before the defaults, so they can take a default back with `!`."""

    def __init__(self, patterns: Iterable[str] = (), defaults: Iterable[str] = DEFAULT_PATTERNS) -> None:
        # The own prefix stands first and cannot be taken back: our temporary files are never drops.
        rules = [_parse(text) for text in (f"{TEMP_PREFIX}*", *patterns, *defaults) if text.strip()]
        self._rules = [_merged(list(group)) for _, group in groupby(rules, key=lambda rule: (rule.keeps, rule.whole))]

    def ignores(self, relative: str) -> bool:
        """Whether the file at `relative` (slashes, no leading one) is ignored, by its own name or by a folder above it."""
        parts = relative.split("/")
        return any(self.ignores_entry("/".join(parts[: depth + 1])) for depth in range(len(parts)))

    def ignores_entry(self, relative: str) -> bool:
        """The same for one file or folder, when those above it are known to pass."""
        name = relative.rpartition("/")[2]
        for rule in self._rules:
            if rule.matcher.fullmatch(relative if rule.whole else name):
                return not rule.keeps
        return False


def _merged(rules: list[_Rule]) -> _Rule:
    """Neighbours with the same verdict are one expression: every name of every walk is compared with it."""
    matcher = re.compile("|".join(f"(?:{rule.matcher.pattern})" for rule in rules), re.DOTALL)
    return _Rule(rules[0].keeps, rules[0].whole, matcher)


def _parse(pattern: str) -> _Rule:
    keeps = pattern.startswith("!")
    text = pattern[1:] if keeps else pattern
    if text.startswith("re:"):
        try:
            return _Rule(keeps, False, re.compile(text[3:], re.DOTALL))
        except re.error as problem:
            raise BadSettings(f"the ignore pattern {pattern!r} is no regular expression: {problem}.") from None
    whole = "/" in text.rstrip("/")
    return _Rule(keeps, whole, re.compile(_translate(text.strip("/")), re.DOTALL))


def _translate(glob: str) -> str:
    """A regular expression for a glob whose `*` and `?` stay inside a part and whose `**` does not."""
    out, at = [], 0
    while at < len(glob):
        if glob.startswith("**/", at):
            out.append("(?:.*/)?")
            at += 3
        elif glob.startswith("**", at):
            out.append(".*")
            at += 2
        elif glob[at] == "*":
            out.append("[^/]*")
            at += 1
        elif glob[at] == "?":
            out.append("[^/]")
            at += 1
        elif glob[at] == "[" and (end := glob.find("]", at + 2)) > 0:
            inner = glob[at + 1 : end].replace("\\", "\\\\")
            out.append("[" + ("^" + inner[1:] if inner[0] in "!^" else inner) + "]")
            at = end + 1
        else:
            out.append(re.escape(glob[at]))
            at += 1
    return "".join(out)
