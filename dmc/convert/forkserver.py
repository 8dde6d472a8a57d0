"""The warm process that workers are forked from: everything imported once, one thread, nothing open but its control socket.

Its own small server instead of multiprocessing's: that one runs the caller's main script again in each child, talks pickle,
and lives on (as do its children) when the broker is killed. This one kills and reaps all it forked, with their own children,
as soon as the other end of the control socket is gone; and if it is itself killed, the kernel kills its children.

Requests and answers are packets of JSON: `{"fork": n}` with the worker's end of the channel attached, `{"kill": n}`, `{"freeze": n}`,
`{"thaw": n}`; `{"born": n, "pid": pid}`, `{"died": n, "code": exit code, or minus the signal}`. After `{"become": n}`, with a channel
too, no answer follows: the server itself is the worker from then on (launch_only.py).
"""

import gc
import importlib
import json
import os
import selectors
import signal
import socket
import traceback
from pathlib import Path
from typing import NoReturn

from dmc.convert import sandbox, worker
from dmc.convert.launch import NOT_BEGUN, PACKET
from dmc.convert.release import trim

_PR_SET_CHILD_SUBREAPER = 36
_SIGNALS = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP, "thaw": signal.SIGCONT}


def main(control_fd: int, entry: str, *, perhaps_one: bool = False) -> NoReturn:
    """Warm up, then serve until the other end of `control_fd` is gone; ends the process.

    `perhaps_one`: it may become a worker itself, which imports what it needs; the rest waits for the first fork.
    Nothing of what is imported is garbage: looking for some meanwhile took a quarter of the time (launch.py switches it off).
    """
    worker.leave_ending_to_the_owner()
    worker.warm_up()
    importlib.import_module(entry.partition(":")[0])
    if not perhaps_one:
        worker.warm_up_pictures()
        importlib.import_module("dmc.convert.rehearse").rehearse()
        trim()
    gc.freeze()  # pages shared with the children stay shared
    gc.enable()
    sandbox.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    with socket.socket(fileno=control_fd) as control:
        _ForkServer(control).serve()
    os._exit(0)  # Its owner waits for it; taking the interpreter apart would take longer than serving a small job.


class _ForkServer:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._numbers: dict[int, int] = {}
        self._bell_out, self._bell_in = os.pipe()
        self._selector = selectors.DefaultSelector()

    def serve(self) -> None:
        os.set_blocking(self._bell_in, False)
        os.set_blocking(self._bell_out, False)
        signal.set_wakeup_fd(self._bell_in, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ring)
        self._selector.register(self._control, selectors.EVENT_READ)
        self._selector.register(self._bell_out, selectors.EVENT_READ)
        serving = True
        while serving:
            for key, _ in self._selector.select():
                if key.fileobj is self._control:
                    serving = self._request()
                else:
                    _drain(self._bell_out)
                    self._bury_dead()
        self._kill_all()

    def _request(self) -> bool:
        """Serve one request; False when there will be no more."""
        try:
            packet, fds, _, _ = socket.recv_fds(self._control, PACKET, 1)
        except ConnectionResetError:
            return False  # Its owner went without reading our last answer.
        if not packet:
            return False
        asked = json.loads(packet)
        if "fork" in asked:
            self._fork(asked["fork"], fds[0])
        elif "become" in asked:
            self._be_worker(fds[0])  # of whoever owned the server
        else:
            (what, wanted), *_ = asked.items()
            for pid in [pid for pid, number in self._numbers.items() if number == wanted]:
                os.kill(pid, _SIGNALS[what])  # not reaped yet, so the pid is still this child's
                if what != "kill":  # what it started dies when it is buried
                    _signal_group(pid, _SIGNALS[what])
        return True

    def _fork(self, number: int, channel: int) -> None:
        worker.warm_up_pictures()  # At once where that has been done.
        try:
            pid = os.fork()
        except OSError:  # No memory, or no process left: the others must not die of it.
            os.close(channel)
            self._answer({"died": number, "code": NOT_BEGUN})
            return
        if pid == 0:
            self._be_worker(channel)
        os.close(channel)
        self._numbers[pid] = number
        self._answer({"born": number, "pid": pid})

    def _be_worker(self, channel: int) -> NoReturn:
        code = 70
        try:
            parent = os.getppid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._selector.close()
            self._control.close()
            os.close(self._bell_in)
            os.close(self._bell_out)
            code = worker.main(channel, parent)
        except BaseException:  # noqa: BLE001  nothing may leave a forked child upwards; the words go to the job's log
            traceback.print_exc()
        finally:
            os._exit(code)

    def _bury_dead(self) -> None:
        """Reap each dead child; what it left running dies first, so that `died` means: nobody of that job writes any more."""
        while self._numbers:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None:
                return
            self._bury(found.si_pid)

    def _bury(self, pid: int) -> None:
        number = self._numbers.pop(pid, None)
        if number is not None:
            _signal_group(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        while strays := _children() - self._numbers.keys():
            for stray in strays:
                os.kill(stray, signal.SIGKILL)
                os.waitpid(stray, 0)
        if number is not None:
            self._answer({"died": number, "code": os.waitstatus_to_exitcode(status)})

    def _kill_all(self) -> None:
        for pid in self._numbers:
            os.kill(pid, signal.SIGKILL)
        while self._numbers:
            self._bury(next(iter(self._numbers)))

    def _answer(self, said: dict[str, int]) -> None:
        try:
            self._control.send(json.dumps(said).encode("ascii"))
        except (BrokenPipeError, ConnectionResetError):
            pass  # nobody listens any more: the next select says so too


def _ring(_signal: int, _frame: object) -> None:
    """SIGCHLD needs a handler in Python for the wake-up descriptor to be written."""


def _drain(fd: int) -> None:
    try:
        while os.read(fd, 4096):
            pass
    except BlockingIOError:
        pass  # empty, as wanted


def _signal_group(pid: int, what: signal.Signals) -> None:
    """Signal all in the process group of a child (which is its leader once it has come that far)."""
    try:
        os.killpg(pid, what)
    except (ProcessLookupError, PermissionError):
        pass  # no such group, or only the dead one is left in it


def _children() -> set[int]:
    """Children of this process as the kernel lists them; empty where it does not."""
    me = os.getpid()
    try:
        return {int(pid) for pid in Path(f"/proc/self/task/{me}/children").read_text("ascii").split()}
    except OSError:
        return set()
