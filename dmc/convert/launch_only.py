"""A warm process that becomes the worker itself where only one is wanted: one process less, and none of its pages twice.

Nobody adopts what such a worker leaves outside its process group, so it is for workers whose walls let them begin no process at all.
It dies with the thread that began it (prctl, PR_SET_PDEATHSIG), so that thread is to live as long as the owner. Linux only.
"""

import contextlib
import gc
import os
import signal
from collections.abc import Sequence

from dmc.convert.apart import fork_apart
from dmc.convert.launch import ENGINE, Born, Died, ForkServer, send_with
from dmc.convert.process import Process, signal_group

_SIGNALS = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP, "thaw": signal.SIGCONT}


class OnlyWorker(ForkServer):
    """A fork server until `expect_one` is said: then the next worker is the process itself. For another one a new server begins."""

    def __init__(self, entry: str = ENGINE, *, fork: bool = False) -> None:
        """`fork`: the first server is forked from this process; see apart.py for who may ask for that."""
        super().__init__(entry)
        self._fork = fork
        self._expects_one = False
        self._worker: tuple[int, Process] | None = None
        self._end: int | None = None
        """A descriptor that becomes readable when the worker has ended, where the kernel gives one."""

        self._begun: list[Born | Died] = []

    def expect_one(self) -> None:
        """Only one more worker will be asked for."""
        self._expects_one = True

    def _begin(self, fd: int) -> Process:
        if not self._fork:
            return super()._begin(fd)
        self._fork = False
        return fork_apart(lambda: _serve(fd, self._entry), fd)

    def launch(self, number: int, channel: int) -> None:
        if not self._expects_one or self._living or not self._become(number, channel):
            super().launch(number, channel)

    def _become(self, number: int, channel: int) -> bool:
        """Make the worker of the process; False where that is dead."""
        self._expects_one = False
        if self._control is None or self._process is None:
            return False
        try:
            send_with(self._control, "become", number, channel)
        except OSError:
            return False
        self._control.close()  # What was sent is read nevertheless; from here on the process hears its channel only.
        self._control = None
        self._worker, self._process = (number, self._process), None
        self._begun.append(Born(number, self._worker[1].pid))
        with contextlib.suppress(OSError, AttributeError):
            self._end = os.pidfd_open(self._worker[1].pid)
        return True

    def happened(self) -> Sequence[Born | Died]:
        found, self._begun = [*self._begun, *super().happened()], []
        if self._worker is not None:
            number, process = self._worker
            code = process.poll()
            if code is not None:
                signal_group(process, signal.SIGKILL)
                self._forget()
                found.append(Died(number, code))
        return found

    def descriptors(self) -> Sequence[int]:
        return [*super().descriptors(), *([] if self._end is None else [self._end])]

    def _forget(self) -> None:
        self._worker = None
        if self._end is not None:
            os.close(self._end)
            self._end = None

    def _ask(self, what: str, number: int) -> None:
        if self._worker is None or self._worker[0] != number:
            super()._ask(what, number)
        elif self._worker[1].poll() is None:
            signal_group(self._worker[1], _SIGNALS[what])

    def give_up(self) -> None:
        """The worker is killed directly: nobody stands between us and it."""
        if self._worker is None:
            super().give_up()
        else:
            self._ask("kill", self._worker[0])

    def close(self) -> None:
        if self._worker is not None:
            number, process = self._worker
            self._ask("kill", number)
            process.wait()
            self._forget()
        super().close()


def _serve(fd: int, entry: str) -> None:
    """Be the server, in the child: only here is imported what it alone needs."""
    gc.disable()
    from dmc.convert.forkserver import main

    main(fd, entry, perhaps_one=True)
