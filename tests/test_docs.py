"""README, help and code say the same."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from dmc.cli.main import app
from dmc.conversions import CONVERSION_TYPES

ROOT = Path(__file__).parent.parent


def _commands(group: Any, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        found |= _commands(command, f"{prefix}{name} ") if inner else {f"{prefix}{name}": command}
    return found


COMMANDS = _commands(typer.main.get_command(app))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_with_an_example_that_names_it(name: str) -> None:
    words = COMMANDS[name].help
    assert words and f"Example: dmc {name}" in words.replace("\n", " ")
    for parameter in COMMANDS[name].params:
        assert getattr(parameter, "help", "") or parameter.name == "help", f"{name}: {parameter.name} has no help"


def test_every_command_in_the_readme_is_one() -> None:
    readme = (ROOT / "README.md").read_text()
    for line in re.findall(r"^    dmc (.+?)(?:\s+#.*)?$", readme, re.M):
        words = line.split()
        known = words[0] in COMMANDS or " ".join(words[:2]) in COMMANDS or " ".join(words[:3]) in COMMANDS
        assert known, f"README: dmc {line}"


def test_types_that_docs_name_are_types() -> None:
    for file in (ROOT / "README.md", ROOT / "CHANGELOG.md"):
        for name in re.findall(r"--to (\w+)", file.read_text()):
            assert name in CONVERSION_TYPES or name == "TYPE"


def test_links_in_the_documents_lead_somewhere() -> None:
    for file in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", file.read_text()):
            if not target.startswith("http"):
                assert (file.parent / target).exists(), f"{file.name}: {target}"


def test_the_sample_is_the_one_that_was_listed() -> None:
    import hashlib

    sample = ROOT / "dmc/sample/nasa.mp4"
    listed = re.search(r"SHA-256 \| ([0-9a-f]{64})", (ROOT / "dmc/sample/README.md").read_text())
    assert listed and hashlib.sha256(sample.read_bytes()).hexdigest() == listed.group(1)
    assert sample.stat().st_size < 1_000_000
