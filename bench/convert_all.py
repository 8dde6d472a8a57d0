"""All benches of converting, one after the other, with their ratios; ends with 1 if one of them failed its bound.

    .venv/bin/python bench/convert_all.py [--runs 7]

Needs imageio-ffmpeg and a quiet machine; half an hour on two cores.
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run each bench as a process of its own; its words go straight to the terminal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    asked = parser.parse_args()
    failed = []
    for name, *more in (["convert.py", "--runs", str(asked.runs), "--lengths"], ["no_gain.py"], ["pictures.py"]):
        print(f"--- {name}", flush=True)
        if subprocess.run([sys.executable, str(HERE / name), *more]).returncode:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all within their bounds")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
