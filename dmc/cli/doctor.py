"""`dmc doctor`: what is wrong with this machine for dmc, and the line that mends it."""

from typing import Annotated

import typer

from dmc.cli.render import Json, screen_of


def register(app: typer.Typer) -> None:
    """Add the command to the front door."""
    app.command()(doctor)


def doctor(
    context: typer.Context,
    as_json: Json = False,
    strict: Annotated[bool, typer.Option("--strict", help="Count warnings as failures.")] = False,
) -> None:
    """Check this machine, and say how to mend what is wrong. Example: dmc doctor"""
    from dmc.cli.checks import examine

    screen = screen_of(context)
    checks = examine()
    bad = [check for check in checks if check.state == "bad" or (strict and check.state == "warn")]
    if as_json:
        content = [{"name": c.name, "state": c.state, "message": c.message, "fix": c.fix} for c in checks]
        screen.document("doctor", {"ok": not bad, "checks": content})
    else:
        for check in checks:
            screen.data(f"{check.state:>4}  {check.name}: {check.message}")
            if check.fix:
                screen.data(f"        mend: {check.fix}")
    raise typer.Exit(1 if bad else 0)
