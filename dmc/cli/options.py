"""Options that several commands about converting share, and how `KEY=VALUE` is read."""

from typing import Annotated, Any

import typer

To = Annotated[str | None, typer.Option("--to", "-t", help="Conversion type; see: dmc types. Default: by medium.")]
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
