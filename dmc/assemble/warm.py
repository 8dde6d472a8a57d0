"""The warm process of conversion workers, begun before anything else is imported: it needs as long for that as its owner does."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmc.convert.launch import Launcher


def warm_workers() -> "Launcher":
    """A launcher of workers that is warming up; the caller closes it, also after the pool that used it."""
    from dmc.convert.launch import launcher

    warming = launcher()
    warming.start()
    return warming
