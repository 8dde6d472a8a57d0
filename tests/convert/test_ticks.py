"""Ticks are as exact as the fractions that they stand for."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from dmc.convert.ticks import Reach, Rescale

BASES = st.sampled_from([Fraction(1, 90_000), Fraction(1, 1000), Fraction(1001, 30_000), Fraction(1, 44_100), Fraction(1)])
TICKS = st.integers(-(10**12), 10**12)
SECONDS = st.fractions(-100_000, 100_000, max_denominator=1_000_000)


@given(source=BASES, target=BASES, ahead=SECONDS, ticks=TICKS)
def test_rescaled_is_rounded_as_the_fraction_is(source: Fraction, target: Fraction, ahead: Fraction, ticks: int) -> None:
    rescale = Rescale(source, target, ahead)
    assert rescale.at(ticks) == round((ticks * source - ahead) / target)
    assert rescale.long(ticks) == round(ticks * source / target)


@given(st.lists(st.tuples(TICKS | SECONDS, st.integers(0, 10**6) | st.fractions(0, 10**6), BASES), max_size=8))
def test_a_reach_goes_from_the_first_to_the_last(things: list[tuple[int | Fraction, int | Fraction, Fraction]]) -> None:
    reach = Reach()
    assert (reach.start, reach.last, reach.end) == (None, None, None)
    for count, (at, length, base) in enumerate(things, 1):
        reach.cover(at, length, Fraction(base.numerator, base.denominator))  # equal, and not the same
        seen = things[:count]
        assert reach.start == min(at * base for at, _, base in seen)
        assert reach.last == max(at * base for at, _, base in seen)
        assert reach.end == max((at + length) * base for at, length, base in seen)
