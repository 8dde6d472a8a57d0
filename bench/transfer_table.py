"""Fills the column of tests in docs/transfer.md from the names of the tests: `test_U7_…` belongs to U7, `test_C3_C4_…` to both.

    python bench/transfer_table.py [--check]

`--check` writes nothing and ends with 1 if the document is not what it would write, or a requirement has no test.
"""

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "transfer.md"
LAST = {"U": 26, "D": 15, "C": 18, "P": 9}
IDS = [f"{letter}{number}" for letter, last in LAST.items() for number in range(1, last + 1)]

_TEST = re.compile(r"^\s*(?:async )?def (test_\w+)\(", re.M)
_NUMBERS = re.compile(r"test_((?:[UDCP]\d+_)+)(\w+)")
_ROW = re.compile(r"^\| ([UDCP]\d+) \| (.*?) \| .*\|$")


def test_names() -> dict[str, Path]:
    """Every test and the file it stands in."""
    return {name: path for path in sorted((ROOT / "tests").rglob("test_*.py")) for name in _TEST.findall(path.read_text())}


def tests_by_id() -> dict[str, dict[Path, list[str]]]:
    """Tests of each requirement as sentences, by file."""
    found: dict[str, dict[Path, list[str]]] = {each: {} for each in IDS}
    for name, path in test_names().items():
        if match := _NUMBERS.fullmatch(name):
            for each in match[1].strip("_").split("_"):
                found.setdefault(each, {}).setdefault(path, []).append(match[2].replace("_", " "))
    return found


def filled(page: str) -> str:
    """The document with its columns of tests as they should be."""
    tests = tests_by_id()
    return "".join(f"{_line(line, tests)}\n" for line in page.splitlines())


def _line(line: str, tests: dict[str, dict[Path, list[str]]]) -> str:
    row = _ROW.match(line)
    if row is None:
        return line
    cells = [f"`{path.relative_to(ROOT)}`: {' · '.join(names)}" for path, names in tests[row[1]].items()]
    return f"| {row[1]} | {row[2]} | {'<br>'.join(cells)} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    page, tests = PAGE.read_text(), tests_by_id()
    missing = [each for each in IDS if not tests[each]]
    if parser.parse_args().check:
        if missing or page != filled(page):
            print(f"without a test: {missing}; up to date: {page == filled(page)}")
        return int(bool(missing) or page != filled(page))
    PAGE.write_text(filled(page))
    return 0


if __name__ == "__main__":
    sys.exit(main())
