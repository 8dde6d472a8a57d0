"""What a question costs a server with very many items: the list with each filter, the live feed's snapshot, and `/check`. Over HTTP.

    python bench/asking.py [--items 100000] [--rounds 40]

Milliseconds, median and 95th percentile of the rounds; `first` is the first question of all, which builds the index. Ends with 1
if a list takes more than 200 ms (95th percentile).
"""

import json
from pathlib import Path

from asker import Asker, Told, fill, tell, timed
from ledger_records import digest_of
from transfer import Dmc

QUERIES = {
    "newest": "",
    "status": "status=finished_with_errors",
    "client": "client_id=client-3",
    "medium": "media_type=audio",
    "conversion": "conversion_type=webp",
    "name": "q=img_0777",
    "name, rare": "q=img_000042",
    "name, none": "q=no-such-name",
    "month": "since=2025-03&until=2025-04",
    "all at once": "client_id=client-3&status=finished_successful&media_type=video&q=img&since=2025&until=2026",
}


def measure(home: Path, items: int, rounds: int) -> Told:
    dmc = Dmc(home, "--scopes", "read,write,admin")
    data = next(home.rglob("tokens.json")).parent
    fill(data, items)
    with dmc.running():
        asker = Asker(dmc)
        told = {"first": timed(lambda: asker.ask("GET", "/api/v1/items?limit=50"), 1)}
        for name, query in QUERIES.items():
            told[name] = timed(lambda query=query: asker.ask("GET", f"/api/v1/items?limit=50&{query}"), rounds)
        files = [{"sha512": digest_of(n * 7), "file_size": 123_456_789, "conversion_type": "h265"} for n in range(1000)]
        told["check of 1000"] = timed(lambda: asker.ask("POST", "/api/v1/check", json.dumps({"files": files})), max(1, rounds // 8))
        told["snapshot"] = timed(asker.snapshot, max(1, rounds // 4))
    return told


if __name__ == "__main__":
    tell(__doc__, "asking", measure, judged=QUERIES.__contains__)
