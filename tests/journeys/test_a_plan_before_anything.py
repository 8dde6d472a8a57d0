"""`dmc plan` over a folder: what it says comes true about as said, and it leaves no trace."""

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.convert.clips import clip, song
from tests.journeys.household import Household, household, wait_for

OWN_TYPE = '[conversion_types.tiny]\nbase = "h265"\ncrf = 40'


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    with household(tmp_path_factory.mktemp("home"), server_settings=OWN_TYPE) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with media of several ends, and a place of its own for temporary files."""
    (tmp_path / "temp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temp"))
    made = tmp_path / "films"
    (made / "sub").mkdir(parents=True)
    clip(made / "sub" / "fat.mp4", codec="mjpeg", pix_fmt="yuvj420p", sound=(), seconds=2)
    clip(made / "fit.mkv", codec="libx265", sound=())
    song(made / "lean.mp3", "libmp3lame", layout="mono", rate=16000)
    (made / "broken.mp4").write_bytes(b"no film at all")
    (made / "notes.txt").write_text("not media")
    return made


def _tree(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Every path with its time, mode and content."""
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_mode, hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "")
        for path in sorted([folder, *folder.rglob("*")])
    }


def test_a_plan_tells_every_end_and_touches_nothing(house: Household, folder: Path, tmp_path: Path) -> None:
    before, at_home = _tree(folder), _tree(house.home)
    said = json.loads(house.dmc("plan", str(folder), "--json"))
    assert said["schema"] == "dmc.plan/1"
    ends = {Path(one["file"]).name: one for one in said["files"]}
    assert {name: one["outcome"] for name, one in ends.items()} == {
        "fat.mp4": "convert",
        "fit.mkv": "skip",
        "lean.mp3": "kept-original",
        "broken.mp4": "refuse",
    }
    assert all(one["reason"] for one in said["files"]) and said["files"][0]["file"].endswith("fat.mp4"), "the largest gain comes first"
    assert (said["total"]["files"], said["total"]["gain"]) == (4, ends["fat.mp4"]["gain"])
    assert _tree(folder) == before and _tree(house.home) == at_home
    assert list((tmp_path / "temp").iterdir()) == []
    (tmp_path / "out").mkdir()
    house.dmc("convert", str(folder / "sub" / "fat.mp4"), "-o", str(tmp_path / "out"))
    really = next((tmp_path / "out").iterdir()).stat().st_size
    assert really / 1.5 < ends["fat.mp4"]["expected"]["size"] < really * 1.5


def test_a_plan_for_one_type_leaves_other_media_out_and_knows_own_types(house: Household, folder: Path) -> None:
    done = house.run("plan", str(folder), "--to", "tiny", "--no-samples")
    assert done.returncode == 0 and "1 files are of another medium" in done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 4 and lines[-1].startswith("3 files") and "not tried" in lines[-1]
    assert "2: " not in house.dmc("plan", str(folder), "--no-samples")
    assert "0: video mjpeg: encode: mjpeg becomes H.265" in house.dmc("plan", str(folder), "--no-samples", "-v")
    wrong = house.run("plan", str(folder), "--to", "tinny")
    assert wrong.returncode == 2 and "Did you mean 'tiny'?" in wrong.stderr


def test_ctrl_c_ends_a_plan_without_a_trace(house: Household, tmp_path: Path, folder: Path) -> None:
    clip(folder / "long.mp4", size=(640, 360), seconds=8)
    for number in range(20):
        (folder / f"again-{number}.mp4").hardlink_to(folder / "long.mp4")
    command = [sys.executable, "-m", "dmc", "plan", str(folder), "--to", "av1"]
    with subprocess.Popen(command, env=house.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        wait_for("a worker's room", lambda: list((tmp_path / "temp").glob("dmc-plan-*/*/out")))
        process.send_signal(signal.SIGINT)
        _, talk = process.communicate(timeout=60)
    assert process.returncode == 130 and b"Traceback" not in talk
    assert list((tmp_path / "temp").iterdir()) == []


def test_a_servers_own_type_is_usable_from_the_client(tmp_path: Path, folder: Path) -> None:
    with household(tmp_path / "home", server_settings=OWN_TYPE) as house:  # The other one is of those whom no server disturbs.
        house.start_server()
        _use_the_own_type(house, folder)


def _use_the_own_type(house: Household, folder: Path) -> None:
    told = json.loads(house.dmc("types", "--server", f"127.0.0.1:{house.port}", "--json"))["types"]
    tiny = next(kind for kind in told if kind["name"] == "tiny")
    assert tiny["base"] == "h265" and next(option for option in tiny["options"] if option["name"] == "crf")["default"] == 40
    film = str(folder / "sub" / "fat.mp4")
    *_, last = house.dmc("add", film, "--to", "tiny", "--wait", "--json").splitlines()
    record = json.loads(last)["record"]
    assert (record["status"], record["conversion_type"]) == ("finished_successful", "tiny")
    wrong = house.run("add", film, "--to", "tinny", "--wait")
    assert wrong.returncode != 0 and "Did you mean 'tiny'?" in wrong.stderr + wrong.stdout
    assert house.run("types", "--server", "elsewhere").returncode == 5
