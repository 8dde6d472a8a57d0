"""`dmc up` on a folder, 200 mixed files copied in every way people copy files, and SIGKILL five times meanwhile."""

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.household import Household, household, tone, wait_for
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.slow

FILES = 200
KILLS = 5
MOST_BYTES = 400_000
ODD_NAMES = (
    "\N{ROCKET} launch {n}",
    "line\nbreak {n}",
    "Käse & Brötchen {n}",
    "  leading and trailing {n}  ",
    "-starts with a dash {n}",
    "quote ' and \" {n}",
    "{n} " + "x" * 240,
)


def _sources(media: Path) -> list[Path]:
    """Small real files that convert quickly; broken ones stay in, since they must come to an end too."""
    found = [p for p in sorted(media.iterdir()) if p.suffix not in {".json", ".md"} and p.stat().st_size < MOST_BYTES]
    return [p for p in found if "8k" not in p.name and "6min" not in p.name]


def _names(sources: list[Path], draw: random.Random) -> Iterator[tuple[Path, Path]]:
    """A source and a name in the folder for each of the files; every content is made unique by the caller."""
    for number in range(FILES):
        source = draw.choice(sources)
        stem = ODD_NAMES[number % len(ODD_NAMES)].format(n=number) if number % 3 == 0 else f"file {number}"
        stem = stem.encode()[: 255 - len(source.suffix)].decode("utf-8", "ignore")
        folder = Path(*(f"sub {number % 5}", "deeper")[: number % 3])
        yield source, folder / (stem + source.suffix)


def _copy_in(house: Household, content: bytes, name: Path, way: int) -> None:
    """As people do it: at once, slowly, or renamed in from a hidden name."""
    target = house.inbox / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if way == 0:
        target.write_bytes(content)
    elif way == 1:
        with target.open("wb") as file:
            for start in range(0, len(content), max(1, len(content) // 4)):
                file.write(content[start : start + max(1, len(content) // 4)])
                file.flush()
                time.sleep(0.05)  # A slow copy is the point here.
    else:
        hidden = target.with_name(f".part-{os.getpid()}")
        hidden.write_bytes(content)
        hidden.rename(target)


def test_every_file_comes_home_exactly_once(tmp_path: Path, media: Path) -> None:
    draw = random.Random(20261121)
    with household(tmp_path) as house:
        process = house.start("up", str(house.inbox), "--port", "0")
        names: list[Path] = []
        for number, (source, name) in enumerate(_names(_sources(media), draw)):
            # A trailing byte makes each content its own without disturbing any format here.
            _copy_in(house, source.read_bytes() + number.to_bytes(4, "big"), name, number % 3)
            names.append(name)
            if number % (FILES // KILLS) == FILES // KILLS - 1:
                process.send_signal(signal.SIGKILL)
                process.wait()
                process = house.start("up", str(house.inbox), "--port", "0")
        _copy_in(house, tone(1), Path("last.wav"), 0)
        records = wait_for("the end of every file", lambda: _ended(house, FILES + 1), 1500)
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
        assert Counter(r["file"] for r in records).most_common(1)[0][1] == 1
        items = house.items()
        assert len(items) == FILES + 1
        assert Counter(i["sha512_checksum"] for i in items).most_common(1)[0][1] == 1
        converted = [r for r in records if r["outcome"] == "converted"]
        assert len(converted) > FILES // 2
        assert len(house.results()) == len(converted)
        assert {r["result_path"] for r in converted} == {os.fsencode(p).decode("utf-8", "backslashreplace") for p in house.results()}
        for name in names:
            assert (house.inbox / name).exists()
        house.dmc("broker", "verify")


def _ended(house: Household, number: int) -> "list[dict[str, str]] | None":
    records = json.loads(house.dmc("status", "--json"))["records"]
    return records if len(records) == number and all(r["status"] in ("acknowledged", "parked") for r in records) else None
