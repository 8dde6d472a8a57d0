"""Logging: one line per event, `event key=value …`, to stderr; nothing else about logs is decided anywhere.

Every event has a name and fields (`item`, `request`, `client`, …). Secrets are never handed to it; paths only by their
last part unless the level is debug. `say` is all that rooms use.
"""

import logging
import sys
from typing import Any, TextIO

_ROOT = "dmc"


class Log:
    """A named logger whose lines are events with fields."""

    def __init__(self, room: str) -> None:
        self._logger = logging.getLogger(f"{_ROOT}.{room}")

    def debug(self, event: str, **fields: Any) -> None:
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._write(logging.ERROR, event, fields)

    def fault(self, event: str, **fields: Any) -> None:
        """An unforeseen error, with the traceback of the exception being handled."""
        self._logger.error(_line(event, fields), exc_info=True)

    def _write(self, level: int, event: str, fields: dict[str, Any]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, _line(event, fields))


def _line(event: str, fields: dict[str, Any]) -> str:
    return " ".join([event, *(f"{key}={_value(value)}" for key, value in fields.items() if value is not None)])


def _value(value: Any) -> str:
    text = str(value)
    if text and not any(c.isspace() or c in '"=' or not c.isprintable() for c in text):
        return text
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    # A name must neither end the line nor steer the terminal that shows it.
    return '"' + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in quoted) + '"'


def start_logging(level: str = "info", stream: TextIO | None = None) -> None:
    """Send events of `level` (debug, info, warning, error) and above to `stream` (default stderr), once per process."""
    root = logging.getLogger(_ROOT)
    for handler in list(root.handlers):
        root.removeHandler(handler)
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root.addHandler(handler)
    root.setLevel(level.upper())
    root.propagate = False
