"""`dmc doctor`: what is wrong with this machine for dmc, why that matters, and the line that mends it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dmc.cli.render import Json, Screen, screen_of

if TYPE_CHECKING:
    from dmc.cli.finding import Check

Bundle = Annotated[
    Path | None,
    typer.Option("--bundle", metavar="FILE", help="Also write what helps to help you: no names, no paths, no secrets.", dir_okay=False),
]


def register(app: typer.Typer) -> None:
    """Add the command to the front door."""
    app.command()(doctor)


def doctor(
    context: typer.Context,
    as_json: Json = False,
    strict: Annotated[bool, typer.Option("--strict", help="Count warnings as failures.")] = False,
    bundle: Bundle = None,
) -> None:
    """Check this machine, and say how to mend what is wrong; exit code 1 if something is. Example: dmc doctor --bundle help.json"""
    from dmc.cli.checks import examine

    screen = screen_of(context)
    checks = examine()
    bad = [check for check in checks if check.state == "bad" or (strict and check.state == "warn")]
    if as_json:
        content = [{"name": c.name, "state": c.state, "message": c.message, "fix": c.fix, "why": c.why} for c in checks]
        screen.document("doctor", {"ok": not bad, "checks": content})
    else:
        _show(screen, checks)
    if bundle is not None:
        from dmc.cli.bundle import bundle_of
        from dmc.files import RealDisk, write_durably

        text = json.dumps({"schema": "dmc.support/1", **bundle_of(checks)}, indent=1) + "\n"
        write_durably(RealDisk(), bundle, text.encode())
        screen.say(f"written: {bundle}. Look at it before you hand it on; names, paths and secrets are left out.")
    raise typer.Exit(1 if bad else 0)


def _show(screen: Screen, checks: "list[Check]") -> None:
    """What is wrong first and whole; what is well in one line each."""
    for state in ("bad", "warn", "ok"):
        for check in checks:
            if check.state == state:
                screen.paragraph(f"{state:>4}  {check.name}: {check.message}", 6)
                if check.why and state != "ok":
                    screen.paragraph(f"      {check.why}", 6)
                if check.fix:
                    screen.data(f"      mend: {check.fix}")  # Never broken: it is there to be copied.
    counts = {state: sum(check.state == state for check in checks) for state in ("bad", "warn")}
    if not any(counts.values()):
        screen.say("all is well.")
