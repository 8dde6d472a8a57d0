"""Times as whole ticks of a time base: as exact as fractions of a second, and cheaper: a film has a hundred of them every second."""

from fractions import Fraction


class Reach:
    """From where to where the things of a stream reach. Covered in ticks, told in seconds."""

    __slots__ = ("_base", "_end", "_first", "_last", "_told")

    def __init__(self) -> None:
        self._base: Fraction | None = None
        self._first: int | Fraction = 0
        self._last: int | Fraction = 0
        self._end: int | Fraction = 0
        self._told: tuple[Fraction, Fraction, Fraction] | None = None
        """What was covered on other time bases, in seconds."""

    def cover(self, at: int | Fraction, length: int | Fraction, base: Fraction) -> None:
        """Something begins at `at` and lasts `length`, in ticks of `base` seconds."""
        end = at + length
        if base is not self._base and not self._goes_on(base):
            self._told, self._base = self._all(), base
            self._first, self._last, self._end = at, at, end
            return
        if at < self._first:
            self._first = at
        if at > self._last:
            self._last = at
        if end > self._end:
            self._end = end

    @property
    def start(self) -> Fraction | None:
        """When the first thing begins."""
        found = self._all()
        return found and found[0]

    @property
    def last(self) -> Fraction | None:
        """When the last one begins."""
        if self._told is None and self._base is not None:
            return self._last * self._base  # Asked for each frame.
        found = self._all()
        return found and found[1]

    @property
    def end(self) -> Fraction | None:
        """When the last one ends."""
        found = self._all()
        return found and found[2]

    def _goes_on(self, base: Fraction) -> bool:
        """Is `base` the one of now, by another name? Then it is known by that one from here on."""
        if base != self._base:
            return False
        self._base = base
        return True

    def _all(self) -> tuple[Fraction, Fraction, Fraction] | None:
        if self._base is None:
            return self._told
        first, last, end = (ticks * self._base for ticks in (self._first, self._last, self._end))
        if self._told is None:
            return first, last, end
        return min(self._told[0], first), max(self._told[1], last), max(self._told[2], end)


class Rescale:
    """Ticks of one clock in those of another that is `ahead` seconds ahead; rounded to the nearest, halves to the even one."""

    def __init__(self, source: Fraction, target: Fraction, ahead: Fraction = Fraction(0)) -> None:
        self.source = source
        ratio, shift = source / target, ahead / target
        self._times = ratio.numerator * shift.denominator
        self._less = shift.numerator * ratio.denominator
        self._parts = ratio.denominator * shift.denominator

    def at(self, ticks: int) -> int:
        """When something begins."""
        return _nearest(ticks * self._times - self._less, self._parts)

    def long(self, ticks: int) -> int:
        """How long something lasts."""
        return _nearest(ticks * self._times, self._parts)


def _nearest(value: int, parts: int) -> int:
    whole, rest = divmod(value, parts)
    return whole + (2 * rest > parts or (2 * rest == parts and whole % 2))
