"""What `--json` prints keeps its shape: keys and types of every document stand in golden/, and every command with --json has one.

A key may be added; then the file in golden/ is made anew from what the failing test left beside it. A key that goes or changes its
type wants a new number in the schema.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from dmc.assemble.server import open_ledger
from dmc.broker.ledger import Put
from dmc.broker.storage_dirs import StorageDirs
from dmc.broker.wishes import trash
from dmc.cli.main import app, run
from dmc.clock import SystemClock
from dmc.files import RealDisk
from dmc.items import Status
from dmc.server_settings import ServerSettings
from tests.broker.fakes import an_item
from tests.journeys.household import Household, household, tone

GOLDEN = Path(__file__).parent / "golden"


def shape(value: Any) -> Any:
    """Keys and types of a document; those of all elements of a list together."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in sorted(value.items())}
    if isinstance(value, list):
        found: Any = None
        for inner in value:
            found = shape(inner) if found is None else together(found, shape(inner))
        return [] if found is None else [found]
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    return "string" if isinstance(value, str) else "number"


def together(one: Any, other: Any) -> Any:
    """One shape for two values at the same place."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: together(one.get(key, "absent"), other.get(key, "absent")) for key in sorted({*one, *other})}
    if isinstance(one, list) and isinstance(other, list):
        return [together(one[0], other[0])] if one and other else one or other
    if one == other:
        return one
    if not isinstance(one, str) or not isinstance(other, str):
        return one if isinstance(other, str) else other
    return "|".join(sorted({*one.split("|"), *other.split("|")}))


def misfit(found: Any, golden: Any, at: str = "") -> str | None:
    """Where a document is not of the shape that was promised; None if it is. What holds something may be null or empty."""
    if isinstance(golden, dict) and isinstance(found, dict):
        if set(found) - set(golden) or any("absent" not in golden[key] for key in set(golden) - set(found)):
            return f"{at}: {sorted(set(found) ^ set(golden))}"
        return next((wrong for key in found if (wrong := misfit(found[key], golden[key], f"{at}.{key}"))), None)
    if isinstance(golden, list) and isinstance(found, list):
        return misfit(found[0], golden[0], f"{at}[]") if found and golden else None
    if isinstance(found, str) and (isinstance(golden, dict | list) or set(found.split("|")) <= set(golden.split("|"))):
        return None if isinstance(golden, str) or found in ("null", "absent") else at
    return at


def commands(group: Any, prefix: str = "") -> dict[str, Any]:
    """Every command by its words."""
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        found |= commands(command, f"{prefix}{name} ") if inner else {f"{prefix}{name}": command}
    return found


COMMANDS = commands(typer.main.get_command(app))


class Scene:
    """A household with something of everything in it, and the places that commands are asked about."""

    def __init__(self, house: Household, place: Path) -> None:
        self.house, self.place = house, place
        (place / "talk.wav").write_bytes(tone(1))
        (place / "more.wav").write_bytes(tone(1))
        (place / "units").mkdir()
        (place / "inbox").mkdir()
        shutil.copy(place / "talk.wav", place / "inbox" / "talk.wav")
        house.dmc("server", "folder", "add", str(place), "--units", str(place / "units"))
        record = json.loads(house.dmc("add", str(place / "talk.wav"), "--to", "opus", "--wait", "--json").splitlines()[-1])["record"]
        self.item = record["item_id"]
        self.off = ["--data-folder", str(place / "off"), "--dry-run"]
        self.trashed = self._with_something_in_the_trash(place / "off")

    def _with_something_in_the_trash(self, data: Path) -> str:
        """Make a data folder that no server runs on, with a folder of nobody in it; the id of its only item, which somebody deleted."""
        settings, item = ServerSettings(data_folder=data), an_item()
        data.mkdir()
        StorageDirs(data, RealDisk()).prepare()
        ledger = open_ledger(settings, recover=True)
        failed = item.changed(status=Status.FINISHED_WITH_ERRORS)
        ledger.change([Put(item, 0)])
        ledger.change([Put(failed, 1)])
        trash(ledger, SystemClock(), item.item_id)
        ledger.close()
        (data / "to_do" / "of nobody").mkdir()
        return item.item_id

    def backup(self) -> str:
        """A backup of the household's server."""
        file = str(self.place / "kept.tar.gz")
        self.house.dmc("backup", file)
        return file


CASES: dict[str, Callable[[Scene], list[str]]] = {
    "convert": lambda s: [str(s.place / "talk.wav"), "--to", "opus", "-o", str(s.place / "inbox")],
    "probe": lambda s: [str(s.place / "talk.wav")],
    "types": lambda s: [],
    "plan": lambda s: [str(s.place / "talk.wav"), "--no-samples"],
    "add": lambda s: [str(s.place / "talk.wav"), "--to", "opus"],
    "status": lambda s: [],
    "receipt": lambda s: [s.item],
    "download": lambda s: [s.item, "-o", str(s.place)],
    "doctor": lambda s: [],
    "server ping": lambda s: [],
    "server token create": lambda s: ["golden"],
    "server token list": lambda s: [],
    "server folder list": lambda s: ["--units", str(s.place / "units")],
    "broker add": lambda s: [str(s.place / "more.wav"), "--to", "mp3"],
    "broker list": lambda s: ["--status", "finished_successful", "--limit", "1"],
    "broker verify": lambda s: ["--quick"],
    "broker pause": lambda s: ["--dry-run"],
    "broker drain": lambda s: ["--dry-run"],
    "broker resume": lambda s: ["--dry-run"],
    "client sync": lambda s: [],
    "client folder list": lambda s: [],
    "client folder test": lambda s: [str(s.place / "inbox")],
    "config show": lambda s: ["--origin"],
    "config check": lambda s: [],
    "config path": lambda s: [],
    "backup": lambda s: [str(s.place / "backup.tar.gz")],
    "broker trash list": lambda s: [],
    "broker previews": lambda s: ["--dry-run"],
    "client trash list": lambda s: [],
    "client trash restore": lambda s: ["--all", "--dry-run"],
    "broker trash restore": lambda s: [s.trashed, *s.off],
    "broker trash empty": lambda s: s.off,
    "broker rebuild": lambda s: s.off,
    "broker adopt": lambda s: s.off,
    "broker migrate-ledger": lambda s: ["--to", "sqlite", *s.off],
    "restore": lambda s: [s.backup(), "--data-folder", str(s.place / "new"), "--dry-run"],
}
ELSEWHERE = {"demo": "converts a clip for half a minute: tests of install/try look at it"}
"""Commands whose document is looked at elsewhere, and why."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with household(tmp_path_factory.mktemp("home")) as made:
        made.start_server()
        yield Scene(made, tmp_path_factory.mktemp("place"))


@pytest.fixture
def asked(scene: Scene, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[[str], list[dict[str, Any]]]:
    monkeypatch.setenv("DMC_HOME", str(scene.house.home))

    def ask(name: str) -> list[dict[str, Any]]:
        capfd.readouterr()
        code = run([*name.split(), *CASES[name](scene), "--json"])
        said = capfd.readouterr()
        assert code in (0, 1) and said.out, said.err
        return [json.loads(line) for line in said.out.splitlines()]

    return ask


def test_every_command_with_json_has_a_golden_file_or_a_reason() -> None:
    with_json = {name for name, command in COMMANDS.items() if any("--json" in getattr(p, "opts", ()) for p in command.params)}
    assert with_json == {name for name in {*CASES, *ELSEWHERE} if name in COMMANDS}
    assert {file.stem for file in GOLDEN.glob("*.json")} == {name.replace(" ", "_") for name in CASES if name in COMMANDS}


@pytest.mark.parametrize("name", [name for name in CASES if name in COMMANDS])
def test_a_document_keeps_its_shape(name: str, asked: Callable[[str], list[dict[str, Any]]], tmp_path: Path) -> None:
    documents = asked(name)
    schema = documents[-1]["schema"]
    assert schema.startswith("dmc.") and schema.rpartition("/")[2].isdigit()
    assert {document["schema"] for document in documents} == {schema}
    (found,) = shape(documents)
    found = {**found, "schema": schema}
    if name == "config show":  # Whose keys are those of config/*.toml, which have a test of their own.
        found |= dict.fromkeys(("server", "client", "origins"), "settings")
    golden = GOLDEN / f"{name.replace(' ', '_')}.json"
    made = tmp_path / golden.name
    made.write_text(json.dumps(found, indent=1) + "\n")
    assert golden.exists() and misfit(found, json.loads(golden.read_text())) is None, f"if that is meant: cp {made} {golden}"


def test_a_stream_is_one_object_per_line_and_ends_with_how_things_stand(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DMC_HOME", str(scene.house.home))
    (scene.place / "stream.wav").write_bytes(tone(1))
    capfd.readouterr()
    assert run(["add", str(scene.place / "stream.wav"), "--to", "opus", "--wait", "--json"]) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert len(lines) > 1 and {line["schema"] for line in lines} == {"dmc.record/1"}
    assert lines[-1]["record"]["status"] == "finished_successful"
    assert run(["status", "--watch", lines[-1]["record"]["id"], "--json"]) == 0
    assert {json.loads(line)["schema"] for line in capfd.readouterr().out.splitlines()} == {"dmc.record/1"}


READS = {
    *("types", "probe", "plan", "status", "receipt", "doctor", "completion", "config show", "config check", "config path"),
    *("server ping", "server token list", "server folder list", "broker list", "broker verify", "client folder list"),
    *("client folder test", "broker trash list", "client trash list"),
}
STAYS = {"up", "demo", "server run", "broker run", "client run", "client sync"}
"""What runs dmc itself: what it will do is what `dmc plan` and `dmc client folder test` tell."""


def test_every_command_that_writes_can_be_tried_without_writing() -> None:
    with_dry_run = {name for name, command in COMMANDS.items() if any("--dry-run" in getattr(p, "opts", ()) for p in command.params)}
    assert set(COMMANDS) - with_dry_run == (READS | STAYS) & set(COMMANDS)


def test_with_json_an_error_is_one_object_on_stderr_and_stdout_stays_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DMC_HOME", str(tmp_path))
    for arguments in (["receipt", "ffff"], ["add", "none.mp4"], ["types", "--jsno"], ["broker", "list", "--status", "todo"], ["typse"]):
        assert run([*arguments, "--json"]) != 0
        said = capfd.readouterr()
        assert said.out == "" and {"code", "message", "hint"} <= set(json.loads(said.err)["error"]), arguments


def test_shapes_of_many_are_told_together() -> None:
    assert shape([{"a": 1}, {"a": None, "b": []}]) == [{"a": "null|number", "b": []}]
    assert shape({"x": [True, "y"]}) == {"x": ["boolean|string"]}


def test_a_key_that_goes_comes_or_changes_its_type_is_a_misfit() -> None:
    golden = {"a": "number", "b": ["string"], "c": "absent|string", "d": {"e": "null|string"}}
    assert misfit({"a": "number", "b": [], "d": {"e": "null"}}, golden) is None
    assert misfit({"a": "number", "b": ["string"], "c": "string", "d": "null"}, golden) is None
    for wrong in (
        {"b": [], "d": "null"},
        {**golden, "x": "null"},
        {**golden, "a": "string"},
        {**golden, "b": ["number"]},
        {**golden, "d": {}},
    ):
        assert misfit(wrong, golden) is not None, wrong
