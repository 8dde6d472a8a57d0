"""Hands every file of a folder of real media to `dmc convert` and writes what became of it to docs/media.md.

    .venv/bin/python bench/media_table.py [FOLDER] [--out docs/media.md] [--timeout 1200]

The type is the one that fits the medium by default (video h265, sound opus, picture webp). Ends with 1 if a file gave anything
else than a verified result, a kept original, a skip with its reason, or a refusal with code, sentence and hint.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEAD = """# What becomes of real files

Every file of a collection of real media (phones, cameras, browsers, broken and hostile ones), handed to `dmc convert` with
the type that fits its medium by default. Made by `bench/media_table.py`; the receipt of each result says more.

| file | to | end | what |
|---|---|---|---|
"""


@dataclass(frozen=True)
class Row:
    """One line of the table; `fine` is False when dmc did something it must not do."""

    name: str
    kind: str
    end: str
    words: str
    fine: bool
    seconds: float


def try_one(file: Path, timeout_s: float) -> Row:
    """Convert one file in a process of its own."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "dmc", "convert", str(file), "-o", out, "--json"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, cwd=ROOT, check=False)
        except subprocess.TimeoutExpired:
            return Row(file.name, "", "HANG", f"no end within {timeout_s:g} s", False, timeout_s)
        took = time.monotonic() - start
        if "Traceback" in done.stderr or not done.stdout.strip():
            return Row(file.name, "", "FAULT", (done.stderr or "no words").strip().splitlines()[-1], False, took)
        said = json.loads(done.stdout.splitlines()[-1])
        return _row(file, said, list(Path(out).iterdir()), took)


def _row(file: Path, said: dict[str, object], left: list[Path], took: float) -> Row:
    end = str(said["kind"])
    kind = str(said.get("conversion_type") or "")
    if end == "converted":
        target = Path(str(said["target"]))
        words = f"{file.stat().st_size:,} → {target.stat().st_size:,} bytes" + (f"; {said['reason']}" if said["reason"] else "")
        return Row(file.name, kind, end, words, left == [target], took)
    if end in ("kept-original", "skipped"):
        return Row(file.name, kind, end, str(said["reason"]), bool(said["reason"]) and not left, took)
    errors = said["errors"] if isinstance(said["errors"], list) else []
    words = " ".join(f"`{e['code']}` {e['message']} {e['hint']}" for e in errors)
    fine = end == "failed" and bool(errors) and all(e["code"] and e["message"] and e["hint"] for e in errors) and not left
    return Row(file.name, kind, end, words, fine, took)


def main() -> None:
    """Try every file and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT.parent / "shared/media")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/media.md")
    parser.add_argument("--timeout", type=float, default=1200.0)
    asked = parser.parse_args()
    files = sorted(p for p in asked.folder.iterdir() if p.suffix not in {".json", ".md"})
    rows = []
    for file in files:
        rows.append(try_one(file, asked.timeout))
        print(
            f"{rows[-1].seconds:6.1f} s  {'   ' if rows[-1].fine else 'BAD'}  {rows[-1].name}: {rows[-1].end} {rows[-1].words}", flush=True
        )
    counts = {end: sum(row.end == end for row in rows) for end in sorted({row.end for row in rows})}
    lines = [f"| {r.name} | {r.kind} | {r.end} | {r.words.replace('|', chr(92) + '|')} |" for r in rows]
    asked.out.parent.mkdir(exist_ok=True)
    asked.out.write_text(HEAD + "\n".join(lines) + "\n\nIn all: " + ", ".join(f"{n} {end}" for end, n in counts.items()) + ".\n")
    sys.exit(0 if all(row.fine for row in rows) else 1)


if __name__ == "__main__":
    main()
