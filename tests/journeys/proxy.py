"""A small TCP proxy that does to connections what networks do: cuts, resets, stalls, throttles, reorders, counts."""

import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """Forwards 127.0.0.1:port to 127.0.0.1:target.

    `cut_after`: reset the connection once so many bytes went up on it (None: never). `hold_after`: let nothing further through once so
    many bytes went up on it; `holding` is set then, and clearing `hold_after` does not revive what is held. `cut_down_after` is the same
    for what comes down. `delay_after`: the first connection that so many bytes went up on keeps the rest back until `release`, so that
    later ones overtake it; `delaying` is set then. `reset`: cut with a TCP reset instead of an orderly end. `rate`: bytes a second at
    most, each way. `bytes_up` and `bytes_down` count in all, `passed_up` what was let through.
    """

    target: int
    cut_after: int | None = None
    hold_after: int | None = None
    cut_down_after: int | None = None
    delay_after: int | None = None
    reset: bool = False
    rate: int | None = None
    holding: threading.Event = field(default_factory=threading.Event)
    delaying: threading.Event = field(default_factory=threading.Event)
    bytes_up: int = 0
    bytes_down: int = 0
    passed_up: int = 0
    cuts: int = 0
    _listener: socket.socket = field(default_factory=socket.socket)
    _open: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _released: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port = int(self._listener.getsockname()[1])
        self._taking = threading.Thread(target=self._accept, daemon=True)
        self._taking.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                self._open |= {near, far}
            threading.Thread(target=self._pump, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, False), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        sent, held = 0, False
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sent += len(data)
                if self._is_cut(sent, len(data), up):
                    if self.reset:
                        _reset_on_close(source, sink)
                    break
                held = held or (up and self.hold_after is not None and sent > self.hold_after)
                if held:
                    self.holding.set()
                    continue  # Swallowed: the far end has seen `hold_after` bytes at most, and nobody hangs up.
                if self.rate is not None:
                    time.sleep(len(data) / self.rate)  # A slow line is the point here.
                late = self._late(sent, len(data)) if up else 0
                sink.sendall(data[: len(data) - late])
                self.passed_up += (len(data) - late) * up
                if late:
                    self.delaying.set()
                    self._released.wait()
                    sink.sendall(data[-late:])
        for end in (source, sink):
            with contextlib.suppress(OSError):
                # The other direction's thread may wait for this end: it is woken, or the kernel keeps the socket for it.
                end.shutdown(socket.SHUT_RD if self.reset else socket.SHUT_RDWR)
            end.close()
            with self._lock:
                self._open.discard(end)

    def _is_cut(self, sent: int, fresh: int, up: bool) -> bool:
        with self._lock:
            if up:
                self.bytes_up += fresh
            else:
                self.bytes_down += fresh
            most = self.cut_after if up else self.cut_down_after
            cut = most is not None and sent > most
            self.cuts += cut
        return cut

    def _late(self, sent: int, fresh: int) -> int:
        """How many of the `fresh` bytes that just came up are to be kept back."""
        with self._lock:
            if self.delay_after is None or sent <= self.delay_after:
                return 0
            late, self.delay_after = min(fresh, sent - self.delay_after), None  # Once: the others overtake.
        return late

    def release(self) -> None:
        """Let what was kept back go up now."""
        self._released.set()

    def close(self) -> None:
        """Stop listening and drop every connection."""
        self._released.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # Who waits in it is only woken so, and would take one more connection else.
        self._taking.join()
        self._listener.close()
        with self._lock:
            left = list(self._open)
        for end in left:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _reset_on_close(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
