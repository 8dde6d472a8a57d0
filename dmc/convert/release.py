"""Memory of containers that were closed, given back at once and not when the collector happens to come by.

PyAV's containers and their streams hold each other, so closing one ends neither its decoders nor its encoders: the 200 MB of an
x264 would lie beside the decoders of the check that follows.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def only_what_is_new() -> Iterator[None]:
    """While the body runs, `release` looks only through what came to be in it: milliseconds, however much there was before."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def release() -> None:
    """Free what nobody can reach any more; called where a container has gone out of sight."""
    gc.collect()
