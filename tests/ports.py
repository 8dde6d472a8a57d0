"""Ports for those who listen later, and again after a restart.

A port that is only free stays so for a moment: others ask the kernel for one all the time. One that is bound, by a socket that never
listens, is given to nobody who asks for any; who names it may still listen on it, if both reuse addresses, as servers do (socket(7)).
"""

import socket
import sys
from types import TracebackType


class Port:
    """A port of 127.0.0.1 that is kept until `close`; `number` is for those who shall listen on it."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number = int(self._socket.getsockname()[1])
        if sys.platform != "linux":
            self._socket.close()  # Elsewhere nobody could listen on it besides.

    def __enter__(self) -> "Port":
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, where: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()
