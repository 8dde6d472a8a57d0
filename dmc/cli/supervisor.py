"""What a service manager hears: ready, a few words on what goes on, the watchdog's food, and that the end has come.

The protocol is sd_notify's: a datagram to `$NOTIFY_SOCKET`, a path or an abstract name. Without that variable nothing is said.
The watchdog is fed only when every part has moved since the last look, so a process that merely exists is started anew.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dmc.clock import Clock
from dmc.errors import DmcError
from dmc.homes import Supervision
from dmc.log import Log

QUIET_EVERY_S = 30.0
"""How often the words on what goes on are renewed where no watchdog waits."""

_log = Log("cli")

Sign = Callable[[], int]
"""A number that is another one at every look while its part lives."""


class Notifier:
    """Says things to the service manager; does nothing where there is none."""

    def __init__(self, address: str | None) -> None:
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address

    def __bool__(self) -> bool:
        return self._address is not None

    def say(self, **words: str) -> None:
        """Send `KEY=value` lines, e.g. say(READY="1", STATUS="3 to do"). A manager that does not listen is no fault of ours."""
        if self._address is None:
            return
        text = "\n".join(f"{key}={' '.join(value.split())}" for key, value in words.items())
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sending:
            sending.sendto(text.encode(), self._address)


def stuck(before: Mapping[str, int], now: Mapping[str, int]) -> list[str]:
    """The parts that have not moved between two looks."""
    return [part for part, count in now.items() if before.get(part) == count]


@dataclass
class Pulse:
    """Feeds the watchdog of one process as long as all its parts move. `signs`: by the name of the part."""

    supervision: Supervision
    clock: Clock
    signs: dict[str, Sign] = field(default_factory=dict)
    status: Callable[[], str] = str
    _seen: dict[str, int] = field(default_factory=dict)

    @property
    def notifier(self) -> Notifier:
        return Notifier(self.supervision.notify_socket)

    def run(self, stop: threading.Event) -> None:
        """Look, say, wait, until `stop`; three looks fit into the watchdog's patience."""
        self.notifier.say(READY="1", STATUS=self._words())
        while not self.clock.wait(stop, (self.supervision.watchdog_s or 3 * QUIET_EVERY_S) / 3):
            self.look()
        self.notifier.say(STOPPING="1", STATUS="stopping: saving what is under way")

    def look(self) -> list[str]:
        """One look; returns the parts that are stuck."""
        now = {part: sign() for part, sign in self.signs.items()}
        still = stuck(self._seen, now)
        self._seen = now
        if still:
            _log.error("a part does not move", parts=",".join(still))
            self.notifier.say(STATUS=f"stuck: {', '.join(still)}")
        else:
            self.notifier.say(WATCHDOG="1", STATUS=self._words())
        return still

    def _words(self) -> str:
        try:
            return self.status()
        except DmcError as problem:  # A ledger that is busy or a full disk: others see to it, the parts do move.
            return problem.message
