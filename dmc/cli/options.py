"""Options that several commands about converting share, and how `KEY=VALUE` and lists of files are read."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from dmc.cli.complete import conversion_types

Files = Annotated[list[Path] | None, typer.Argument(help="Files.", show_default=False)]
FilesFrom = Annotated[str | None, typer.Option("--files-from", metavar="FILE", help="Files named in FILE, one per line; - is stdin.")]
Null = Annotated[bool, typer.Option("--null", "-0", help="Names in --files-from end with a zero byte, as from find -print0.")]
To = Annotated[
    str | None,
    typer.Option("--to", "-t", help="Conversion type; see: dmc types. Default: by medium.", autocompletion=conversion_types),
]
Options = Annotated[
    list[str] | None, typer.Option("--set", "-s", metavar="KEY=VALUE", help="An option of the conversion type, e.g. crf=28.")
]
Start = Annotated[str | None, typer.Option("--start", metavar="TIME", help="Where the result begins: seconds, or HH:MM:SS.mmm.")]
End = Annotated[str | None, typer.Option("--end", metavar="TIME", help="Where the result ends, counted like --start.")]
Workers = Annotated[int, typer.Option("--workers", "-w", min=0, max=256, help="Conversions at once; 0: by cores and memory.")]


def parse_options(pairs: list[str] | None, start: str | None = None, end: str | None = None) -> dict[str, Any]:
    """`["crf=28", "container=mp4"]` → {"crf": 28, "container": "mp4"}; `start` and `end` as options too; raises UsageFault."""
    from dmc.errors import UsageFault

    options: dict[str, Any] = {name: value for name, value in (("start", start), ("end", end)) if value is not None}
    for pair in pairs or []:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise UsageFault(f"{pair!r} is not KEY=VALUE.", "For example: --set crf=28")
        word: Any = {"true": True, "false": False}.get(text.lower(), text)
        options[key] = word if isinstance(word, bool) else _number(text)
    return options


def _number(text: str) -> int | float | str:
    """`text` as the number that it is, else as it stands: the conversion type checks words by itself."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def named_files(files: list[Path] | None, source: str | None, *, null: bool) -> list[Path]:
    """The files of the arguments, then those named in `source` (`-`: stdin); raises UsageFault if there are none."""
    from dmc.errors import NotFound, UsageFault

    named = list(files or [])
    if source is not None:
        try:
            text = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        except OSError as problem:
            raise NotFound(f"cannot read {source}: {problem.strerror}.") from None
        names = text.split(b"\0") if null else text.replace(b"\r\n", b"\n").split(b"\n")
        named += [Path(os.fsdecode(name)) for name in names if name]
    elif null:
        raise UsageFault("-0 says how --files-from is read, which was not given.", "E.g.: find . -print0 | dmc add --files-from - -0")
    if not named:
        raise UsageFault("no files were named.", "Name them, or give their names with --files-from FILE.")
    return named
