"""Logging: one line per event to stderr; nothing else about logs is decided anywhere.

Every event has a name in words and fields (`item`, `request`, `client`, …). Secrets are never handed to it. Of paths only the
last part is shown, unless asked for. Forms: `console` for people, `logfmt` for the journal (with its priorities) and grep,
`json` for collectors.
"""

import json
import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any, Literal, TextIO

Form = Literal["console", "logfmt", "json"]

_ROOT = "dmc"
_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}
_FOLDERS = re.compile(r"(?<![\w.:/])/(?:[^/\s\"']+/)+")
_PLAIN = re.compile(r"[^\s\"=]+")
_NOT_FILES = frozenset({"path", "url", "method"})
"""Fields that speak of requests: what looks like a path there is one of the API."""


class Log:
    """A named logger whose lines are events with fields; fields that are None are left out."""

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
        self._logger.error(event, exc_info=True, extra={"fields": fields})

    def _write(self, level: int, event: str, fields: dict[str, Any]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={"fields": fields})


class Lines(logging.Formatter):
    """Makes the line of an event. `journal`: its reader knows the time and wants `<priority>` in front. `full_paths`: shown whole."""

    def __init__(self, form: Form = "console", *, journal: bool = False, full_paths: bool = False) -> None:
        super().__init__()
        self._form = form
        self._journal = journal
        self._full_paths = full_paths

    def format(self, record: logging.LogRecord) -> str:
        given: dict[str, Any] = getattr(record, "fields", {})
        fields = {key: self._text(key, value) for key, value in given.items() if value is not None}
        trace = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        room, event = record.name.removeprefix(f"{_ROOT}."), record.getMessage()
        moment = datetime.fromtimestamp(record.created, UTC)
        if self._form == "json":
            numbers = {key: given[key] if isinstance(given[key], int | float) else text for key, text in fields.items()}
            content = {"ts": _stamp(moment), "level": record.levelname.lower(), "room": room, "event": event, **numbers}
            return json.dumps(content | ({"trace": trace} if trace else {}), default=str)
        pairs = [f"{key}={_quoted(text)}" for key, text in fields.items()]
        if self._form == "logfmt":
            head = f"<{_PRIORITY.get(record.levelno, 6)}>" if self._journal else f"ts={_stamp(moment)} "
            whole = [f"level={record.levelname.lower()}", f"room={room}", f"event={_quoted(event)}", *pairs]
            return head + " ".join([*whole, *([f"trace={_quoted(trace)}"] if trace else [])])
        line = " ".join([f"{moment.astimezone():%H:%M:%S} {record.levelname.lower():7} {room:8}", event, *pairs])
        return f"{line}\n{trace.rstrip()}" if trace else line

    def _text(self, key: str, value: Any) -> str:
        if self._full_paths or key in _NOT_FILES:
            return str(value)
        return value.name if isinstance(value, PurePath) else _FOLDERS.sub("…/", str(value))


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.isprintable():
        return text
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    # A name must neither end the line nor steer the terminal that shows it.
    return '"' + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in quoted) + '"'


def start_logging(level: str = "info", stream: TextIO | None = None, lines: Lines | None = None) -> None:
    """Send events of `level` (debug, info, warning, error) and above to `stream` (default stderr), once per process."""
    root = logging.getLogger(_ROOT)
    for handler in list(root.handlers):
        root.removeHandler(handler)
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(lines or Lines())
    root.addHandler(handler)
    root.setLevel(level.upper())
    root.propagate = False
