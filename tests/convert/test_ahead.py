"""Values read ahead in a thread: their order, their bounds, errors, and an early end. Nothing here depends on how fast a thread is."""

import threading
from collections.abc import Iterator

import pytest

from dmc.convert.ahead import LEAST, MOST, MOST_BYTES, Ahead
from tests.patience import PATIENCE_S


def _counted(until: int) -> Iterator[int]:
    yield from range(until)


class Source:
    """Counts up for ever; knows how far it was asked, who asked, and whether it was closed."""

    def __init__(self) -> None:
        self.given = 0
        self.thread: threading.Thread | None = None
        self.closed_by: threading.Thread | None = None
        self.told = threading.Condition()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.thread = threading.current_thread()
        with self.told:
            self.given += 1
            self.told.notify_all()
        return self.given

    def close(self) -> None:
        self.closed_by = threading.current_thread()

    def wait_until_given(self, count: int) -> bool:
        with self.told:
            return self.told.wait_for(lambda: self.given >= count, PATIENCE_S)


def test_values_come_in_their_order_and_all_of_them() -> None:
    with Ahead(_counted(5000), lambda value: value, "reader") as values:
        assert list(values) == list(range(5000))


def test_an_error_is_raised_behind_the_values_that_came_before_it() -> None:
    def breaking() -> Iterator[int]:
        yield from (1, 2)
        raise ValueError("bad packet")

    taken = []
    with pytest.raises(ValueError, match="bad packet"), Ahead(breaking(), lambda _value: 1, "reader") as values:
        for value in values:
            taken.append(value)
    assert taken == [1, 2]


@pytest.mark.parametrize(("size", "room"), [(0, MOST), (MOST_BYTES, LEAST), (MOST_BYTES // 10, 10)])
def test_no_more_waits_than_there_is_room_for(size: int, room: int) -> None:
    source = Source()
    with Ahead(source, lambda _value: size, "reader") as values:
        assert source.wait_until_given(room + 1)  # One is in its hands, and finds no room.
        for taken in range(1, 50):
            assert next(values) == taken
            assert source.wait_until_given(room + 1 + taken)
            assert source.given == room + 1 + taken


def test_who_leaves_early_ends_the_thread_which_closes_its_source() -> None:
    source = Source()
    with pytest.raises(KeyboardInterrupt), Ahead(source, lambda _value: 1, "reader") as values:
        assert next(values) == 1
        raise KeyboardInterrupt
    assert source.thread is not None
    assert not source.thread.is_alive()
    assert source.closed_by is source.thread is not threading.current_thread()
