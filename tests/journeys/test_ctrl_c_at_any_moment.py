"""Ctrl-C at any moment of `dmc plan` and `dmc convert`: they end with 130 and without a word, and leave nothing behind."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.convert.clips import clip
from tests.journeys.household import wait_for

_BEGIN = """
import os, sys
line = int(sys.argv.pop(1))
sys.addaudithook(lambda event, told: event == "import" and told[0] == "dmc.interrupt" and os.write(line, b"!"))
from dmc.__main__ import main
main()
"""
"""Says when `main` is at its first import: before that, a Ctrl-C is the interpreter's own affair."""


class End(NamedTuple):
    """How a command ended, after how many seconds."""

    code: int
    said: bytes
    talk: bytes
    life_s: float


class Stage:
    """A place for commands, with all that they could leave behind."""

    def __init__(self, home: Path) -> None:
        self.film, self.temp, self.results = home / "in" / "film.mp4", home / "temp", home / "out"
        for folder in (self.film.parent, self.temp, self.results):
            folder.mkdir()
        clip(self.film, codec="mjpeg", pix_fmt="yuvj420p", sound=(), seconds=2)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DMC_")}
        checkout = str(Path(__file__).parents[2])
        self.environment = {**kept, "DMC_HOME": str(home), "TMPDIR": str(self.temp), "PYTHONPATH": checkout}

    def arguments(self, command: str) -> list[str]:
        more = ["-o", str(self.results)] if command == "convert" else []
        return ["--quiet", command, str(self.film), "--to", "h265", *more]

    def run(self, command: str, interrupt_after_s: float | None = None) -> End:
        """Run a command, with a Ctrl-C that long after it began."""
        ours, theirs = os.pipe()
        line = [sys.executable, "-c", _BEGIN, str(theirs), *self.arguments(command)]
        pipe = subprocess.PIPE
        with subprocess.Popen(line, env=self.environment, stdout=pipe, stderr=pipe, stdin=subprocess.DEVNULL, pass_fds=[theirs]) as process:
            os.close(theirs)
            assert os.read(ours, 1) == b"!"
            os.close(ours)
            began = time.monotonic()
            if interrupt_after_s is not None:
                time.sleep(interrupt_after_s)  # The moment is what is tested.
                process.send_signal(signal.SIGINT)
            said, talk = process.communicate(timeout=90)
        return End(process.returncode, said, talk, time.monotonic() - began)

    def processes(self) -> list[str]:
        """Command lines of whatever was begun here and still runs."""
        found, mark = [], f"TMPDIR={self.temp}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append((folder / "cmdline").read_bytes().decode(errors="replace"))
            except OSError:
                continue  # It ended meanwhile, or is somebody else's.
        return found

    def check(self, command: str, moment_s: float) -> None:
        """Run a command with a Ctrl-C at that moment, and hold it to its word."""
        end = self.run(command, moment_s)
        told = f"Ctrl-C after {1000 * moment_s:.0f} ms: {end}"
        assert end.talk == b"", told
        assert end.code == 130 or (end.said and end.code in (0, -signal.SIGINT)), told
        wait_for(f"the workers to be gone; {told}", lambda: not self.processes())
        assert list(self.temp.iterdir()) == [], told
        left = [path.name for path in self.results.iterdir()]
        assert left == (["film.mkv"] if end.said and command == "convert" else []), told
        for name in left:
            (self.results / name).unlink()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage"))


def _life_s(stage: Stage, command: str) -> float:
    """How long the command lives when nobody interrupts it."""
    end = stage.run(command)
    assert (end.code, end.talk) == (0, b"") and end.said
    shutil.rmtree(stage.results)
    stage.results.mkdir()
    return end.life_s


@pytest.mark.parametrize("command", ["plan", "convert"])
def test_ctrl_c_ends_it_and_leaves_nothing_behind(stage: Stage, command: str) -> None:
    life = _life_s(stage, command)
    for share in (0.0, 0.2, 0.6, 0.9):
        stage.check(command, share * life)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["plan", "convert"])
def test_ctrl_c_at_two_hundred_moments_of_its_life(stage: Stage, command: str) -> None:
    """Every few milliseconds on a quiet machine."""
    step = _life_s(stage, command) * 1.1 / 200
    for number in range(200):
        stage.check(command, number * step)
