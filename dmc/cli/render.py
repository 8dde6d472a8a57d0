"""How the command line shows things: data on stdout, talk on stderr, tables that shrink, bars on a terminal only.

`Screen` is handed to every command. With `--json` a command prints one document with `"schema": "dmc.<noun>/1"`, or, for
a stream, one such object per line. rich is loaded only when there is something to draw.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

Json = Annotated[bool, typer.Option("--json", help="Print data as JSON.")]
_NARROWEST = 6
"""Columns that every cell of a table keeps, however narrow the terminal."""

_WHOLE = "ITEM"
"""The column that is never cut: ids are there to be copied."""

DryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would be done; change nothing.")]


def screen_of(context: typer.Context) -> "Screen":
    """The screen that the front door made for this command."""
    found = context.find_object(Screen)
    return found or Screen()


@dataclass(frozen=True, slots=True)
class Screen:
    """Where a command's words go. `verbose`: 0, 1 or 2."""

    quiet: bool = False
    verbose: int = 0

    def say(self, text: str) -> None:
        """Talk: to stderr, unless --quiet."""
        if not self.quiet:
            sys.stderr.write(clean(text, keep_lines=True) + "\n")

    def data(self, text: str) -> None:
        """Plain data: to stdout."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def document(self, noun: str, content: Mapping[str, Any]) -> None:
        """One JSON document of a noun. Within a number only keys are added (tests/cli/golden holds the shapes)."""
        text = json.dumps({"schema": f"dmc.{noun}/1", **content}, ensure_ascii=False, default=str)
        self.data(text.encode("utf-8", "backslashreplace").decode())  # A name that is no UTF-8 becomes an escape of JSON.

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]], notes: Mapping[int, Sequence[str]] | None = None) -> None:
        """A plain table: columns as wide as they need, the widest one shrinks to fit; tab-separated in a pipe.

        `notes`: lines below a row, by its number; they are indented, and wrapped on a terminal.
        """
        drawn, width = sys.stdout.isatty(), shutil.get_terminal_size((80, 24)).columns
        lines = _lay_out([headings, *rows], width) if drawn else ["", *("\t".join(clean(cell) for cell in row) for row in rows)]
        if drawn:
            self.data(lines[0])
        for number, line in enumerate(lines[1:]):
            self.data(line)
            for note in (notes or {}).get(number, ()):
                wrapped = _wrapped(clean(note), width - 4) if drawn else [clean(note)]
                self.data("\n".join(f"    {part}" for part in wrapped))

    def paragraph(self, text: str, indent: int) -> None:
        """A text as data; on a terminal its lines are wrapped, all but the first indented."""
        if not sys.stdout.isatty():
            self.data(clean(text))
            return
        lead = text[: len(text) - len(text.lstrip())]
        lines = _wrapped(clean(text), shutil.get_terminal_size((80, 24)).columns - indent)
        self.data(("\n" + " " * indent).join([lead + lines[0], *lines[1:]]))

    @property
    def draws(self) -> bool:
        """Whether progress bars make sense: stderr is a terminal and nobody asked for quiet."""
        return sys.stderr.isatty() and not self.quiet and os.isatty(sys.stderr.fileno())

    @contextmanager
    def bars(self) -> Iterator["Bars"]:
        """Progress bars on stderr that vanish when done; silent where nothing draws."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=20), TextColumn("{task.percentage:>3.0f}%"))
        left = TimeRemainingColumn(compact=True)
        with Progress(*columns, left, console=Console(stderr=True), transient=True, disable=not self.draws) as bars:
            yield bars


def clean(text: str, *, keep_lines: bool = False) -> str:
    """`text` without anything that could move the cursor or break a line: file names are not to be trusted."""
    kept = "\n\t" if keep_lines else ""
    return "".join(c if c.isprintable() or c in kept else "\N{REPLACEMENT CHARACTER}" for c in text)


def short(name: str, width: int) -> str:
    """`name` cut in the middle to `width` columns, the ending kept."""
    name = clean(name)
    if name.isascii() and len(name) <= width:
        return name
    from rich.cells import cell_len

    if cell_len(name) <= width:
        return name
    tail = _cut(name[::-1], max(min(4, width // 2), width // 3))[::-1]
    return _cut(name, max(0, width - cell_len(tail) - 1)) + "\N{HORIZONTAL ELLIPSIS}" + tail


def _cut(text: str, width: int) -> str:
    """As much of the beginning as fits into `width` columns."""
    from rich.cells import cell_len

    while cell_len(text) > width:
        text = text[: min(len(text) - 1, width)]
    return text


def bytes_text(size: int | None) -> str:
    """`1.2 GB`: bytes for people, in powers of 1000."""
    if size is None:
        return "?"
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def time_text(seconds: float | None) -> str:
    """`2m10s`: a duration for people."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    return f"{minutes // 60}h{minutes % 60:02d}m"


def short_ids(ids: Sequence[str], least: int = 13) -> dict[str, str]:
    """Each id as it is shown on a terminal: so long that all differ, at least its time to the millisecond. Whole in a pipe."""
    if not sys.stdout.isatty():
        return {one: one for one in ids}
    known = list(dict.fromkeys(ids))
    most = max(map(len, known), default=0)
    size = next((n for n in range(least, most) if len({one[:n] for one in known}) == len(known)), most)
    return {one: one[:size] for one in known}


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns, broken between words where there are any."""
    from rich.cells import cell_len

    lines = [""]
    for word in text.split():
        while cell_len(lines[-1]) + cell_len(word) + bool(lines[-1]) > width:
            if lines[-1]:
                lines.append("")
                continue
            lines[-1] = _cut(word, width)
            word = word[len(lines[-1]) :]
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines


def _lay_out(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Lines of at most `width` columns: the widest column gives way first, and wide characters count as two."""
    from rich.cells import cell_len

    cells = [[clean(cell) for cell in row] for row in rows]
    widths = [max(cell_len(row[i]) for row in cells) for i in range(len(cells[0]))]
    excess = sum(widths) + 2 * (len(widths) - 1) - width
    gives = [i for i, heading in enumerate(rows[0]) if heading != _WHOLE]
    while excess > 0 and (widest := max(gives, key=lambda i: widths[i])) is not None and widths[widest] > _NARROWEST:
        # Down to the next one, then they shrink together.
        next_one = max([widths[i] for i in gives if widths[i] < widths[widest]] or [_NARROWEST])
        step = max(1, min(excess, widths[widest] - max(next_one, _NARROWEST)))
        widths[widest] -= step
        excess -= step
    lines = []
    for row in cells:
        fitted = [(short(cell, size), size) for cell, size in zip(row, widths, strict=True)]
        lines.append("  ".join(text + " " * (size - cell_len(text)) for text, size in fitted).rstrip())
    return lines


def waiting_text(message: str, until: str | None, server: str = "") -> str:
    """Why a queue waits, for people."""
    at = f"{server}: " if server else ""
    return f"{at}waiting: {message}{f' Until {until}.' if until else ''}"
