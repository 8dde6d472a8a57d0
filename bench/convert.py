"""Whole `dmc convert` against the ffmpeg program of the package imageio-ffmpeg: same clip, same encoder settings, sound copied.

    .venv/bin/pip install imageio-ffmpeg
    .venv/bin/python bench/convert.py [--runs 7] [--seconds 30] [--types h264 h265 vp9 av1] [--lengths] [CLIP]

Prints the median of alternating runs, start-up included, as ratios dmc / ffmpeg in wall and CPU time, and what dmc spends on
verifying, which ffmpeg does not do: its wall time as the receipt says it, its CPU time by doing it once more. Memory is the highest of all
processes together, looked at in a pair of runs of its own. dmc's workers are nice, so ffmpeg is made so too: else a busy machine would
decide. dmc runs from bytecode, as pip installs it, whatever the environment says; the first pair, which is not counted, writes it.
CLIP defaults to the 720p recording of the shared media, else the sample.

`cpu_least_ratio` compares the least of each side: on a busy machine it says more than medians. x264 and x265 write their settings into
the stream: those of both results must be the same but for
threads, or this ends with 1. SVT-AV1 writes none. Both sides bring builds of their own:
what remains between two versions is nothing of dmc's, so they are printed beside the ratio.
`--lengths` compares the memory of converting two hours with that of two minutes, both small pictures; ends with 1 above a tenth more.
"""

import argparse
import contextlib
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, replace
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

SETTINGS = re.compile(rb"x26[45] [- (][ -~]*?options: ([ -~]+)")
BUILD = re.compile(rb"x264 - (core [ \w]+) - |x265 \(build \d+\) - ([^\s:]+):\[")
_NO_WORK = ("log-level=", "chromaloc", "no-alpha", "threads=", "frame-threads=")
"""Words that only one side may say: talk, where the samples of colour sit, what a newer x265 can do besides, and how many threads do it:
dmc chooses those (threads.py), and a test holds that the result is the same."""

MOST_GROWTH = 1.10
_VERIFIES = """
import os, sys, time
from pathlib import Path
from dmc.convert.limits import Limits
from dmc.convert.probe import probe
from dmc.convert.verify import decode_all
from dmc.files import sha512_of
os.nice(10)
began, result, limits = time.process_time(), Path(sys.argv[1]), Limits()
facts = probe(result, limits, "the result")
decode_all(result, limits, {stream.index for stream in facts.streams})
sha512_of(result)
print(time.process_time() - began)
"""
_OPEN = ("c.width = c.height = 128", "c.pix_fmt = 'yuv420p'", "c.framerate = 25", "c.open()")


@dataclass(frozen=True)
class Run:
    """Seconds of one run: on the clock, on the processors, and, for dmc, both for verification; MB of all its processes at their peak."""

    wall: float
    cpu: float
    verify: float = 0.0
    memory: float = 0.0
    verify_cpu: float = 0.0


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


def measure(command: list[str], *, memory: bool = False) -> Run:
    """Run a command to its end; its children's processor time counts. `memory`: that is looked at meanwhile."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as done:
        watch = Memory(done.pid)
        with watch if memory else contextlib.nullcontext():
            stdout, stderr = done.communicate()
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\nended with {done.returncode}:\n{stdout}{stderr}")
    verify = json.loads(stdout.splitlines()[-1])["receipt"]["verification"]["took_s"] if "--json" in command else 0.0
    return Run(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, verify, memory=watch.peak)


def make_clip(ffmpeg: str, source: Path, seconds: float, folder: Path) -> Path:
    """`source` repeated to `seconds`, packets untouched, one picture and one sound stream."""
    clip = folder / "clip.mp4"
    command = [ffmpeg, "-v", "error", "-stream_loop", "-1", "-i", str(source), "-t", str(seconds)]
    subprocess.run([*command, "-map", "0:v:0", "-map", "0:a:0?", "-c", "copy", str(clip)], check=True)
    return clip


def settings_of(result: Path) -> set[str]:
    """What the encoder says it was told, one word each; empty for encoders that say nothing."""
    found = SETTINGS.search(result.read_bytes())
    return {word for word in found[1].decode().split() if not word.startswith(_NO_WORK)} if found else set()


def build_of(result: Path) -> str:
    """The version of x264 or x265 that wrote `result`, as it says itself; empty for encoders that say nothing."""
    found = BUILD.search(result.read_bytes())
    return (found[1] or found[2]).decode() if found else ""


def cpu_of_verifying(result: Path) -> float:
    """CPU seconds that the verification of `result` takes, done once more in a process of its own."""
    return float(subprocess.run([sys.executable, "-c", _VERIFIES, str(result)], check=True, capture_output=True, text=True).stdout)


def compare(kind: str, ffmpeg: str, clip: Path, runs: int) -> tuple[list[Run], list[Run], list[str], str]:
    """Alternating runs of dmc and ffmpeg; the settings that only one of them used, and both builds.

    The first pair warms up. The second is looked at for its memory, and counts for nothing else: for a look the kernel walks all pages.
    """
    ours, theirs, odd, builds = [], [], set[str](), ""
    for number in range(runs + 2):
        with tempfile.TemporaryDirectory() as out:
            crf = PEERS[kind][PEERS[kind].index("-crf") + 1]
            dmc = [sys.executable, "-m", "dmc", "convert", str(clip), "--to", kind, "-o", out, "--json"]
            container = ["--set", "container=mkv"] if kind == "vp9" else []  # WebM would have the sound encoded.
            a = measure([*dmc, "--set", f"crf={crf}", "--set", "keep_if_larger=true", *container], memory=number == 1)
            peer_words = ["-v", "error", "-i", str(clip), "-map", "0", *PEERS[kind], "-c:a", "copy", f"{out}/peer.mkv"]
            b = measure(["nice", "-n", "10", ffmpeg, *peer_words], memory=number == 1)
            results = (Path(out) / f"{clip.stem}.mkv", Path(out) / "peer.mkv")
            mine, peer = map(settings_of, results)
            odd |= {f"dmc: {word}" for word in mine - peer} | {f"ffmpeg: {word}" for word in peer - mine}
            builds = "{} in dmc, {} in ffmpeg".format(*map(build_of, results)) if mine else ""
            a = replace(a, verify_cpu=cpu_of_verifying(results[0]))
        if number == 1:
            held = a.memory, b.memory
        elif number > 1:
            ours.append(replace(a, memory=held[0]))
            theirs.append(replace(b, memory=held[1]))
    return ours, theirs, sorted(odd), builds


def grows(ffmpeg: str, folder: Path) -> bool:
    """Does memory grow with length? Two minutes and two hours of the same small test picture."""
    peaks = []
    for seconds in (120, 7200):
        clip, out = folder / f"{seconds}.mp4", folder / f"out-{seconds}"
        out.mkdir()
        source = f"testsrc2=size=160x120:rate=5:duration={seconds}"
        subprocess.run(
            [ffmpeg, "-v", "error", "-f", "lavfi", "-i", source, "-c:v", "libx264", "-preset", "ultrafast", str(clip)], check=True
        )
        command = [sys.executable, "-m", "dmc", "convert", str(clip), "--to", "h264", "-o", str(out), "--json"]
        peaks.append(measure([*command, "--set", "crf=30", "--set", "keep_if_larger=true"], memory=True).memory)
    short, long = peaks
    row = {"two_minutes_mb": round(short), "two_hours_mb": round(long), "ratio": round(long / short, 3), "at_most": MOST_GROWTH}
    print(json.dumps(row), flush=True)
    return long > MOST_GROWTH * short


def svt_versions(ffmpeg: str) -> str:
    """The SVT-AV1 of both sides, as each says when it begins."""
    ours = f"import av; c = av.CodecContext.create('libsvtav1', 'w'); {'; '.join(_OPEN)}"
    theirs = [ffmpeg, "-f", "lavfi", "-i", "testsrc2=size=128x128:duration=0.1", "-c:v", "libsvtav1", "-f", "null", "-"]
    said = []
    for command in ([sys.executable, "-c", ours], theirs):
        words = subprocess.run(command, capture_output=True, text=True).stderr
        found = re.search(r"SVT \[version\]:\s*SVT-AV1 Encoder Lib (\S+)", words)
        said.append(found[1] if found else "unknown")
    return f"SVT-AV1 {said[0]} in dmc, {said[1]} in ffmpeg"


def main() -> None:
    """Compare for every peer and print a table."""
    import imageio_ffmpeg

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", nargs="?", type=Path, default=next(c for c in CANDIDATES if c.exists()))
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--types", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--lengths", action="store_true")
    asked = parser.parse_args()
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    os.environ["PYTHONPATH"] = str(ROOT)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    print(
        f"{asked.clip.name} repeated to {asked.seconds:g} s, {asked.runs} alternating runs, {os.cpu_count()} cores; median (min-max) in s"
    )
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PYTHONPYCACHEPREFIX"] = f"{folder}/bytecode"
        clip = make_clip(ffmpeg, asked.clip, asked.seconds, Path(folder))
        for kind in asked.types:
            ours, theirs, odd, builds = compare(kind, ffmpeg, clip, asked.runs)
            row = row_of(kind, ours, theirs)
            if odd:
                failed, row["settings_differ"] = True, ", ".join(odd)
            row["builds"] = svt_versions(ffmpeg) if kind == "av1" else builds or "not said"
            print(json.dumps(row), flush=True)
        if asked.lengths:
            failed = grows(ffmpeg, Path(folder)) or failed
    sys.exit(1 if failed else 0)


def row_of(kind: str, ours: list[Run], theirs: list[Run]) -> dict[str, str]:
    """One line of the table."""
    row = {"type": kind}
    for name, runs in (("dmc", ours), ("ffmpeg", theirs)):
        walls = [r.wall for r in runs]
        row[f"{name}_wall"] = f"{statistics.median(walls):.2f} ({min(walls):.2f}-{max(walls):.2f})"
        row[f"{name}_memory_mb"] = f"{max(r.memory for r in runs):.0f}"
        row[f"{name}_cpu"] = f"{statistics.median(r.cpu for r in runs):.2f}"
    pairs = list(zip(ours, theirs, strict=True))
    row["verify"] = f"{statistics.median(r.verify for r in ours):.2f}"
    row["verify_cpu"] = f"{statistics.median(r.verify_cpu for r in ours):.2f}"
    row["wall_ratio_without_verify"] = f"{statistics.median((a.wall - a.verify) / b.wall for a, b in pairs):.3f}"
    row["wall_ratio"] = f"{statistics.median(a.wall / b.wall for a, b in pairs):.3f}"
    row["cpu_ratio"] = f"{statistics.median(a.cpu / b.cpu for a, b in pairs):.3f}"
    row["cpu_ratio_without_verify"] = f"{statistics.median((a.cpu - a.verify_cpu) / b.cpu for a, b in pairs):.3f}"
    row["cpu_least_ratio"] = f"{min(r.cpu for r in ours) / min(r.cpu for r in theirs):.3f}"
    return row


if __name__ == "__main__":
    main()
