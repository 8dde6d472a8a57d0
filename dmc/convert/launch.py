"""How a worker process begins and ends, seen from the pool: by fork from a warm server (Linux and other Unix), or by a fresh
interpreter each (macOS, where forking a process that has used system libraries is unsafe).

Both know workers by number only. They never signal a pid that may have been given to somebody else: the one who reaps is the
one who kills. Imports little (no dataclasses: 8 ms), so that the warm process can begin to warm up before its owner has read its settings.
"""

import array
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from dmc.convert.process import Process, python, search_path, signal_group

ENGINE = "dmc.convert.engine:convert"
"""What workers run."""

PACKET = 4096
"""Longest message between the fork server and its owner, in bytes."""

NOT_BEGUN = os.EX_OSERR  # The exit code of a worker that there never was: the system gave no process, memory or descriptor.

Method = Literal["fork-server", "fresh-process"]

_STOP_LIMIT_S = 10.0
_FORK_SERVER = "import gc, sys; gc.disable(); sys.path[:] = {path!r}; from dmc.convert.forkserver import main; main({fd}, {entry!r})"
_FRESH_WORKER = "import sys; sys.path[:] = {path!r}; from dmc.convert.worker import main; sys.exit(main({fd}, None))"


class Born(NamedTuple):
    """Worker `number` runs as process `pid`."""

    number: int
    pid: int


class Died(NamedTuple):
    """Worker `number` is dead and reaped; `code` is its exit code, or minus the signal, or None if nobody saw it."""

    number: int
    code: int | None


class Launcher(Protocol):
    """Starts and kills workers."""

    def start(self) -> None:
        """Make ready; returns at once."""
        ...

    def launch(self, number: int, channel: int) -> None:
        """Begin a worker that speaks on descriptor `channel`; the caller closes it afterwards. Where none can be had it `Died` at once."""
        ...

    def kill(self, number: int) -> None:
        """Kill worker `number` with all it started; nothing happens if it is dead already."""
        ...

    def freeze(self, number: int) -> None:
        """Stop worker `number` with all it started, where it is; nothing happens if it is dead."""
        ...

    def thaw(self, number: int) -> None:
        """Let worker `number` go on."""
        ...

    def give_up(self) -> None:
        """End everything by force: a kill went unheeded."""
        ...

    def happened(self) -> Sequence[Born | Died]:
        """What happened since the last call; never blocks."""
        ...

    def descriptors(self) -> Sequence[int]:
        """What becomes readable when something happened."""
        ...

    def close(self) -> None:
        """Kill all; returns when they are dead."""
        ...


class ForkServer:
    """Workers forked from one warm process; see forkserver.py. It is started again when it dies."""

    def __init__(self, entry: str) -> None:
        self._entry = entry
        self._process: Process | None = None
        self._control: socket.socket | None = None
        self._living: set[int] = set()
        self._orphaned: list[Died] = []

    def start(self) -> None:
        if self._control is None:
            self._connect()

    def launch(self, number: int, channel: int) -> None:
        for _ in range(2):  # a server that died meanwhile is started again, once
            try:
                send_with(self._control or self._connect(), "fork", number, channel)
            except (BrokenPipeError, ConnectionResetError):
                self._bury_server()
            except OSError:
                break
            else:
                self._living.add(number)
                return
        self._orphaned.append(Died(number, NOT_BEGUN))

    def kill(self, number: int) -> None:
        self._ask("kill", number)

    def freeze(self, number: int) -> None:
        self._ask("freeze", number)

    def thaw(self, number: int) -> None:
        self._ask("thaw", number)

    def _ask(self, what: str, number: int) -> None:
        if self._control is None or number not in self._living:
            return
        try:
            _send(self._control, what, number)
        except (BrokenPipeError, ConnectionResetError):
            self._bury_server()

    def give_up(self) -> None:
        self._bury_server()

    def happened(self) -> Sequence[Born | Died]:
        found: list[Born | Died] = []
        while self._control is not None:
            try:
                packet = self._control.recv(PACKET, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except ConnectionResetError:
                packet = b""
            if not packet:
                self._bury_server()
                break
            said = json.loads(packet)
            found.append(Born(said["born"], said["pid"]) if "born" in said else Died(said["died"], said["code"]))
        found += self._orphaned
        self._orphaned.clear()
        self._living -= {event.number for event in found if isinstance(event, Died)}
        return found

    def descriptors(self) -> Sequence[int]:
        return [] if self._control is None else [self._control.fileno()]

    def close(self) -> None:
        """The server kills and reaps its workers when its control socket is closed, then ends."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(_STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()  # the kernel then kills its workers
                self._process.wait()
            self._process = None
        self._living.clear()

    def _connect(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, contextlib.ExitStack() as unless_begun:
            unless_begun.callback(ours.close)
            self._process = self._begin(theirs.fileno())
            unless_begun.pop_all()
        self._control = ours
        return ours

    def _begin(self, fd: int) -> Process:
        """A server that is spoken to through `fd`."""
        return python(_FORK_SERVER.format(path=search_path(), fd=fd, entry=self._entry), fd)

    def _bury_server(self) -> None:
        """The server is dead, or dies here, and its workers with it: the kernel sees to that."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._orphaned += [Died(number, None) for number in sorted(self._living)]
        self._living.clear()


class FreshProcess:
    """Each worker is an interpreter of its own: slower to begin, and nobody adopts what it leaves outside its process group."""

    def __init__(self) -> None:
        self._living: dict[int, subprocess.Popen[bytes]] = {}
        self._begun: list[Born | Died] = []

    def start(self) -> None:
        """Nothing needs to be ready."""

    def launch(self, number: int, channel: int) -> None:
        try:
            process = python(_FRESH_WORKER.format(path=search_path(), fd=channel), channel, own_session=False)
        except OSError:
            self._begun.append(Died(number, NOT_BEGUN))
        else:
            self._living[number] = process
            self._begun.append(Born(number, process.pid))

    def kill(self, number: int) -> None:
        self._signal(number, signal.SIGKILL)

    def freeze(self, number: int) -> None:
        self._signal(number, signal.SIGSTOP)

    def thaw(self, number: int) -> None:
        self._signal(number, signal.SIGCONT)

    def _signal(self, number: int, what: signal.Signals) -> None:
        process = self._living.get(number)
        if process is not None and process.poll() is None:
            signal_group(process, what)

    def give_up(self) -> None:
        """Nothing stands between us and the workers that could be stuck."""

    def happened(self) -> Sequence[Born | Died]:
        found, self._begun = self._begun, []
        for number, process in list(self._living.items()):
            code = process.poll()
            if code is not None:
                del self._living[number]
                signal_group(process, signal.SIGKILL)
                found.append(Died(number, code))
        return found

    def descriptors(self) -> Sequence[int]:
        return []

    def close(self) -> None:
        for process in self._living.values():
            if process.poll() is None:
                signal_group(process, signal.SIGKILL)
            process.wait()
        self._living.clear()


def launcher(entry: str = ENGINE, method: Method | None = None) -> Launcher:
    """The way to begin workers that fits the system, or the one that is asked for."""
    if (method or ("fresh-process" if sys.platform == "darwin" else "fork-server")) == "fresh-process":
        return FreshProcess()
    return ForkServer(entry)


def send_with(control: socket.socket, what: str, number: int, channel: int) -> None:
    """Ask the server at the other end of `control` to `fork` a worker that speaks on `channel`, or to `become` it."""
    rights = array.array("i", [channel])
    control.sendmsg([json.dumps({what: number}).encode("ascii")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


def _send(control: socket.socket, what: str, number: int) -> None:
    """Ask the server at the other end of `control` to kill, freeze or thaw worker `number`; nothing happens if it is dead already."""
    control.send(json.dumps({what: number}).encode("ascii"))
