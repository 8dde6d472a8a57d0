"""Whole `dmc convert` against the ffmpeg program of the package imageio-ffmpeg: same clip, same encoder settings, sound copied.

    .venv/bin/pip install imageio-ffmpeg
    .venv/bin/python bench/convert.py [--runs 7] [--seconds 30] [CLIP]

Prints the median of alternating runs, start-up included, as ratios dmc / ffmpeg in wall and CPU time, and the share that
dmc spends on verifying, which ffmpeg does not do. Memory is the highest of all
processes together, looked at during the run. dmc's workers are nice, so ffmpeg is made so too: else a busy machine would
decide. CLIP defaults to the 720p recording of the shared media, else the sample.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CANDIDATES = (ROOT.parent / "shared/media/video-h264-aac-720p-hello-talk.mp4", ROOT / "dmc/sample/nasa.mp4")

# What dmc's recipes say, in ffmpeg's words; preset and crf are stated on both sides so that a change of default shows here.
PEERS = {
    "h264": ["-c:v", "libx264", "-preset", "medium", "-crf", "21"],
    "h265": ["-c:v", "libx265", "-preset", "medium", "-crf", "24", "-x265-params", "log-level=none"],
    "vp9": ["-c:v", "libvpx-vp9", "-crf", "32", "-b:v", "0", "-deadline", "good", "-cpu-used", "2", "-row-mt", "1", "-tile-columns", "2"],
    "av1": ["-c:v", "libsvtav1", "-preset", "8", "-crf", "32"],
}


@dataclass(frozen=True)
class Run:
    """Seconds of one run: on the clock, on the processors, and, for dmc, spent on verification; MB of all its processes at their peak."""

    wall: float
    cpu: float
    verify: float = 0.0
    memory: float = 0.0


class Memory:
    """The most that a process and its descendants hold at once, looked at twenty times a second; what they share is counted once (PSS)."""

    def __init__(self, pid: int) -> None:
        self.peak = 0.0
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self.peak = max(self.peak, _held(self._pid))


def _held(pid: int) -> float:
    """MB of a process and its descendants; 0 where it has gone meanwhile."""
    try:
        words = Path(f"/proc/{pid}/smaps_rollup").read_text().split("Pss:")[1].split()
        children = [int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()]
    except (OSError, IndexError):
        return 0.0
    return int(words[0]) / 1024 + sum(_held(child) for child in children)


def measure(command: list[str]) -> Run:
    """Run a command to its end; its children's processor time counts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as done, Memory(done.pid) as memory:
        stdout, stderr = done.communicate()
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\nended with {done.returncode}:\n{stdout}{stderr}")
    verify = json.loads(stdout.splitlines()[-1])["receipt"]["verification"]["took_s"] if "--json" in command else 0.0
    return Run(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, verify, memory.peak)


def make_clip(ffmpeg: str, source: Path, seconds: float, folder: Path) -> Path:
    """`source` repeated to `seconds`, packets untouched, one picture and one sound stream."""
    clip = folder / "clip.mp4"
    command = [ffmpeg, "-v", "error", "-stream_loop", "-1", "-i", str(source), "-t", str(seconds)]
    subprocess.run([*command, "-map", "0:v:0", "-map", "0:a:0?", "-c", "copy", str(clip)], check=True)
    return clip


def compare(kind: str, ffmpeg: str, clip: Path, runs: int) -> tuple[list[Run], list[Run]]:
    """Alternating runs of dmc and ffmpeg, the first pair not counted."""
    ours, theirs = [], []
    for number in range(runs + 1):
        with tempfile.TemporaryDirectory() as out:
            crf = PEERS[kind][PEERS[kind].index("-crf") + 1]
            dmc = [sys.executable, "-m", "dmc", "convert", str(clip), "--to", kind, "-o", out, "--json"]
            container = ["--set", "container=mkv"] if kind == "vp9" else []  # WebM would have the sound encoded.
            a = measure([*dmc, "--set", f"crf={crf}", "--set", "keep_if_larger=true", *container])
            b = measure(
                ["nice", "-n", "10", ffmpeg, "-v", "error", "-i", str(clip), "-map", "0", *PEERS[kind], "-c:a", "copy", f"{out}/peer.mkv"]
            )
        if number:
            ours.append(a)
            theirs.append(b)
    return ours, theirs


def main() -> None:
    """Compare for every peer and print a table."""
    import imageio_ffmpeg

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", nargs="?", type=Path, default=next(c for c in CANDIDATES if c.exists()))
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--types", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--seconds", type=float, default=30.0)
    asked = parser.parse_args()
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    os.environ["PYTHONPATH"] = str(ROOT)
    print(
        f"{asked.clip.name} repeated to {asked.seconds:g} s, {asked.runs} alternating runs, {os.cpu_count()} cores; median (min-max) in s"
    )
    with tempfile.TemporaryDirectory() as folder:
        clip = make_clip(ffmpeg, asked.clip, asked.seconds, Path(folder))
        for kind in asked.types:
            ours, theirs = compare(kind, ffmpeg, clip, asked.runs)
            row = {"type": kind}
            for name, runs in (("dmc", ours), ("ffmpeg", theirs)):
                walls = [r.wall for r in runs]
                row[f"{name}_wall"] = f"{statistics.median(walls):.2f} ({min(walls):.2f}-{max(walls):.2f})"
                row[f"{name}_memory_mb"] = f"{max(r.memory for r in runs):.0f}"
                row[f"{name}_cpu"] = f"{statistics.median(r.cpu for r in runs):.2f}"
            pairs = list(zip(ours, theirs, strict=True))
            row["verify"] = f"{statistics.median(r.verify for r in ours):.2f}"
            row["wall_ratio_without_verify"] = f"{statistics.median((a.wall - a.verify) / b.wall for a, b in pairs):.3f}"
            row["wall_ratio"] = f"{statistics.median(a.wall / b.wall for a, b in pairs):.3f}"
            row["cpu_ratio"] = f"{statistics.median(a.cpu / b.cpu for a, b in pairs):.3f}"
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
