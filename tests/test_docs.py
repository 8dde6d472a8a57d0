"""README, docs, help and code say the same."""

import importlib.util
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main

from dmc.cli.main import app
from dmc.client_settings import ClientSettings
from dmc.conversions import CONVERSION_TYPES
from dmc.server.calls import CALLS
from dmc.server_settings import ServerSettings
from tests.server.conftest import House

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


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


# --- What the documents name is there ---


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "bench" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _blocks(page: str) -> list[str]:
    """Indented and fenced blocks of code, as text."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", page, re.M | re.S)
    rest = re.sub(r"^```.*?^```", "", page, flags=re.M | re.S)
    return fenced + [re.sub(r"^    ", "", block, flags=re.M) for block in re.findall(r"(?:(?<=\n\n)|\A)((?:    .*\n|\n(?=    ))+)", rest)]


def _spans(page: str) -> list[str]:
    """What stands between backticks in running text."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", page, flags=re.M | re.S))


def _command_lines(page: str) -> Iterator[str]:
    for text in [*_spans(page), *(line for block in _blocks(page) for line in block.splitlines())]:
        for found in re.findall(r"(?:^|[$&|(] ?|sudo (?:-u dmc )?)dmc ([a-z-][^#|>;&)]*)", text):
            yield found.strip()


def _complaint(line: str) -> str:
    """What is wrong with a command line; nothing if its command and options are there."""
    words = shlex.split(line.replace("\u2026", "").replace("'", ""))
    group: Any = typer.main.get_command(app)
    while words and words[0].startswith("-"):
        if words.pop(0) not in {o for p in group.params for o in p.opts} | {"--help", "-h", "-vv"}:
            return "no such option before the command"
    command = group
    while words and getattr(command, "commands", None) and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    if command is group and words:
        return "no such command"
    if getattr(command, "commands", None) and words and words[0].islower():
        return f"no command {words[0]}"
    known = {option for parameter in getattr(command, "params", []) for option in [*parameter.opts, *parameter.secondary_opts]}
    for word in words:
        if word.startswith("-") and word.partition("=")[0] not in known | {"--help", "-h"}:
            return f"no option {word}"
    return ""


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_every_command_line_in_the_documents_parses(file: Path) -> None:
    wrong = {line: told for line in _command_lines(file.read_text()) if (told := _complaint(line))}
    assert wrong == {}


def test_every_example_in_the_help_parses() -> None:
    examples = {name: " ".join(command.help.split()).partition("Example: dmc ")[2] for name, command in COMMANDS.items()}
    assert {name: told for name, line in examples.items() if (told := _complaint(re.split(r" [>|] ", line)[0]))} == {}


def test_a_command_that_is_not_there_is_seen() -> None:
    assert [_complaint(line) for line in ("servre run", "server walk", "add x --too h265", "--loud add")] == [
        "no such command",
        "no command walk",
        "no option --too",
        "no such option before the command",
    ]
    page = "Try `dmc add x | cat`.\n\n    sudo dmc doctor   # looks\n    y=$(dmc types)\n"
    assert list(_command_lines(page)) == ["add x", "doctor", "types"]


def _keys(model: Any) -> set[str]:
    found: set[str] = set()
    for key, field in model.model_fields.items():
        found.add(key)
        inner = re.findall(r"dmc\.\w+\.(\w+)", repr(field.annotation))
        for name in inner:
            module = __import__(model.__module__, fromlist=[name])
            kind = getattr(module, name, None)
            if hasattr(kind, "model_fields"):
                found |= _keys(kind)
    return found


KEYS = _keys(ServerSettings) | _keys(ClientSettings)


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_settings_in_the_documents_are_settings(file: Path) -> None:
    page = file.read_text()
    named = set(re.findall(r"`([a-z]\w+) = ", page))
    for block in _blocks(page):
        if re.match(r"\[|[a-z_]+ = ", block):
            try:
                told = tomllib.loads(block)
            except tomllib.TOMLDecodeError:
                continue
            named |= _named(told)
    assert named - KEYS == set()


def _named(told: Any) -> set[str]:
    """Keys of a settings example, in tables too; what stands below conversion_types is the user's own."""
    if isinstance(told, list):
        return {key for each in told for key in _named(each)}
    if not isinstance(told, dict):
        return set()
    return {key for name, value in told.items() for key in {name} | (_named(value) if name != "conversion_types" else set())}


def test_paths_of_the_api_in_the_documents_are_routes(tmp_path: Path) -> None:
    calls = House(tmp_path / "data").make().make_app()[CALLS]
    routes = [re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))) for _, path in calls]
    for file in PAGES:
        for path in re.findall(r"(?<![\w.-])(/(?:api/[\w/{}.-]*|livez|readyz|metrics))", file.read_text()):
            plain = path.rstrip(".")
            known = any(route.fullmatch(plain.rstrip("/") or "/") or route.fullmatch(plain) for route in routes)
            assert known or plain in ("/api/v1", "/api/"), f"{file.name}: {path}"


def test_files_that_the_documents_name_are_there() -> None:
    for file in PAGES:
        text = re.sub(r"https?://\S+", "", file.read_text())
        for name in re.findall(r"(?<![\w/.~<>-])((?:install|config|bench|tests|docs|dmc)/[\w./-]+)", text):
            plain = name.rstrip("./")
            assert (ROOT / plain).exists() or ("dmc/" in plain and not plain.endswith(".py")), f"{file.name}: {name}"


def test_metrics_in_the_alerts_and_in_other_pages_stand_in_the_table_of_operation() -> None:
    """That the table is what the server tells is held by tests/server/test_stock.py."""
    shown = set(re.findall(r"^\| `(dmc_\w+)` \|", (ROOT / "docs/operation.md").read_text(), re.M))
    for file in (ROOT / "install/prometheus/alerts.yml", *PAGES):
        found = re.findall(
            r"\bdmc_[a-z_]*(?:_total|_seconds|_bytes|_sessions|_clients|_info)\b|\bdmc_(?:items|clients)\b", file.read_text()
        )
        assert set(found) <= shown, file.name


def test_every_error_code_is_explained_once_and_no_other_is() -> None:
    codes = _script("codes")
    told = codes.told(codes.PAGE.read_text())
    assert len(told) == len(set(told))
    assert set(told) == codes.codes(), "each code has one row in docs/troubleshooting.md; bench/codes.py prints them"


@pytest.mark.parametrize("name", ["settings.md", "cli.md"])
def test_the_reference_is_what_the_code_says(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == _script("reference").PAGES[name](), "run: .venv/bin/python bench/reference.py"


def test_the_readme_leads_to_the_documents_and_they_to_each_page() -> None:
    assert "docs/index.md" in (ROOT / "README.md").read_text()
    index = (ROOT / "docs/index.md").read_text()
    for file in (ROOT / "docs").glob("*.md"):
        assert file.name == "index.md" or f"({file.name})" in index, file.name


def test_the_first_screen_of_the_readme_says_what_and_how() -> None:
    first = (ROOT / "README.md").read_text().splitlines()[:40]
    for words in ("install/try", "install/test", "converted", "docs/index.md"):
        assert any(words in line for line in first), words


def test_options_of_the_install_scripts_in_the_documents_are_theirs() -> None:
    shared = (ROOT / "install/service.sh").read_text()
    seen = 0
    for file in PAGES:
        for script, words in re.findall(r"install/(server|client|uninstall|test|try)((?: [\w/.-]+)+)", file.read_text()):
            known = (ROOT / "install" / script).read_text() + (shared if script in ("server", "client", "uninstall") else "")
            for option in re.findall(r" (--[\w-]+)", words):
                seen += 1
                assert option in known, f"{file.name}: install/{script} {option}"
    assert seen > 5
