"""How many conversions run at once, and what that number is said to follow from."""

import pytest

from dmc.assemble.workers import staffing_of

GIB = 1 << 30


@pytest.mark.parametrize(
    ("chosen", "cores", "memory", "total", "wanted", "bound"),
    [
        (5, 2, 1 * GIB, 5, 5, "settings"),
        (0, 1, 8 * GIB, 1, 1, "cores"),
        (0, 2, 8 * GIB, 2, 2, "cores"),
        (0, 8, 16 * GIB, 4, 4, "cores"),
        (0, 2, 4 * GIB, 1, 2, "memory"),
        (0, 16, 13 * GIB, 4, 8, "memory"),
        (0, 2, 1 * GIB, 1, 2, "memory"),
        (0, 32, 64 * GIB, 8, 16, "most"),
        (0, 32, 12 * GIB, 4, 16, "memory"),
    ],
)
def test_what_is_not_chosen_follows_from_cores_and_memory(
    chosen: int, cores: int, memory: int, total: int, wanted: int, bound: str
) -> None:
    made = staffing_of(chosen, cores, memory)
    assert (made.total, made.wanted, made.bound) == (total, wanted, bound)
