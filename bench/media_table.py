"""Hands every file of a folder of real media to `dmc convert`, once for each type that fits it, and writes docs/media.md.

    .venv/bin/python bench/media_table.py [FOLDER] [--out docs/media.md] [--state FILE] [--timeout 600]

Real settings, one conversion at a time, cheap types first. What ended is noted in the state file, so that a run that was stopped
goes on where it was; what did not end in time is tried again when a later run allows more. Ends with 1 if a file gave anything
else than a verified result whose losses are all explained, a kept original or a skip with its reason, or a refusal with code,
sentence and hint.
"""

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from dmc.conversions import CONVERSION_TYPES, MediaType, guess_media_type  # noqa: E402

CHEAP_FIRST = ["png", "webp", "jpeg", "avif", "mkv", "mp4", "flac", "opus", "mp3", "aac", "h264", "web", "av1", "vp9", "h265"]
HEAD = """# What becomes of real files

Every file of a collection of real media (phones, cameras, browsers, broken and hostile ones), handed to `dmc convert` once for each
type that fits its medium, with the settings that everybody gets. Made by `bench/media_table.py`.

A number is a verified result, in per cent of the original's size; `*` marks one that comes with a note below. `kept`: the result would have
been larger, so the original stays. `skip`: nothing is to be done, or cannot be done without harm. `refused`: no result, with a reason.
`slow`: no end within {bound:g} s on a small, busy machine; an empty cell was not reached there. Nothing was lost without being named.
"""


@dataclass(frozen=True)
class Row:
    """What one file became as one type; `fine` is False when dmc did something it must not do. `losses`: a sentence each."""

    name: str
    kind: str
    end: str
    words: str
    share: float
    losses: tuple[str, ...]
    fine: bool
    seconds: float


def try_one(file: Path, kind: str, timeout_s: float) -> Row:
    """Convert one file in a process of its own."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dmc-table-") as out:
        command = [sys.executable, "-m", "dmc", "convert", str(file), "--to", kind, "-o", out, "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
            try:
                said, talk = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                _end(process)
                return Row(file.name, kind, "slow", f"no end within {timeout_s:g} s", 0, (), True, timeout_s)
        took = time.monotonic() - start
        if "Traceback" in talk or not said.strip():
            return Row(file.name, kind, "FAULT", (talk or "no words").strip().splitlines()[-1], 0, (), False, took)
        return _row(file, kind, json.loads(said.splitlines()[-1]), {path.name for path in Path(out).iterdir()}, took)


def _end(process: "subprocess.Popen[str]") -> None:
    """As Ctrl-C does, so that nothing is left; by force only if that goes unheeded."""
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=30)
        return
    process.kill()
    process.communicate()


def _row(file: Path, kind: str, said: dict[str, object], left: set[str], took: float) -> Row:
    end, receipt = str(said["kind"]), said["receipt"]
    if end == "converted" and isinstance(receipt, dict):
        target = Path(str(said["target"]))
        sidecars = said["sidecars"] if isinstance(said["sidecars"], list) else []
        beside = {Path(path).name for path in sidecars}
        lost = [(f"{s['type']} stream {s['index']}", s["reason"]) for s in receipt["streams"] if s["outcome"] == "lost"]
        lost += [(m["kind"], m["detail"]) for m in receipt["metadata"] if m["outcome"] == "lost"]
        fine = left == {target.name} | beside and receipt["verification"]["passed"] and all(reason for _, reason in lost)
        share = 100 * target.stat().st_size / file.stat().st_size
        return Row(file.name, kind, end, str(said["reason"] or ""), share, tuple(f"{what}: {why}" for what, why in lost), fine, took)
    if end in ("kept-original", "skipped"):
        return Row(file.name, kind, end, str(said["reason"]), 0, (), bool(said["reason"]) and not left, took)
    errors = said["errors"] if isinstance(said["errors"], list) else []
    words = " ".join(f"`{e['code']}` {e['message']} {e['hint']}" for e in errors)
    fine = end == "failed" and bool(errors) and all(e["code"] and e["message"] and e["hint"] for e in errors) and not left
    return Row(file.name, kind, "refused" if end == "failed" else end, words, 0, (), fine, took)


def medium_of(file: Path) -> MediaType | None:
    """What is in the file; for one that cannot be opened, what its name says."""
    said = subprocess.run(
        [sys.executable, "-m", "dmc", "probe", str(file), "--json"], capture_output=True, text=True, cwd=ROOT, check=False, timeout=300
    )
    return MediaType(json.loads(said.stdout)["media_type"]) if said.returncode == 0 else guess_media_type(file.name)


# --- The page --------------------------------------------------------------------------------------------------------


def cell(row: Row | None) -> str:
    """One file as one type, in a word."""
    if row is None:
        return ""
    words = {"kept-original": "kept", "skipped": "skip", "converted": f"{row.share:.0f}" + ("*" if row.words or row.losses else "")}
    return words.get(row.end, row.end)


def page(rows: Iterable[Row], media: dict[str, MediaType], bound: float) -> str:
    """The tables of all media, then what there is to say about single files."""
    found = {(row.name, row.kind): row for row in rows}
    lines = [HEAD.format(bound=bound)]
    for medium in MediaType:
        kinds = [kind.name for kind in CONVERSION_TYPES.values() if medium in kind.takes]
        names = sorted(name for name, its in media.items() if its is medium)
        lines += ["", f"## {medium.value.capitalize()}", "", f"| file | {' | '.join(kinds)} |", "|---|" + "---|" * len(kinds)]
        lines += [f"| {name} | " + " | ".join(cell(found.get((name, kind))) for kind in kinds) + " |" for name in names]
    lines += ["", "## Reasons and losses", ""]
    for name in sorted(media):
        said: dict[str, list[str]] = {}
        for kind in CONVERSION_TYPES:
            row = found.get((name, kind))
            if row is not None and row.end != "slow":
                for words in (*filter(None, [row.words]), *(f"lost: {loss}" for loss in row.losses)):
                    said.setdefault(words.replace(f"{name} ", "", 1), []).append(kind)
        if said:
            lines += [f"**{name}**", "", *(f"- {', '.join(kinds)}: {words}" for words, kinds in said.items()), ""]
    counts = {end: sum(row.end == end for row in found.values()) for end in sorted({row.end for row in found.values()})}
    return "\n".join(lines) + "\nIn all: " + ", ".join(f"{n} {end}" for end, n in counts.items()) + ".\n"


def load(state: Path) -> dict[tuple[str, str], Row]:
    """What earlier runs found; the last word on a file and type counts."""
    lines = state.read_text().splitlines() if state.is_file() else []
    found = [Row(**{**json.loads(line), "losses": tuple(json.loads(line)["losses"])}) for line in lines]
    return {(row.name, row.kind): row for row in found}


def main() -> None:
    """Try every file as every type, and write the page anew after each type."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT.parent / "shared/media")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/media.md")
    parser.add_argument("--state", type=Path, default=Path(tempfile.gettempdir()) / "dmc-media-table.jsonl")
    parser.add_argument("--timeout", type=float, default=600.0)
    asked = parser.parse_args()
    files = sorted(p for p in asked.folder.iterdir() if p.suffix not in {".json", ".md"})
    media = {file.name: medium for file in files if (medium := medium_of(file)) is not None}
    rows = load(asked.state)
    for kind in CHEAP_FIRST:
        for file in files:
            before = rows.get((file.name, kind))
            tried = before is not None and (before.end != "slow" or before.seconds >= asked.timeout)
            if tried or file.name not in media or media[file.name] not in CONVERSION_TYPES[kind].takes:
                continue
            row = rows[file.name, kind] = try_one(file, kind, asked.timeout)
            with asked.state.open("a") as state:
                state.write(json.dumps(asdict(row)) + "\n")
            print(f"{row.seconds:6.1f} s  {'   ' if row.fine else 'BAD'}  {kind}: {row.name}: {row.end} {row.words}", flush=True)
        asked.out.write_text(page(rows.values(), media, asked.timeout))
    sys.exit(0 if all(row.fine for row in rows.values()) else 1)


if __name__ == "__main__":
    main()
