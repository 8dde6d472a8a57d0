"""The warm process of conversion workers, begun before the command line is imported: it needs as long for the rest as its owner does."""

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmc.convert.launch import Launcher
    from dmc.convert.wire import SandboxMode


def warm_workers(*, fork: bool = False) -> "Launcher":
    """A launcher of workers that is warming up; the caller closes it, also after the pool that used it.

    `fork`: of this process, which has done nothing yet (apart.py); so what both need is imported once.
    """
    from dmc.convert.launch import launcher
    from dmc.convert.launch_only import OnlyWorker

    warming = OnlyWorker(fork=fork) if sys.platform.startswith("linux") else launcher()
    if fork:
        importlib.import_module("dmc.convert.wire")
        importlib.import_module("dmc.convert.sandbox")
    warming.start()
    return warming


def be_the_only_worker(warming: "Launcher", mode: "SandboxMode") -> None:
    """One worker is all that will be asked of `warming`: it becomes that, if its walls let it begin no other process."""
    from dmc.convert import sandbox
    from dmc.convert.launch_only import OnlyWorker

    if isinstance(warming, OnlyWorker) and not sandbox.status(mode).missing:
        warming.expect_one()
