"""dmc as a process of its own without the half second of loading: forked from one that has dmc loaded already.

Exit code, streams, signals and environment are those of `python -m dmc`; only the modules are there before. What shall prove that
dmc loads starts Python itself, e.g. the first journey and the installed program. Run as a program, this file is the process that forks.
"""

import atexit
import functools
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOMS = ["", "assemble.", "broker.", "cli.", "client.", "server."]
"""Whose modules are there before; those of convert load media libraries, which is left to whoever needs them, as ever."""

POSSIBLE = hasattr(os, "pidfd_open")


class WarmProcess:
    """A command that was begun: as much of subprocess.Popen as tests use."""

    def __init__(self, arguments: tuple[str, ...], environment: Mapping[str, str], *streams: int) -> None:
        self.returncode: int | None = None
        self._line, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # Two messages, never one: pid and exit code.
        with far:
            order = json.dumps([arguments, dict(environment), os.getcwd()]).encode()
            socket.send_fds(_door(), [order], [far.fileno(), *streams])
        self.pid = int(self._line.recv(16))

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._line], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("dmc", timeout or 0)
            self.returncode = int(self._line.recv(16))
            self._line.close()
        return self.returncode

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run(*arguments: str, environment: Mapping[str, str], typed: bytes = b"", timeout: float) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, however it ends; where this is not possible, a cold one."""
    if not POSSIBLE:
        return cold(*arguments, environment=environment, typed=typed, timeout=timeout)
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        stdin.write(typed)
        stdin.seek(0)
        process = WarmProcess(arguments, environment, stdin.fileno(), stdout.fileno(), stderr.fileno())
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        said = []
        for stream in (stdout, stderr):
            stream.seek(0)
            said.append(stream.read().decode())
    return subprocess.CompletedProcess(["dmc", *arguments], code, *said)


def cold(*arguments: str, environment: Mapping[str, str], typed: bytes = b"", timeout: float) -> "subprocess.CompletedProcess[str]":
    """The same with a Python of its own."""
    command = [sys.executable, "-m", "dmc", *arguments]
    done = subprocess.run(command, env=dict(environment), input=typed, capture_output=True, timeout=timeout, check=False)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


@functools.cache
def _door() -> socket.socket:
    """Where orders go in; the process behind it ends when this one does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, __file__, str(theirs.fileno())]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        server = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=environment)
    atexit.register(lambda: (ours.close(), server.wait()))
    return ours


# --- The process that forks ------------------------------------------------------------------------------------------


def serve(door: socket.socket) -> None:
    """Fork for each order. Returns in the new processes only, each with its arguments, streams, environment and folder."""
    children: dict[int, tuple[int, socket.socket]] = {}
    while True:
        for ready in select.select([door.fileno(), *children], [], [])[0]:
            if ready in children:
                pid, line = children.pop(ready)
                os.close(ready)
                with line:
                    _tell(line, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                continue
            order, handles, _, _ = socket.recv_fds(door, 1 << 20, 4)
            if not order:
                for pid, _line in children.values():
                    os.kill(pid, signal.SIGKILL)
                os._exit(0)
            if (pid := os.fork()) == 0:
                for ours in (door, *(line for _, line in children.values())):
                    ours.detach()  # Closed below, with all else that is not its own.
                _become(order, handles)
                return
            for stream in handles[1:]:
                os.close(stream)
            line = socket.socket(fileno=handles[0])
            _tell(line, pid)
            children[os.pidfd_open(pid)] = (pid, line)


def _tell(line: socket.socket, number: int) -> None:
    try:
        line.send(str(number).encode())
    except OSError:
        pass  # Whoever asked has gone.


def _become(order: bytes, handles: list[int]) -> None:
    for number, stream in enumerate(handles[1:]):
        os.dup2(stream, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    arguments, environment, folder = json.loads(order)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["dmc", *arguments]


def _main() -> None:
    for room in ROOMS:
        folder = Path(__file__).parents[1] / "dmc" / room.rstrip(".")
        for file in sorted(folder.glob("*.py")):
            importlib.import_module(f"dmc.{room}{file.stem}")
    importlib.import_module("dmc.convert.pool")
    assert not {"av", "PIL"} & set(sys.modules)
    gc.collect()
    gc.freeze()
    serve(socket.socket(fileno=int(sys.argv[1])))
    from dmc.__main__ import main

    main()


if __name__ == "__main__":
    _main()
