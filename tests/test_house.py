"""The rules of the house that import-linter cannot tell."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "dmc").rglob("*.py"))
TEXT_FILES = [p for p in ROOT.rglob("*") if p.suffix in {".py", ".md", ".toml", ".sh", ".js", ".css", ".html"} and ".venv" not in p.parts]


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_init_files_hold_a_docstring_and_nothing_else() -> None:
    for path in MODULES:
        if path.name == "__init__.py" and path.parent.name != "dmc":
            body = ast.parse(path.read_text()).body
            assert len(body) == 1 and isinstance(body[0], ast.Expr), _name(path)


def test_every_module_says_what_it_owns() -> None:
    for path in MODULES:
        assert ast.get_docstring(ast.parse(path.read_text())), f"{_name(path)} has no docstring"


def test_environment_variables_are_read_in_config_only() -> None:
    for path in MODULES:
        if _name(path) in ("dmc/config.py", "dmc/homes.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            used = isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"}
            assert not used, f"{_name(path)} reads the environment"


def test_watchdog_is_known_to_one_file() -> None:
    users = [_name(p) for p in MODULES if re.search(r"^\s*(from|import) watchdog", p.read_text(), re.M)]
    assert users == ["dmc/client/watch.py"]


def test_functions_and_files_stay_short() -> None:
    for path in MODULES:
        text = path.read_text()
        assert len(text.splitlines()) <= 300, f"{_name(path)} has more than 300 lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, f"{_name(path)}: {node.name} has more than 60 lines"


def test_broad_excepts_stand_in_the_last_defences_only() -> None:
    allowed = {
        "dmc/broker/broker.py",
        "dmc/convert/worker.py",
        "dmc/convert/apart.py",
        "dmc/convert/forkserver.py",
        "dmc/client/sync.py",
        "dmc/cli/main.py",
        "dmc/server/middleware.py",
    }
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ExceptHandler) or any(isinstance(n, ast.Raise) for n in ast.walk(node)):
                continue
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            broad = any(k is None or (isinstance(k, ast.Name) and k.id in {"Exception", "BaseException"}) for k in kinds)
            assert not broad or _name(path) in allowed, f"{_name(path)}:{node.lineno}"


@pytest.mark.parametrize("command", [["--help"], ["server", "--help"], ["up", "--help"], ["types"]])
def test_help_loads_no_room(command: list[str]) -> None:
    code = """
import sys
from dmc.cli.main import run
run(sys.argv[1:])
heavy = {"av", "aiohttp", "PIL", "rich", "watchdog"}
rooms = ("dmc.server", "dmc.client", "dmc.broker", "dmc.convert", "dmc.assemble", "dmc.items", "dmc.jobs", "dmc.protocol")
sys.stderr.write(repr(sorted(m for m in sys.modules if m.split(".")[0] in heavy or ".".join(m.split(".")[:2]) in rooms)))
"""
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True)
    assert done.stderr == "[]"
    assert done.stdout


def test_nothing_names_a_machine_or_a_package_host() -> None:
    here = re.escape(f"{ROOT.parent.as_posix().rstrip('/')}/{ROOT.name}/")
    foreign = re.compile(rf"{here}|/home/\w+/|index-url|find-links|trusted-host|registry *= *.?https?:")
    for path in TEXT_FILES:
        if path == Path(__file__) or path.parent.name == "vendor":  # Whatever others wrote, it is listed with its digest.
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            assert not foreign.search(line), f"{_name(path)}:{number}: {line.strip()[:80]}"
