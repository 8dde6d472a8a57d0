"""Asking a server with very many items: its index, one connection, times, and the verdict. Shared by asking.py and page.py."""

import argparse
import http.client
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ledger_records import finished_item
from transfer import Dmc

from dmc.conversions import MediaType
from dmc.items import ItemIds, Status

MOST_MS = 200.0
MEDIA = {MediaType.VIDEO: "h265", MediaType.AUDIO: "opus", MediaType.IMAGE: "webp"}
Told = dict[str, dict[str, float]]


def fill(data: Path, items: int) -> None:
    """Write an index of so many items, nearly all of them finished, over two years."""
    ids, sections = ItemIds(), {status.value: {} for status in Status}
    for number in range(items):
        medium = list(MEDIA)[number % 3]
        changed = {"media_type": medium, "conversion_type": MEDIA[medium], "status": Status.FINISHED_SUCCESSFUL}
        changed["created_at"] = f"{2025 + number * 2 // items}-{number * 24 // items % 12 + 1:02}-{number % 28 + 1:02}T00:00:00.000000Z"
        if number % 50 == 0:
            changed |= {"status": Status.FINISHED_WITH_ERRORS, "result": None, "outcome": None}
        elif number >= items - 2000:
            changed |= {"status": Status.TO_DO, "result": None, "outcome": None, "acknowledged_at": None, "finished_at": None}
        item = finished_item(ids.next(), number).model_copy(update=changed)
        sections[item.status.value][item.item_id] = item.model_dump(mode="json", exclude_none=True)
    (data / "index.json").write_text(json.dumps({"schema": 1, "seq": items, **sections}))


def timed(do: Callable[[], object], rounds: int) -> dict[str, float]:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        do()
        times.append((time.perf_counter() - began) * 1e3)
    return {"median_ms": round(statistics.median(times), 1), "p95_ms": round(sorted(times)[int(0.95 * (rounds - 1))], 1)}


class Asker:
    """One connection with the right to see everything."""

    def __init__(self, dmc: Dmc) -> None:
        self._port = dmc.port
        self._headers = {"Authorization": dmc.token[1].partition(": ")[2]}
        self._line = http.client.HTTPConnection("127.0.0.1", dmc.port)

    def ask(self, method: str, path: str, body: str | None = None) -> dict[str, object]:
        self._line.request(method, path, body, self._headers)
        answer = self._line.getresponse()
        said = json.loads(answer.read())
        if answer.status != 200:
            raise RuntimeError(said)
        return said

    def snapshot(self) -> None:
        line = http.client.HTTPConnection("127.0.0.1", self._port)
        line.request("GET", "/api/v1/events", headers=self._headers)
        answer = line.getresponse()
        while not answer.readline().startswith(b"data: {"):
            pass
        line.close()


def tell(doc: str | None, kind: str, measure: Callable[[Path, int, int], Told], *, judged: Callable[[str], bool]) -> None:
    """The main of a measurement: prints what was told; ends with 1 if a question that is `judged` takes more than MOST_MS."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=40)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix=f"dmc-{kind}-") as folder:
        told = measure(Path(folder), given.items, given.rounds)
    print(json.dumps({"schema": f"dmc.bench-{kind}/1", "items": given.items, **told}, indent=1))
    worst = max(figures["p95_ms"] for name, figures in told.items() if judged(name))
    print(f"{'holds' if worst <= MOST_MS else 'BROKEN'}: every question {worst} ms at most (95th percentile), at most {MOST_MS}")
    sys.exit(int(worst > MOST_MS))
