"""An event loop in a thread of its own, for a server beside a test that is not of asyncio."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from tests.patience import PATIENCE_S

T = TypeVar("T")


class LoopApart:
    """Runs until `close`. What is at work in it then, e.g. a connection that came while its server stopped, is ended and not dropped."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._live)
        self._thread.start()

    def _live(self) -> None:
        with self._runner:
            self._runner.run(self._until_over())

    async def _until_over(self) -> None:
        await self._over.wait()

    def do(self, what: Coroutine[Any, Any, T]) -> T:
        """Run it there to its end; returns what it returns."""
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(PATIENCE_S)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
