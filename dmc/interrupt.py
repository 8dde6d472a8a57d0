"""Ctrl-C: where Python would lose it, it comes again, and what must not be broken off is finished first.

Imports next to nothing: the front door has it before anything else.
"""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN_S = 0.005
_raised = False


def lose_no_interrupt() -> None:
    """For the main thread of a program: let Ctrl-C wait until an import is done, and come again from where no exception can leave.

    Imports break it off in many ways: they have callbacks of weak references, whose exceptions are printed and forgotten; compiled modules
    ignore any; the compiler makes a SyntaxError of it. Finalizers are the other place. Where Ctrl-C is not heard, it is not now.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    begun, tell = _imports_at(sys._getframe()), sys.unraisablehook

    def again() -> None:
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)

    def ring(_number: int, frame: FrameType | None) -> None:
        global _raised
        if _imports_at(frame) > begun:
            again()
        else:
            _raised = True
            raise KeyboardInterrupt

    def hook(lost: "sys.UnraisableHookArgs") -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            again()
        else:
            tell(lost)

    signal.signal(signal.SIGALRM, lambda _number, _frame: signal.raise_signal(signal.SIGINT))  # Whoever hears it by then.
    signal.signal(signal.SIGINT, ring)
    sys.unraisablehook = hook


def was_interrupted() -> bool:
    """Was there a Ctrl-C? A fault after one is no fault: compiled modules that call back make an error of their own of it."""
    return _raised


def _imports_at(frame: FrameType | None) -> int:
    """How many steps of imports a frame is in."""
    count = 0
    while frame is not None:
        count += frame.f_code.co_filename == "<frozen importlib._bootstrap>"
        frame = frame.f_back
    return count


def nothing_to_interrupt() -> None:
    """From here on Ctrl-C ends the process in silence: all is done. Where it was not heard before, it is not now."""
    if callable(signal.getsignal(signal.SIGINT)):
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def undisturbed(wake: Callable[[], None] = lambda: None) -> Iterator[Callable[[], bool]]:
    """Ctrl-C breaks nothing off within the block, and counts when that is left; other threads than the main one hear none anyway.

    The block is given a question, whether there was one, for places where it may end early; `wake` is called when there was.
    """
    before = signal.getsignal(signal.SIGINT)
    heard = False

    def note(_number: int, _frame: object) -> None:
        nonlocal heard
        heard = True
        wake()

    try:
        held = callable(before) and signal.signal(signal.SIGINT, note) is not None
    except ValueError:  # not the main thread
        held = False
    try:
        yield lambda: heard
    finally:
        if held:
            signal.signal(signal.SIGINT, before)
        if heard:
            signal.raise_signal(signal.SIGINT)
