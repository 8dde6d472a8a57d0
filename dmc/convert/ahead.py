"""Reading ahead: an iterator that works in a thread of its own, a bounded room before the one who takes its values.

Values come in their order, so what is made of them is the same as without a thread. An error of the iterator is raised where
its values are taken; who takes no more ends the thread. PyAV lets other threads run while FFmpeg's libraries work.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")

LEAST = 3
"""So many values wait at most when they are large: enough that nobody stands still, whatever the picture's size."""

MOST = 64
MOST_BYTES = 4_000_000


class Ahead(Generic[T]):
    """The values of `values`, as a context manager and an iterator. `size_of` gives the bytes that a value holds.

    Only its thread ever touches `values`, and closes it. That thread has ended when the context is left.
    """

    def __init__(self, values: Iterator[T], size_of: Callable[[T], int], name: str) -> None:
        self._values = values
        self._size_of = size_of
        self._waiting: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._over = False
        self._unwanted = False
        self._thread = ThreadPoolExecutor(1, name)
        self._end: Future[None] | None = None

    def __enter__(self) -> Self:
        self._end = self._thread.submit(self._work)
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        with self._changed:
            self._unwanted = True
            self._waiting.clear()
            self._changed.notify_all()
        self._thread.shutdown()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._over)
            if not self._waiting:
                if self._end is not None:
                    self._end.result()  # Raises what the iterator raised.
                raise StopIteration
            value, size = self._waiting.popleft()
            self._bytes -= size
            self._changed.notify_all()
        return value

    def _work(self) -> None:
        try:
            for value in self._values:
                if not self._put(value, self._size_of(value)):
                    break
        finally:
            close = getattr(self._values, "close", None)
            if close is not None:
                close()
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _put(self, value: T, size: int) -> bool:
        """Add a value as soon as there is room; False if nobody wants one any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._unwanted or self._has_room(size))
            if self._unwanted:
                return False
            self._waiting.append((value, size))
            self._bytes += size
            self._changed.notify_all()
        return True

    def _has_room(self, size: int) -> bool:
        return len(self._waiting) < LEAST or (len(self._waiting) < MOST and self._bytes + size <= MOST_BYTES)
