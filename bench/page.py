"""What the page asks of a server with very many items, over HTTP: lists, the next page, counts, failures, the stream's snapshot, its files.

    python bench/page.py [--items 100000] [--rounds 40]

Milliseconds, median and 95th percentile of the rounds; `… first` is the first question of all, which walks the ledger once. Ends with
1 if a question takes more than 200 ms (95th percentile).
"""

from pathlib import Path

from asker import Asker, Told, fill, tell, timed
from transfer import Dmc

API = "/api/v1"
PAGE = "limit=60"
QUESTIONS = {
    "library": f"{API}/items?status=finished_successful&{PAGE}",
    "library, a medium": f"{API}/items?status=finished_successful&media_type=video&{PAGE}",
    "library, a month": f"{API}/items?status=finished_successful&since=2025-03&until=2025-04&{PAGE}",
    "library, a name": f"{API}/items?status=finished_successful&q=img_0777&{PAGE}",
    "library, a client": f"{API}/items?status=finished_successful&client_id=client-3&{PAGE}",
    "queue, lately finished": f"{API}/items?status=finished_successful&status=finished_with_errors&limit=50",
    "statistics": f"{API}/statistics",
    "failures": f"{API}/failures",
    "server": f"{API}/server",
    "types": f"{API}/types",
}


def measure(home: Path, items: int, rounds: int) -> Told:
    dmc = Dmc(home, "--scopes", "read,write,admin")
    fill(next(home.rglob("tokens.json")).parent, items)
    with dmc.running():
        asker = Asker(dmc)
        told = {f"{name} first": timed(lambda name=name: asker.ask("GET", QUESTIONS[name]), 1) for name in ("library", "statistics")}
        for name, path in QUESTIONS.items():
            told[name] = timed(lambda path=path: asker.ask("GET", path), rounds)
        deep = asker.ask("GET", f"{QUESTIONS['library']}")["cursor"]
        for _ in range(20):
            deep = asker.ask("GET", f"{QUESTIONS['library']}&cursor={deep}")["cursor"]
        told["library, page 22"] = timed(lambda: asker.ask("GET", f"{QUESTIONS['library']}&cursor={deep}"), rounds)
        told["snapshot"] = timed(asker.snapshot, max(1, rounds // 4))
    return told


if __name__ == "__main__":
    tell(__doc__, "page", measure, judged=lambda name: not name.endswith("first"))
