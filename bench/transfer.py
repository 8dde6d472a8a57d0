"""Uploads and downloads of one big file against bare peers, and the client in front of very many files. Ratios in one run.

    python bench/transfer.py [--size 1024] [--rounds 5] [--files 100000] [--folder FOLDER] [--only upload,download,pickup,scan,idle]

upload    `curl -T` to dmc (tus) and to a bare aiohttp sink that hashes SHA-512 and fdatasyncs every 16 MiB likewise
download  `curl` of the same file on disk from dmc and from nginx (Debian package) with sendfile
The rest is watching.py's. Ends with 1 if a bound (BOUNDS) does not hold. `--size` is in MiB.
Rounds take turns, and the ratio is the median of the rounds' ratios. Needs curl and nginx.
"""

import argparse
import asyncio
import hashlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import watching

MIB = 1024 * 1024
SYNC_EVERY = 16 * MIB
PYTHON = [sys.executable]
BOUNDS = {
    ("upload", "ratio"): ("at least", 0.85),
    ("download", "ratio"): ("at least", 0.9),
    ("pickup", "most_s"): ("at most", 1.0),
    ("scan", "memory_grown_mib"): ("at most", 8.0),
    ("idle", "percent_with_walks_every_300_s"): ("at most", 0.5),
}
TUS = ["-H", "Tus-Resumable: 1.0.0"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(command: list[str], port: int, **environment: str) -> Iterator[int]:
    """A server of its own process, from when it listens to its end; its process id."""
    with subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 20
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise RuntimeError(f"did not start: {command}") from None
                    time.sleep(0.05)
            yield process.pid
        finally:
            process.terminate()
            process.wait()


def curl(*arguments: str) -> float:
    """Seconds that curl says the exchange took."""
    command = ["curl", "-sS", "--fail-with-body", "-o", os.devnull, "-w", "%{time_total}", *arguments]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


class Dmc:
    """A server without a broker, so that nothing is converted beside the measurement."""

    def __init__(self, home: Path, *options: str) -> None:
        self.port = free_port()
        self.home = home
        (home / "server.toml").write_text(f"listen_on_port = {self.port}\nbroker = 'separate'\n[limits]\ndisk_floor = 0\n")
        command = [*PYTHON, "-m", "dmc", "server", "token", "create", "bench", *options]
        made = subprocess.run(command, env=os.environ | {"DMC_HOME": str(home)}, check=True, capture_output=True, text=True)
        self.token = ["-H", f"Authorization: Bearer {made.stdout.strip()}"]
        self.url = f"http://127.0.0.1:{self.port}"

    def running(self) -> "contextmanager[int]":
        return served([*PYTHON, "-m", "dmc", "server", "run"], self.port, DMC_HOME=str(self.home))

    def upload(self, file: Path) -> tuple[float, str]:
        """Seconds for the bytes, hash and commit; and the path of the upload."""
        values = {"filename": "big.mkv", "conversion_type": "h265"}
        metadata = ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in values.items())
        create = ["-D", "-", "-X", "POST", "-H", f"Upload-Length: {file.stat().st_size}", "-H", f"Upload-Metadata: {metadata}"]
        command = ["curl", "-sS", "-f", *self.token, *TUS, *create, f"{self.url}/api/v1/uploads"]
        head = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        url = next(line.split(": ", 1)[1].strip() for line in head.splitlines() if line.lower().startswith("location:"))
        patch = ["-X", "PATCH", "-H", "Upload-Offset: 0", "-H", "Content-Type: application/offset+octet-stream", "-T", str(file), url]
        return curl(*self.token, *TUS, *patch), url.rpartition("/")[2]

    def delete(self, item_id: str) -> None:
        """Make room on the disk; the record stays, and nobody looks at it."""
        shutil.rmtree(next(self.home.rglob(f"server/*/{item_id}")))


def sink(port: int, folder: Path) -> None:
    """What an upload costs at least: aiohttp, a file, SHA-512 and fdatasync, the hash beside the write."""
    from aiohttp import web

    async def put(request: web.Request) -> web.Response:
        digest, unsynced = hashlib.sha512(), 0
        request.content.set_read_chunk_size(MIB)
        with (folder / "sunk").open("wb", buffering=0) as file:

            def store(data: bytes, sync: bool) -> None:
                file.write(data)
                if sync:
                    os.fdatasync(file.fileno())

            while data := await request.content.readany():
                unsynced += len(data)
                await asyncio.gather(asyncio.to_thread(store, data, unsynced >= SYNC_EVERY), asyncio.to_thread(digest.update, data))
                unsynced %= SYNC_EVERY
            await asyncio.to_thread(store, b"", True)
        return web.Response(text=digest.hexdigest())

    app = web.Application()
    app.router.add_put("/{name}", put)
    web.run_app(app, host="127.0.0.1", port=port, print=None)


def nginx_settings(home: Path, root: Path, port: int) -> Path:
    temps = "\n".join(f"{kind}_temp_path {home}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    settings = home / "nginx.conf"
    settings.write_text(
        f"daemon off; worker_processes 1; pid {home}/pid; error_log {home}/error.log; user {'root' if os.getuid() == 0 else 'nobody'};\n"
        f"events {{}}\nhttp {{ access_log off; sendfile on; tcp_nopush on; {temps}\n"
        f"server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n"
    )
    return settings


def compared(name: str, ours: Callable[[], float], theirs: Callable[[], float], size: int, rounds: int, peer: str) -> dict[str, object]:
    """Both in turns, the order changing each round; speeds are medians in MiB/s."""
    ours(), theirs()  # Warm: the page cache, and processes that import at first use.
    times = []
    for number in range(rounds):
        first, second = (ours, theirs) if number % 2 else (theirs, ours)
        one, other = first(), second()
        times.append((one, other) if number % 2 else (other, one))
    ratios = [their / our for our, their in times]
    told = {
        "dmc_mib_s": round(statistics.median(size / our / MIB for our, _ in times), 1),
        f"{peer}_mib_s": round(statistics.median(size / their / MIB for _, their in times), 1),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
    }
    print(f"{name}: {json.dumps(told)}", flush=True)
    return told


def measure_wire(home: Path, size: int, rounds: int, only: set[str]) -> dict[str, object]:
    """Upload and download."""
    told: dict[str, object] = {}
    file, block = home / "big.mkv", os.urandom(MIB)
    with file.open("wb") as out:
        for number in range(size // MIB):
            out.write(number.to_bytes(8, "big") + block[8:])
    dmc, port = Dmc(home), free_port()
    with dmc.running():
        if "upload" in only:
            (home / "sink").mkdir()

            def upload() -> float:
                seconds, item_id = dmc.upload(file)
                dmc.delete(item_id)
                return seconds

            with served([*PYTHON, __file__, "--sink", str(port), "--folder", str(home / "sink")], port):
                told["upload"] = compared(
                    "upload", upload, lambda: curl("-T", str(file), f"http://127.0.0.1:{port}/big"), size, rounds, "sink"
                )
        if "download" in only:
            _, item_id = dmc.upload(file)
            stored, port = next(home.rglob(f"server/*/{item_id}/original.*")), free_port()
            with served(["nginx", "-c", str(nginx_settings(home, stored.parent, port)), "-p", str(home)], port):
                url = f"{dmc.url}/api/v1/items/{item_id}/original"
                told["download"] = compared(
                    "download", lambda: curl(*dmc.token, url), lambda: curl(f"http://127.0.0.1:{port}/{stored.name}"), size, rounds, "nginx"
                )
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--only", default="upload,download,pickup,scan,idle")
    parser.add_argument("--sink", type=int, default=None, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.sink is not None:
        sink(given.sink, given.folder)
        return
    only, told = set(given.only.split(",")), {"schema": "dmc.bench-transfer/1", "load": os.getloadavg()[0], "size_mib": given.size}
    with tempfile.TemporaryDirectory(prefix="dmc-transfer-", dir=given.folder, ignore_cleanup_errors=True) as folder:
        if only & {"upload", "download"}:
            (Path(folder) / "wire").mkdir()
            told |= measure_wire(Path(folder) / "wire", given.size * MIB, given.rounds, only)
        told |= watching.measure(Path(folder), given.files, only)
    print(json.dumps(told, indent=1))
    sys.exit(int(not all(list(held(told)))))


def held(told: dict[str, Any]) -> Iterator[bool]:
    """Whether each bound that was measured holds, said aloud."""
    for (name, value), (word, bound) in BOUNDS.items():
        if name in told:
            found = told[name][value]
            fine = found >= bound if word == "at least" else found <= bound
            print(f"{'holds' if fine else 'BROKEN'}: {name} {value} {found}, {word} {bound}")
            yield fine


if __name__ == "__main__":
    main()
