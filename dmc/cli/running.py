"""Processes that stay: server, broker and client as threads that live and end together.

SIGTERM and Ctrl-C ask everything to stop in order; a room that ends by itself with an error stops the others, so that a
supervisor can start the process anew. Nothing here decides anything about items.
"""

import _thread
import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from dmc.cli.render import Screen
from dmc.cli.supervisor import Pulse, Sign
from dmc.clock import SystemClock
from dmc.errors import DmcError, StillBroken
from dmc.homes import leads_to_journal, supervision
from dmc.log import Lines, Log, start_logging

if TYPE_CHECKING:
    from dmc.broker.broker import Broker
    from dmc.broker.ledger import Ledger
    from dmc.client_settings import ClientSettings
    from dmc.server.app import Server
    from dmc.server_settings import ServerSettings

_log = Log("cli")

_LOOK_S = 1.0
"""How long the main thread waits at a time: the kernel may hand a signal to another thread, and that wakes no lock of the main one,
which alone may act on it."""


@contextmanager
def stop_on_signals(twice: threading.Event | None = None) -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set; one Ctrl-C more sets `twice`, and without that, or after it, ends the process at once.

    Whoever sent SIGTERM is obeyed once: one more, also after the block, does not break off the rest of the way out.
    """
    stop = threading.Event()
    pressed = 0
    obeys = asked = False

    def ask(number: int, _frame: object) -> None:
        nonlocal pressed, obeys, asked
        if number == signal.SIGTERM:
            if obeys:
                return
            obeys = True
        elif (asked or stop.is_set()) and (twice is None or pressed > 1):
            os._exit(130)
        else:
            pressed += 1
            if twice is not None and pressed > 1:
                _elsewhere(twice.set)
        if not asked:
            asked = True
            _elsewhere(stop.set)

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            # Ignored, not handled: the interpreter takes its handlers back before it ends.
            signal.signal(number, signal.SIG_IGN if number == signal.SIGTERM and obeys else handler)


def _elsewhere(what: Callable[[], None]) -> None:
    """Do `what`, which takes a lock, for a handler of signals: the code that was interrupted may hold that lock."""
    try:
        _thread.start_new_thread(what, ())  # threading's own way to begin one takes locks, too.
    except RuntimeError:  # None is to be had: then with the small risk.
        what()


@dataclass
class Rooms:
    """Threads that live together: the first one that ends, for whatever reason, sets `stop` for all."""

    stop: threading.Event
    fault: BaseException | None = None
    _threads: list[threading.Thread] = field(default_factory=list)

    def begin(self, name: str, run: Callable[[threading.Event], None]) -> None:
        """Run a room in a thread until `stop`."""

        def main() -> None:
            try:
                run(self.stop)
            except BaseException as problem:
                self.fault = self.fault or problem
                _log.error("room ended", room=name, problem=type(problem).__name__, message=problem)
                if not isinstance(problem, DmcError):
                    raise
            finally:
                self.stop.set()

        thread = threading.Thread(target=main, name=name)
        self._threads.append(thread)
        thread.start()

    def watch(self, pulse: Pulse) -> None:
        """Tell the service manager, if there is one, that this process is ready, and from now on that it moves."""
        if pulse.notifier:
            self.begin("pulse", pulse.run)

    def wait(self) -> None:
        """Wait until all have ended; raises the fault of the one that ended first by itself."""
        while not self.stop.wait(_LOOK_S):
            pass
        for thread in self._threads:
            thread.join()
        if isinstance(self.fault, DmcError):
            raise self.fault
        if self.fault is not None:
            raise StillBroken(f"a part of dmc ended: {self.fault}.") from self.fault


class ServerRoom:
    """The server's event loop in a thread: `address` is known once `bound` is set."""

    def __init__(self, server: "Server", host: str, port: int) -> None:
        self._server, self._host, self._port = server, host, port
        self.bound = threading.Event()
        self.url = ""
        self.port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turns = 0

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop`."""
        try:
            asyncio.run(self._main(stop))
        finally:
            self.bound.set()  # Also after a failed start: whoever waits for the address must not wait for ever.

    @property
    def fingerprint(self) -> str | None:
        """Of the certificate that the server shows; None without TLS."""
        return self._server.fingerprint

    def remarks(self) -> list[str]:
        """What whoever started the server should know, in lines: the certificate's fingerprint, and warnings."""
        from dmc.fingerprints import shown_fingerprint

        known = self._server.fingerprint
        shown = [f"certificate (SHA-256): {shown_fingerprint(known)}"] if known else []
        return shown + [f"warning: {warning}" for warning in self._server.warnings]

    def turns(self) -> int:
        """Another number at every call while the loop turns."""
        with contextlib.suppress(RuntimeError):  # A loop that is closed takes no calls.
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._turn)
        return self._turns

    def _turn(self) -> None:
        self._turns += 1

    async def _main(self, stop: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        host, port = await self._server.start(self._host, self._port)
        self.port = port
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if self._server.fingerprint else 'http'}://{shown}:{port}"
        _log.info("listening", url=self.url)
        self.bound.set()
        fault = asyncio.create_task(self._server.fault())
        try:
            await asyncio.wait({asyncio.create_task(asyncio.to_thread(stop.wait)), fault}, return_when=asyncio.FIRST_COMPLETED)
            if fault.done():
                fault.result()
        finally:
            stop.set()  # The thread that waits for it would keep the loop from ending.
            fault.cancel()
            await self._server.stop()


def lines_of(settings: "ServerSettings | ClientSettings", stream: TextIO | None = None) -> Lines:
    """How lines of the log look on `stream` (default stderr): as the settings say, else as fits who reads them."""
    stream = stream or sys.stderr
    form = settings.log_form
    if form == "auto":
        form = "console" if stream.isatty() else "logfmt"
    return Lines(form, journal=form == "logfmt" and leads_to_journal(stream), full_paths=settings.log_full_paths)


def run_broker(broker: "Broker") -> Callable[[threading.Event], None]:
    """A room that works the queue until told to stop, then puts running items back."""

    def run(stop: threading.Event) -> None:
        try:
            broker.run(stop)
        finally:
            broker.stop()

    return run


def serve(settings: "ServerSettings", screen: Screen, *, with_link: bool = False) -> None:
    """`dmc server run`: the server, with the broker inside unless settings say otherwise."""
    from dmc.assemble.entry import listening_url, nobody_signed_in_yet, page_link
    from dmc.assemble.server import build_broker, build_server, open_parts, server_lock
    from dmc.assemble.workers import start_pool

    start_logging(settings.log_level, lines=lines_of(settings))
    embedded = settings.broker == "embedded"
    # The workers' forkserver first: it must not inherit a lock or a socket.
    pool = start_pool(settings) if embedded else None
    try:
        with stop_on_signals() as stop, server_lock(settings).held(), open_parts(settings, recover=True) as parts:
            rooms = Rooms(stop)
            pulse = Pulse(supervision(), parts.clock, status=lambda: _queue_text(parts.ledger))
            if pool is not None:
                broker = build_broker(settings, parts, pool)
                broker.start_up()
                rooms.begin("broker", run_broker(broker))
                pulse.signs["broker"] = lambda: broker.rounds
            server = ServerRoom(build_server(settings, parts), settings.listen_on_address, settings.listen_on_port)
            rooms.begin("server", server.run)
            server.bound.wait()
            if server.url:
                screen.say(f"dmc serves at {server.url}; data in {settings.data_folder}")
                for line in server.remarks():
                    screen.say(line)
                if not with_link and leads_to_journal(sys.stdout):
                    # Others read the journal too.
                    screen.say("a link to the page: dmc server token create NAME --scopes read,write,admin --link")
                elif with_link or nobody_signed_in_yet(parts.tokens):
                    screen.say("sign in to the page with this link; it works once, for 15 minutes:")
                    # As this machine reaches it: 0.0.0.0 is nowhere for a browser.
                    here = settings.model_copy(update={"listen_on_port": server.port})
                    screen.data(page_link(parts.tokens, listening_url(here), settings.base_path))
                pulse.signs["server"] = server.turns
                rooms.watch(pulse)
            rooms.wait()
    finally:
        if pool is not None:
            pool.close()


def work(settings: "ServerSettings", screen: Screen) -> None:
    """`dmc broker run`: the broker as a process of its own."""
    from dmc.assemble.server import build_broker, open_parts
    from dmc.assemble.workers import start_pool

    start_logging(settings.log_level, lines=lines_of(settings))
    pool = start_pool(settings)
    try:
        with stop_on_signals() as stop, open_parts(settings, recover=True) as parts:
            broker = build_broker(settings, parts, pool)
            broker.start_up()
            screen.say(f"the broker works on {settings.data_folder}")
            rooms = Rooms(stop)
            rooms.begin("broker", run_broker(broker))
            signs: dict[str, Sign] = {"broker": lambda: broker.rounds}
            rooms.watch(Pulse(supervision(), parts.clock, signs, lambda: _queue_text(parts.ledger)))
            rooms.wait()
    finally:
        pool.close()


def sync(settings: "ClientSettings", screen: Screen) -> None:
    """`dmc client run`: watch, send, fetch, until told to stop."""
    from dmc.assemble.client import open_client

    start_logging(settings.log_level, lines=lines_of(settings))
    with stop_on_signals() as stop, open_client(settings) as client:
        for observed in settings.list_of_paths_to_observe:
            screen.say(f"watching {observed.path}")
        rooms = Rooms(stop)
        rooms.begin("client", client.run)
        count = len(settings.list_of_paths_to_observe)
        words = f"watching {count} folder{'' if count == 1 else 's'}"
        rooms.watch(Pulse(supervision(), SystemClock(), {"client": lambda: client.rounds}, lambda: words))
        rooms.wait()


def _queue_text(ledger: "Ledger") -> str:
    from dmc.items import Status

    counts = ledger.counts()
    done = counts[Status.FINISHED_SUCCESSFUL] + counts[Status.FINISHED_WITH_ERRORS]
    return f"{counts[Status.TO_DO]} to do, {counts[Status.IN_PROGRESS]} in progress, {done} finished"
