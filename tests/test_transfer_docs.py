"""docs/transfer.md names every requirement of transfer, and each has tests that carry its number."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
_spec = importlib.util.spec_from_file_location("transfer_table", ROOT / "bench" / "transfer_table.py")
assert _spec and _spec.loader
table = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(table)


def test_the_column_of_tests_is_up_to_date() -> None:
    page = table.PAGE.read_text()
    assert page == table.filled(page), "run: python bench/transfer_table.py"


def test_every_requirement_is_a_line_and_in_order() -> None:
    assert re.findall(r"^\| ([UDCP]\d+) \|", table.PAGE.read_text(), re.M) == table.IDS


@pytest.mark.parametrize("number", table.IDS)
def test_every_requirement_has_a_test_that_carries_its_number(number: str) -> None:
    assert table.tests_by_id()[number]


def test_tests_that_the_nasty_cases_name_are_there() -> None:
    page = table.PAGE.read_text()
    cases = re.findall(r"^\| (\d+) .*\|", page, re.M)
    assert cases == [str(number) for number in range(1, 16)]
    assert set(re.findall(r"`(test_\w+)`", page)) <= set(table.test_names())
