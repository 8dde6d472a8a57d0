"""Options that several commands about converting share, and how `KEY=VALUE` is read."""

from typing import Annotated, Any

import typer

To = Annotated[str | None, typer.Option("--to", "-t", help="Conversion type; see: dmc types. Default: by medium.")]
Options = Annotated[
    list[str] | None, typer.Option("--set", "-s", metavar="KEY=VALUE", help="An option of the conversion type, e.g. crf=28.")
]
Workers = Annotated[int, typer.Option("--workers", "-w", min=0, max=256, help="Conversions at once; 0: by cores and memory.")]


def parse_options(pairs: list[str] | None) -> dict[str, Any]:
    """`["crf=28", "container=mp4"]` → {"crf": 28, "container": "mp4"}; raises UsageFault."""
    from dmc.errors import UsageFault

    options: dict[str, Any] = {}
    for pair in pairs or []:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise UsageFault(f"{pair!r} is not KEY=VALUE.", "For example: --set crf=28")
        word: Any = {"true": True, "false": False}.get(text.lower(), text)
        try:
            word = int(text)
        except ValueError:
            pass  # Not a number; the conversion type checks words by itself.
        options[key] = word
    return options
