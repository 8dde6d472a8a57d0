"""A command of the operator's, run for each finished item: a child process without a shell, the item as JSON on its stdin.

It gets a bare environment, so nothing of the server's is in it, and its own session, so that all of it ends at its time.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from dmc.items import Status
from dmc.log import Log

MOST_OUTPUT = 4000
"""Bytes of its output that are logged, the last ones."""

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}

log = Log("hook")


@dataclass(frozen=True, slots=True)
class Hook:
    """What to run, for which items, and for how long at most."""

    command: Sequence[str]
    statuses: frozenset[Status]
    timeout_s: float

    async def run(self, item_id: str, document: bytes) -> int | None:
        """Run the command for one item; its exit code, or None if it could not start or took too long. Its output goes to the log."""
        try:
            child = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        except (OSError, ValueError) as problem:
            log.warning("the hook command cannot be started", command=self.command[0], problem=problem)
            return None
        tail = bytearray()
        try:
            async with asyncio.timeout(self.timeout_s):
                await asyncio.gather(_feed(child, document), _drain(child, tail))
                code = await child.wait()
        except TimeoutError:
            log.warning("the hook command took too long", item=item_id, seconds=self.timeout_s)
            return None
        finally:
            await _end(child)
        said = bytes(tail).decode("utf-8", "replace").strip()
        tell = log.info if code == 0 else log.warning
        tell("the hook command ran", item=item_id, code=code, said=said or None)
        return code


async def _feed(child: asyncio.subprocess.Process, document: bytes) -> None:
    if child.stdin is None:
        return
    with contextlib.suppress(ConnectionError):  # A command that does not care for its input is fine.
        child.stdin.write(document)
        await child.stdin.drain()
    child.stdin.close()


async def _drain(child: asyncio.subprocess.Process, tail: bytearray) -> None:
    """Read all it says, so that it never waits for us, and keep the end of it."""
    while child.stdout is not None and (part := await child.stdout.read(65536)):
        tail += part
        del tail[:-MOST_OUTPUT]


async def _end(child: asyncio.subprocess.Process) -> None:
    """Nothing of the command is left running, also what it left behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    await child.wait()
