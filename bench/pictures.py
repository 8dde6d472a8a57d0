"""Many small pictures through a whole server against a bare Pillow loop over as many processes, with the same encoder settings.

    python bench/pictures.py [--files 1000] [--rounds 3] [--folder FOLDER] [--to webp]

dmc     from the first byte of the first upload until the last outcome stands in the ledger: uploads, fsyncs, ledger, workers,
        verification (which decodes every result again) and facts for the page; the workers are warm, as a server's are
pillow  `Image.open(file).save(...)` over as many processes as dmc has workers, started and imported before the clock runs

Every file is another picture, so that nothing is taken over from a twin. Prints one line of JSON per round and the median
ratio; ends with 1 if it is below the bound. Clock and processors are read at the same two moments; `cpu_ms` says who used how much
of the processors per picture. What the sender uses is this script's, and no part of dmc.
"""

import argparse
import http.client
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image
from processors import split, used_by
from transfer import free_port, served

BOUND = 0.8
SIDE = (1200, 834)
SENDERS = 2
SAVE = {"webp": ("WEBP", {"quality": 82, "method": 4}), "jpeg": ("JPEG", {"quality": 90, "optimize": True, "progressive": True})}
"""What dmc's recipes say."""


def make_pictures(folder: Path, count: int) -> list[Path]:
    """`count` PNGs of 1 Mpx, none like another: soft colours with the noise of a camera."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda number: _make(folder / f"{number:04d}.png", number), range(count)))


def _make(path: Path, number: int) -> Path:
    soft = Image.merge("RGB", [Image.radial_gradient("L").rotate(number * 7 + 40 * band).resize(SIDE) for band in range(3)])
    noise = Image.merge("RGB", [Image.effect_noise((SIDE[0] // 2, SIDE[1] // 2), 24) for _band in range(3)]).resize(SIDE)
    Image.blend(soft, noise, 0.25).save(path, compress_level=1)
    return path


def ready() -> None:
    """Import what a picture needs, before the clock runs."""
    Image.init()


def convert_bare(job: tuple[Path, Path, str]) -> int:
    source, target, kind = job
    name, settings = SAVE[kind]
    with Image.open(source) as picture:
        picture.save(target, format=name, **settings)
    return target.stat().st_size


def pillow_round(files: list[Path], kind: str, workers: int) -> tuple[float, float]:
    """Seconds on the clock and on the processors."""
    with tempfile.TemporaryDirectory(dir=files[0].parent) as out, multiprocessing.get_context("spawn").Pool(workers, ready) as pool:
        pool.map(ready_again, range(workers))
        before, began = _pool_cpu(), time.perf_counter()
        pool.map(convert_bare, [(file, Path(out) / file.with_suffix(f".{kind}").name, kind) for file in files], chunksize=8)
        took, used = time.perf_counter() - began, _pool_cpu() - before
        pool.close()
        pool.join()
    return took, used


def ready_again(_number: int) -> None:
    """One task each, so that every process has come up."""
    time.sleep(0.2)


def _pool_cpu() -> float:
    return sum(used_by(process.pid) for process in multiprocessing.active_children() if process.pid is not None)


class Dmc:
    """A whole server with its broker and workers, in a home of its own."""

    def __init__(self, home: Path, workers: int) -> None:
        home.mkdir()
        self.home, self.port = home, free_port()
        (home / "server.toml").write_text(
            f"listen_on_port = {self.port}\nnumber_of_conversion_threads = {workers}\n[limits]\ndisk_floor = 0\nrequests_per_minute = 0\n"
        )
        command = [sys.executable, "-m", "dmc", "server", "token", "create", "bench"]
        self.token = subprocess.run(
            command, env=os.environ | {"DMC_HOME": str(home)}, check=True, capture_output=True, text=True
        ).stdout.strip()

    def round(self, files: list[Path], kind: str) -> tuple[float, dict[str, float], dict[str, float]]:
        """Seconds on the clock, milliseconds of the processors per picture and process, and what the receipts say."""
        with served([sys.executable, "-m", "dmc", "server", "run"], self.port, DMC_HOME=str(self.home)) as server:
            time.sleep(3.0)  # The workers' warm process.
            before, began = {"sender": time.process_time(), **split(server)}, time.perf_counter()
            threads = [threading.Thread(target=self._send, args=(files[n::SENDERS], kind)) for n in range(SENDERS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            sent = time.perf_counter() - began
            self._wait_for()
            took = time.perf_counter() - began
            after = {"sender": time.process_time(), **split(server)}
        used = {who: round((after[who] - before[who]) / len(files) * 1000, 1) for who in after}
        return took, used, {"sent_s": round(sent, 2), **self._receipts(len(files))}

    def _send(self, files: list[Path], kind: str) -> None:
        line = http.client.HTTPConnection("127.0.0.1", self.port)
        for file in files:
            body = file.read_bytes()
            head = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/octet-stream"}
            line.request("PUT", f"/api/v1/items/{file.name}?conversion_type={kind}", body, head)
            answer = line.getresponse()
            said = answer.read()
            if answer.status >= 300:
                sys.exit(f"{file.name}: {answer.status} {said!r}")
        line.close()

    def _wait_for(self) -> None:
        """Until none is left to do."""
        places = {name: next(self.home.rglob(f"server/{name}"), None) for name in ("to_do", "in_progress", "incoming")}
        while any(place is not None and any(place.iterdir()) for place in places.values()):
            time.sleep(0.05)

    def _receipts(self, asked: int) -> dict[str, float]:
        receipts = [json.loads(path.read_bytes()) for path in self.home.rglob("receipt.json")]
        took = sum(receipt["took_s"] for receipt in receipts)
        check = sum((receipt.get("verification") or {}).get("took_s") or 0.0 for receipt in receipts)
        finished = sum(receipt["outcome"] == "converted" for receipt in receipts)
        return {"workers_s": round(took, 2), "of_that_verifying_s": round(check, 2), "not_converted": asked - finished}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--to", choices=SAVE, default="webp")
    parser.add_argument("--folder", type=Path, help="where to work; default: the system's temporary folder")
    asked = parser.parse_args()
    ratios = []
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        os.environ["PYTHONPYCACHEPREFIX"] = f"{folder}/bytecode"
        pictures = Path(folder) / "pictures"
        pictures.mkdir()
        files = make_pictures(pictures, asked.files)
        size = sum(file.stat().st_size for file in files) / len(files)
        print(f"{len(files)} PNGs of {SIDE[0]}x{SIDE[1]}, {size / 1e6:.1f} MB each, to {asked.to} by {asked.workers} processes", flush=True)
        for number in range(asked.rounds):
            theirs, their_cpu = pillow_round(files, asked.to, asked.workers)
            ours, used, share = Dmc(Path(folder) / f"home{number}", asked.workers).round(files, asked.to)
            ratios.append(theirs / ours)
            bare, whole = their_cpu / len(files) * 1000, sum(used.values()) - used["sender"]
            row = {"dmc_s": round(ours, 2), "pillow_s": round(theirs, 2), "speed_ratio": round(theirs / ours, 3)}
            row |= {"cpu_ratio": round(bare / whole, 3), "cpu_ms": {"pillow": round(bare, 1), "dmc": round(whole, 1), **used}}
            print(json.dumps(row | share), flush=True)
    ratio = statistics.median(ratios)
    print(json.dumps({"pictures_speed_ratio": round(ratio, 3), "bound": f"at least {BOUND}", "holds": ratio >= BOUND}))
    sys.exit(0 if ratio >= BOUND else 1)


if __name__ == "__main__":
    main()
