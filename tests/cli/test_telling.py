"""Where nothing draws, progress is a line per tenth or half a minute."""

from dmc.cli.telling import Milestones


def test_a_tenth_or_half_a_minute_is_worth_a_line_and_nothing_else_is() -> None:
    now = 0.0
    due = Milestones(lambda: now)
    assert not due("a", 0.05)
    assert due("a", 0.1) and not due("a", 0.1) and not due("a", 0.15)
    assert due("b", 0.5), "each has its own"
    now = 29.0
    assert not due("a", 0.15)
    now = 31.0
    assert due("a", 0.15) and not due("a", 0.16)
    now = 100.0
    assert not due("a", 0.15), "nothing moved"
