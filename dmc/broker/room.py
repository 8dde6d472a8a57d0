"""Room on the disk before a conversion begins: what a result may need at most, and whether that fits above the floor. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from dmc.broker.stance import Waiting

MOST_GROWTH = {"flac": 8, "png": 12}
"""A result without loss may be so many times as large as a lossy original. Every other one is left alone when it outgrows its original."""


def expected_bytes(conversion_type: str, file_size: int) -> int:
    """Bytes that the result of an original of `file_size` may need."""
    return file_size * MOST_GROWTH.get(conversion_type, 1)


def reserved(running: Iterable[tuple[int, float]]) -> int:
    """Bytes that what runs may still write: (expected bytes, fraction that is done) of each."""
    return sum(int(size * (1.0 - min(1.0, max(0.0, done)))) for size, done in running)


@dataclass(frozen=True, slots=True)
class Room:
    """Free bytes, the floor, and what is promised to conversions that run."""

    free: int
    floor: int
    promised: int = 0

    @property
    def above_floor(self) -> bool:
        return self.free >= self.floor

    @property
    def left(self) -> int:
        """Bytes that may still be promised; never below 0."""
        return max(0, self.free - self.floor - self.promised)

    def waiting_for(self, wanted: int) -> Waiting:
        """Why the next item does not begin."""
        needs = f"the next file needs {in_words(wanted)}, {in_words(self.left)} are free above the floor"
        return Waiting("no-room", f"{needs}; it goes on by itself when there is room.")


def in_words(size: int) -> str:
    """`14 GB`, `1.2 MB`: for people, in powers of 1000."""
    number, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 1000 or unit == "TB":
            break
        number /= 1000
    return f"{number:.0f} {unit}" if number >= 10 or unit == "B" else f"{number:.1f} {unit}"
