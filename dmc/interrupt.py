"""Ctrl-C: where Python would lose it, it comes again, and what must not be broken off is finished first.

Imports next to nothing: the front door has it before anything else.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_AGAIN_S = 0.001


def lose_no_interrupt() -> None:
    """Let an interrupt that fell where no exception can leave come again a moment later, without a word.

    Such places are finalizers and callbacks of weak references, and each import has one of these: the interrupt would be printed, and
    forgotten. For the main thread of a program.
    """
    tell = sys.unraisablehook

    def hook(lost: "sys.UnraisableHookArgs") -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
        else:
            tell(lost)

    signal.signal(signal.SIGALRM, lambda _number, _frame: signal.raise_signal(signal.SIGINT))
    sys.unraisablehook = hook


def nothing_to_interrupt() -> None:
    """From here on Ctrl-C ends the process in silence: all is done. Where it was not heard before, it is not now."""
    if callable(signal.getsignal(signal.SIGINT)):
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Cleaning up: a Ctrl-C meanwhile counts when the block is left. Other threads than the main one hear none anyway."""
    before = signal.getsignal(signal.SIGINT)
    heard = False

    def note(_number: int, _frame: object) -> None:
        nonlocal heard
        heard = True

    try:
        held = callable(before) and signal.signal(signal.SIGINT, note) is not None
    except ValueError:  # not the main thread
        held = False
    try:
        yield
    finally:
        if held:
            signal.signal(signal.SIGINT, before)
        if heard:
            signal.raise_signal(signal.SIGINT)
