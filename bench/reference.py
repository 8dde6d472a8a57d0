"""Writes docs/settings.md from the settings' models, and docs/cli.md from the commands.

    python bench/reference.py [--check]

`--check` writes nothing and ends with 1 if a page is not what it would write.
"""

import argparse
import json
import sys
import types
import typing
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer.main
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from dmc.cli.main import app
from dmc.client_settings import ClientSettings
from dmc.homes import state_home
from dmc.server_settings import ServerSettings

DOCS = Path(__file__).resolve().parent.parent / "docs"
MADE = "<!-- made by bench/reference.py -->\n"

SETTINGS = """# Settings

The server reads `server.toml`, the client `client.toml`: the first that is there in `$DMC_HOME` (if set, there alone), `~/.config/dmc`,
`/etc/dmc`. A value in the environment (`DMC_SERVER__LISTEN_ON_PORT=9000`, nested: `DMC_SERVER__LIMITS__STALL_S=60`; lists and tables as
TOML) beats the file, and an option on the command line beats both. An unknown key is refused, with what was probably meant.

    dmc config check               # reads both files and says what is wrong
    dmc config show --origin       # every value, and where it comes from

The files with comments: [config/server.toml](../config/server.toml), [config/client.toml](../config/client.toml).
Changes count from the next start.
"""

CLI = """# Commands

`--help` says the same. Before the command: `-q` says nothing but data and errors, `-v` says more, `-vv` shows tracebacks.
Exit codes and JSON: [scripting.md](scripting.md).
"""


def settings_page() -> str:
    """docs/settings.md."""
    parts = [SETTINGS + MADE]
    for title, model in (("server.toml", ServerSettings), ("client.toml", ClientSettings)):
        parts.append(f"## {title}\n")
        parts.extend(_tables(model, ""))
    return "\n".join(parts)


def _tables(model: type[BaseModel], name: str) -> list[str]:
    """The table of a model, then those of the models in it."""
    head = [f"### `{name}`\n"] if name else []
    lines = ["| key | takes | default | |", "|---|---|---|---|"]
    inner: list[str] = []
    for key, field in model.model_fields.items():
        held = next(iter(_models(field.annotation)), None)
        if held is not None:
            many = get_origin(field.annotation) is tuple
            inner += _tables(held, f"[[{key}]]" if many else f"[{key}]")
            if not many:
                continue
        lines.append(f"| `{key}` | {_taken(field.annotation)} | {_default(field)} | {field.description} |")
    return [*head, "\n".join(lines) + "\n", *inner]


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for each in get_args(annotation) for found in _models(each)]


_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path", type(None): "", Any: "anything"}


def _taken(annotation: Any) -> str:
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{each}`" for each in inside)
    if origin is typing.Annotated:
        return _taken(inside[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(filter(None, map(_taken, inside)))
    if origin is tuple:
        return f"list of {_taken(inside[0])}"
    if origin is dict:
        return "table"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "tables"
    if isinstance(annotation, type) and hasattr(annotation, "__members__"):
        return "/".join(f"`{each.value}`" for each in annotation)
    return _WORDS[annotation]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None:
        return ""
    if isinstance(value, Path):
        return f"`{value}`".replace(str(state_home()), "~/.local/state/dmc")
    return f"`{json.dumps(value)}`"


def cli_page() -> str:
    """docs/cli.md."""
    return CLI + MADE + "".join(f"\n{section}" for section in _sections(typer.main.get_command(app), "dmc"))


def _sections(group: Any, prefix: str) -> list[str]:
    found: list[str] = []
    for name, command in group.commands.items():
        if getattr(command, "commands", None):
            found += _sections(command, f"{prefix} {name}")
        else:
            found.append(_section(command, f"{prefix} {name}"))
    return found


def _section(command: Any, name: str) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    named = [(p.name.upper() + ("…" if p.nargs != 1 else ""), p.required) for p in arguments]
    usage = " ".join(name if needed else f"[{name}]" for name, needed in named)
    said, _, example = " ".join(command.help.split()).partition("Example: ")
    lines = [f"## {name}\n", f"{said.strip()}\n", f"    {example}\n"]
    rows = [f"| `{p.name.upper()}` | {p.help} |" for p in arguments]
    rows += [f"| {_spelled(p)} | {p.help} |" for p in command.params if p.param_type_name == "option" and p.name != "help"]
    if usage:
        lines.append(f"Takes: `{usage}`\n")
    if rows:
        lines.append("\n".join(["| | |", "|---|---|", *rows]) + "\n")
    return "\n".join(lines)


def _spelled(option: Any) -> str:
    return ", ".join(f"`{each}`" for each in [*option.opts, *option.secondary_opts])


PAGES = {"settings.md": settings_page, "cli.md": cli_page}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check, wrong = parser.parse_args().check, 0
    for name, made in PAGES.items():
        file = DOCS / name
        if check:
            wrong |= not file.exists() or file.read_text() != made()
        else:
            file.write_text(made())
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
