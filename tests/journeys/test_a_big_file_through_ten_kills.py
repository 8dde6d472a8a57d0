"""A file of gigabytes on its way while server and client are killed five times each: little is sent twice, and memory stays flat.

BIG_GIB says how big (2 if it is not set); the disk needs twice that. The file is no film, so that only its way is measured.
"""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from tests.journeys.household import Household, household, wait_for
from tests.journeys.proxy import Proxy

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
SIZE = int(float(os.environ.get("BIG_GIB", "2")) * 1024) * MIB
KILLS = 10
MOST_MEMORY = 320 * MIB
DEADLINE_S = 120 + SIZE / (10 * MIB)


def _write(path: Path) -> str:
    """A file whose every MiB is another; its SHA-512."""
    block, digest = os.urandom(MIB), hashlib.sha512()
    with path.open("wb") as file:
        for number in range(SIZE // MIB):
            data = number.to_bytes(8, "big") + block[8:]
            file.write(data)
            digest.update(data)
    return digest.hexdigest()


def _arrived(house: Household) -> int:
    """Bytes of the file at the server; its whole size once it has left incoming/."""
    found = sum(file.stat().st_size for file in (house.data / "incoming").glob("*/original*"))
    return found or (SIZE if any((house.data / "finished").glob("*")) else 0)


def _peak(process: "subprocess.Popen[bytes]") -> int:
    """Most bytes of memory that a process has had."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


def test_five_kills_of_each_side_cost_little_and_the_bytes_are_right(tmp_path: Path) -> None:
    sha512 = _write(tmp_path / "big")
    with household(tmp_path / "home") as house:
        proxy = Proxy(house.port)
        house.go_through(proxy.port)
        sides = [house.start_server(), house.start_client()]
        os.rename(tmp_path / "big", house.inbox / "big.mkv")
        peaks: list[tuple[int, int]] = []
        for number in range(KILLS):
            goal = SIZE * (number + 1) // (KILLS + 1)
            wait_for(f"byte {goal} at the server", lambda goal=goal: _arrived(house) >= goal, DEADLINE_S)
            peaks.append((_peak(sides[0]), _peak(sides[1])))
            which = number % 2
            sides[which].kill()
            sides[which].wait()
            sides[which] = house.start_client() if which else house.start_server()
        [item] = wait_for("its end", lambda: [one for one in house.items() if one["status"].startswith("finished")], DEADLINE_S)
        peaks.append((_peak(sides[0]), _peak(sides[1])))
        print(
            f"{SIZE / MIB:.0f} MiB; sent {proxy.bytes_up / SIZE:.4f} of it; peaks {[[peak // MIB for peak in pair] for pair in peaks]} MiB"
        )
        assert (item["sha512_checksum"], item["file_size"]) == (sha512, SIZE)
        assert proxy.bytes_up <= 1.05 * SIZE
        assert max(max(pair) for pair in peaks) < MOST_MEMORY
        proxy.close()
