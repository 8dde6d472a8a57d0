"""How soon a source that would gain nothing is left alone, as a share of encoding all of it.

    .venv/bin/python bench/no_gain.py [FILE] [--to h265]

Converts FILE once as everybody does, and once with `keep_if_larger`, which encodes to the end, start of the program included. The share
of both in time of processors, which others on the machine do not change, beside it in time on the wall, and the reason that the receipt
gives. Without FILE a lean one is made: a minute of the clip of convert.py in thin H.264 (needs imageio-ffmpeg).
Ends with 1 if the first cost a tenth of the second or more.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
MOST = 0.10


class Run(NamedTuple):
    """One conversion in a process of its own: seconds on the wall, seconds of processors, and how it ended."""

    wall: float
    cpu: float
    said: str


def run(file: Path, kind: str, *more: str) -> Run:
    """Convert `file` and throw the result away."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "dmc", "convert", str(file), "--to", kind, "-o", out, "--json", *more]
        start, before = time.monotonic(), cpu_of_children()
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        said = json.loads(done.stdout.splitlines()[-1])
        return Run(time.monotonic() - start, cpu_of_children() - before, f"{said['kind']}: {said['reason'] or 'no reason'}")


def cpu_of_children() -> float:
    """Seconds that all processes have used that were begun here and have ended, with those that these began."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def lean(folder: Path) -> Path:
    """A minute of H.264 so thin that H.265 of usual quality would only make it larger."""
    from convert import CANDIDATES
    from imageio_ffmpeg import get_ffmpeg_exe

    clip, source = folder / "lean.mkv", next(c for c in CANDIDATES if c.exists())
    command = [get_ffmpeg_exe(), "-v", "error", "-stream_loop", "-1", "-i", str(source), "-t", "60", "-map", "0:v:0", "-c:v", "libx264"]
    subprocess.run([*command, "-preset", "slow", "-crf", "40", str(clip)], check=True)
    return clip


def main() -> None:
    """Print both times and their share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--to", default="h265")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(asked.file.resolve() if asked.file else lean(Path(folder)), asked.to)


def compare(file: Path, kind: str) -> None:
    """Both times of one file; ends the process."""
    gated = run(file, kind)
    print(f"as everybody:   {gated.cpu:7.1f} s cpu {gated.wall:7.1f} s wall  {gated.said}", flush=True)
    whole = run(file, kind, "--set", "keep_if_larger=true")
    print(f"to the end:     {whole.cpu:7.1f} s cpu {whole.wall:7.1f} s wall  {whole.said}")
    share, on_the_wall = gated.cpu / whole.cpu, gated.wall / whole.wall
    print(f"share:          {100 * share:7.1f} % cpu {100 * on_the_wall:7.1f} % wall  (at most {100 * MOST:.0f} % cpu)")
    sys.exit(0 if share < MOST else 1)


if __name__ == "__main__":
    main()
