"""Every error code that dmc can tell, found in its source: error classes, refusals of HTTP, notes of items, checks.

python bench/codes.py      prints them, for docs/troubleshooting.md
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from dmc import errors

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "troubleshooting.md"

_CODE = re.compile(r"[A-Za-z]\w{3,}")
_WITH_STATUS = re.compile(r"\b[45]\d\d[,:]\s*\"([A-Z]\w+)\"")
"""`HttpRefusal(409, "WrongOffset", …)`, and tables of such."""


def codes() -> set[str]:
    """All of them."""
    found = {code for path in sorted((ROOT / "dmc").rglob("*.py")) for code in _in_source(path.read_text())}
    return found | set(_of_classes(errors.DmcError))


def _of_classes(kind: type[errors.DmcError]) -> Iterator[str]:
    """Of the classes that stand for something; families and bases are no codes."""
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__ and child not in (errors.Refused, errors.Unavailable, errors.Broken):
            yield _code_of(child)
        yield from _of_classes(child)


def _code_of(kind: type[errors.DmcError]) -> str:
    return kind("words").code


def _in_source(text: str) -> Iterator[str]:
    yield from _WITH_STATUS.findall(text)
    for node in ast.walk(ast.parse(text)):
        for word in node.keywords if isinstance(node, ast.Call) else ():
            if word.arg == "code" and isinstance(word.value, ast.Constant) and _CODE.fullmatch(str(word.value.value)):
                yield str(word.value.value)


def told(page: str) -> list[str]:
    """The codes that a page has a row for, in its order."""
    return re.findall(r"^\| `(\w+)` \|", page, re.M)


if __name__ == "__main__":
    sys.stdout.write("\n".join(sorted(codes())) + "\n")
