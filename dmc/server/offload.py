"""Threads for what would block the event loop: `disk` for bytes and hashes, `quick` for ledger, storage and small files.

Two pools, so that uploads waiting for a slow disk never keep a question about an item waiting. Holds no state but that.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

DISK_THREADS = 8
QUICK_THREADS = 4


class Offload:
    """Runs blocking calls in threads; an exception comes back to the caller."""

    def __init__(self) -> None:
        self._disk = ThreadPoolExecutor(DISK_THREADS, thread_name_prefix="dmc-server-disk")
        self._quick = ThreadPoolExecutor(QUICK_THREADS, thread_name_prefix="dmc-server-quick")

    async def disk(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """For bytes of items: writing, syncing, hashing, reading."""
        return await asyncio.get_running_loop().run_in_executor(self._disk, lambda: call(*args, **kwargs))

    async def quick(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """For everything short."""
        return await asyncio.get_running_loop().run_in_executor(self._quick, lambda: call(*args, **kwargs))

    def close(self) -> None:
        """Take no more calls; those under way end by themselves."""
        self._disk.shutdown(wait=False, cancel_futures=True)
        self._quick.shutdown(wait=False, cancel_futures=True)
