"""Fills the table of the probe suite in docs/security.md from tests/convert/probes.py: each attempt, and what refuses it.

    python bench/security_table.py [--check]

`--check` writes nothing and ends with 1 if the document is not what it would write.
"""

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "security.md"
PROBES = ROOT / "tests" / "convert" / "probes.py"
FILES, CALLS = "Landlock", "seccomp"
WALLS = {
    "reads_": FILES,
    "lists_": FILES,
    "overwrites_": FILES,
    "deletes_": FILES,
    "writes_": FILES,
    "replaces_": FILES,
    "makes_": FILES,
    "moves_": FILES,
    "changes_": CALLS,
    "opens_": CALLS,
    "sets_up_": CALLS,
    "runs_": CALLS,
    "becomes_": CALLS,
    "forks": CALLS,
    "signals_": CALLS,
    "lets_": CALLS,
    "limits_": CALLS,
    "slows_": CALLS,
    "truncates_": CALLS,
    "empties_": CALLS,
    "traces_": CALLS,
    "forgets_": CALLS,
    "takes_": CALLS,
    "mounts": CALLS,
}
"""What refuses an attempt, by how its name begins."""

_BEGIN, _END = "<!-- attempts -->", "<!-- end of attempts -->"


def refused() -> list[str]:
    """The names in the list REFUSED of the probes."""
    text = PROBES.read_text()
    listed = re.search(r"^REFUSED = \((.*?)^\)", text, re.M | re.S)
    assert listed is not None
    return re.findall(r"(\w+),", listed[1])


def wall_of(name: str) -> str:
    """What refuses an attempt."""
    return next(wall for start, wall in WALLS.items() if name.startswith(start))


def filled(page: str) -> str:
    """The document with its table as it should be."""
    rows = [f"| {name.replace('_', ' ')} | {wall_of(name)} | `{name}` |" for name in refused()]
    table = "\n".join(["| a broken-into decoder | is refused by | probe |", "|---|---|---|", *rows])
    before, _, rest = page.partition(_BEGIN)
    return f"{before}{_BEGIN}\n{table}\n{_END}{rest.partition(_END)[2]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    page = PAGE.read_text()
    if parser.parse_args().check:
        return int(page != filled(page))
    PAGE.write_text(filled(page))
    return 0


if __name__ == "__main__":
    sys.exit(main())
