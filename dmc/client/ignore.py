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


_SIGNS = re.compile(r"[*?[]")
"""What makes a pattern more than its own text."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """Neighbouring patterns with the same verdict. `starts` and `ends` are those like `x*` and `*x`, which are quicker to compare."""

    keeps: bool
    whole: bool
    matcher: re.Pattern[str] | None
    starts: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()

    def fits(self, text: str) -> bool:
        return (
            text.startswith(self.starts)
            or text.endswith(self.ends)
            or (self.matcher is not None and self.matcher.fullmatch(text) is not None)
        )


class IgnoreRules:
    """Rules compiled once. `patterns` stand before the defaults, so they can take a default back with `!`."""

    def __init__(self, patterns: Iterable[str] = (), defaults: Iterable[str] = DEFAULT_PATTERNS) -> None:
        # The own prefix stands first and cannot be taken back: our temporary files are never drops.
        rules = [_parse(text) for text in (f"{TEMP_PREFIX}*", *patterns, *defaults) if text.strip()]
        self._rules = [_merged(list(group)) for _, group in groupby(rules, key=lambda rule: (rule.keeps, rule.whole))]
        self.by_name_alone = not any(rule.whole for rule in self._rules)
        """No pattern asks for more of a path than its last part, so that `ignores_name` says all."""

    def ignores(self, relative: str) -> bool:
        """Whether the file at `relative` (slashes, no leading one) is ignored, by its own name or by a folder above it."""
        parts = relative.split("/")
        return any(self.ignores_entry("/".join(parts[: depth + 1])) for depth in range(len(parts)))

    def ignores_entry(self, relative: str) -> bool:
        """The same for one file or folder, when those above it are known to pass."""
        name = relative.rpartition("/")[2]
        return next((not rule.keeps for rule in self._rules if rule.fits(relative if rule.whole else name)), False)

    def ignores_name(self, name: str) -> bool:
        """The same by the last part of the path, if `by_name_alone`."""
        for rule in self._rules:
            if rule.fits(name):
                return not rule.keeps
        return False


def _merged(rules: list[_Rule]) -> _Rule:
    """Neighbours with the same verdict are one expression: every name of every walk is compared with it."""
    starts, ends = (tuple(text for rule in rules for text in getattr(rule, kind)) for kind in ("starts", "ends"))
    patterns = [f"(?:{rule.matcher.pattern})" for rule in rules if rule.matcher is not None]
    return _Rule(rules[0].keeps, rules[0].whole, re.compile("|".join(patterns), re.DOTALL) if patterns else None, starts, ends)


def _parse(pattern: str) -> _Rule:
    keeps = pattern.startswith("!")
    text = pattern[1:] if keeps else pattern
    if text.startswith("re:"):
        try:
            return _Rule(keeps, False, re.compile(text[3:], re.DOTALL))
        except re.error as problem:
            raise BadSettings(f"the ignore pattern {pattern!r} is no regular expression: {problem}.") from None
    whole = "/" in text.rstrip("/")
    plain = text.rstrip("/")
    if not whole and len(plain) > 1 and not _SIGNS.search(plain[1:-1]):
        if plain[-1] == "*" and not _SIGNS.search(plain[0]):
            return _Rule(keeps, False, None, starts=(plain[:-1],))
        if plain[0] == "*" and not _SIGNS.search(plain[-1]):
            return _Rule(keeps, False, None, ends=(plain[1:],))
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
