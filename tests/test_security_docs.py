"""docs/security.md lists every attempt of the probe suite, and every test that it names is there."""

import importlib.util
import re
from pathlib import Path

from tests.convert import probes

ROOT = Path(__file__).parent.parent
_spec = importlib.util.spec_from_file_location("security_table", ROOT / "bench" / "security_table.py")
assert _spec and _spec.loader
table = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(table)


def test_the_table_of_attempts_is_up_to_date() -> None:
    page = table.PAGE.read_text()
    assert page == table.filled(page), "run: python bench/security_table.py"


def test_every_attempt_has_a_row() -> None:
    assert table.refused() == [probe.__name__ for probe in probes.REFUSED]
    assert re.findall(r"\| `(\w+)` \|$", table.PAGE.read_text(), re.M)[: len(probes.REFUSED)] == table.refused()


def test_tests_that_are_named_are_there() -> None:
    there = {name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)\(", path.read_text())}
    assert set(re.findall(r"\b(test_\w+)`", table.PAGE.read_text())) <= there
