"""What one change of the ledger costs, by number of items: JSON with its journal, SQLite, and rewriting the whole file, side by side.

    python bench/ledger.py [--items 1000,10000,100000] [--sqlite 1000,100000,1000000] [--changes 300] [--folder FOLDER]

`cpu` columns are milliseconds of the processor for the same work: they hold on a busy machine too, where the others tell of its load.
Times of a change are medians of many, with folding off; "own" leaves the time inside fsync out (SQLite: the same with its syncs switched
off). `syncs` are counted from outside, by strace, as the difference of two processes; without strace at the Disk seam. `rewrite` does what
a naive ledger does: the whole file to a temporary name, fsync, rename, fsync of the folder. `restart ms` is from opening the JSON ledger of
a data folder with so many finished items to the first job handed to an executor. `list ms` is a page of `dmc broker list` with a thousand
changes that are not folded yet.
"""

import argparse
import math
import sys
import tempfile
from pathlib import Path

from ledger_costs import TimedDisk, counted_syncs, opening, timed, timed_changes, timed_rewrites
from ledger_records import fill, finished_item, new_items
from ledger_restart import restart

from dmc.broker.ledger_json import LedgerJson
from dmc.broker.ledger_sqlite import LedgerSqlite
from dmc.files import RealDisk
from dmc.items import ItemIds
from dmc.journal import NEVER


def measure_sqlite(folder: Path, items: int, changes: int) -> dict[str, float]:
    """One row of the table of SQLite."""
    ids = ItemIds()
    made = LedgerSqlite.open(folder)
    filling = timed(lambda: made.write_anew(finished_item(ids.next(), number) for number in range(items)))
    made.close()
    opened: list[LedgerSqlite] = []
    opening = timed(lambda: opened.append(LedgerSqlite.open(folder)))
    (ledger,) = opened
    change = timed_changes(ledger, TimedDisk(), changes)
    page = timed(lambda: (ledger.select(limit=200), ledger.counts()))
    ledger._writer.execute("PRAGMA synchronous = OFF")
    unsynced = timed_changes(ledger, TimedDisk(), changes)
    ledger.close()
    return {
        "items": items,
        "change ms": change.whole,
        "own ms": unsynced.whole,
        "own cpu": unsynced.cpu,
        "syncs": counted_syncs(folder, "sqlite"),
        "open ms": opening.wall,
        "open cpu": opening.cpu,
        "list ms": page.wall,
        "all written anew s": filling.wall / 1e3,
    }


def measure(folder: Path, items: int, changes: int) -> dict[str, float]:
    """One row of the table."""
    fill(folder, items)
    opened, open_mib = opening(folder)
    disk = TimedDisk()
    ledger = LedgerJson.open(folder, disk, folding=NEVER)
    change = timed_changes(ledger, disk, changes)
    batch, before = new_items(ledger), disk.syncs
    batched = timed(lambda: ledger.change(batch))
    batch_syncs = disk.syncs - before
    fold = timed(ledger.checkpoint)
    ledger.change(new_items(ledger))
    page = timed(lambda: LedgerJson.glance(folder, RealDisk()) or sys.exit("the glance says nothing"))
    syncs = counted_syncs(folder, "json")
    rewrite_ms = timed_rewrites(folder, 5 if items > 20_000 else 30)
    again = restart(folder)
    return {
        "items": items,
        "change ms": change.whole,
        "own ms": change.own,
        "own cpu": change.cpu,
        "syncs": change.syncs if math.isnan(syncs) else syncs,
        "rewrite ms": rewrite_ms,
        "batch of 1000 ms": batched.wall,
        "its syncs": batch_syncs,
        "open ms": opened.wall,
        "open cpu": opened.cpu,
        "open MiB": open_mib,
        "fold ms": fold.wall,
        "fold cpu": fold.cpu,
        "list ms": page.wall,
        "restart ms": again.wall,
        "restart cpu": again.cpu,
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--items", default="1000,10000,100000")
    arguments.add_argument("--changes", type=int, default=300, help="how many changes are timed at each size")
    arguments.add_argument("--folder", type=Path, default=None, help="where to write; default: a temporary folder")
    arguments.add_argument("--sqlite", default="1000,100000,1000000", help="sizes for SQLite")
    chosen = arguments.parse_args()
    for name, measured, sizes in (("JSON", measure, chosen.items), ("SQLite", measure_sqlite, chosen.sqlite)):
        rows = []
        for items in map(int, filter(None, sizes.split(","))):
            with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
                rows.append(measured(Path(folder), items, chosen.changes))
        if rows:
            print(f"\n{name}\n")
            show(rows)


def show(rows: list[dict[str, float]]) -> None:
    """A table, and how the cost of a change grows from the first row to the last."""
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + "---:|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(f"{value:.0f}" if value == int(value) else f"{value:.2f}" for value in row.values()) + " |")
    first, last = rows[0], rows[-1]
    print(f"\nchange, {last['items']} against {first['items']} items: x{last['own cpu'] / first['own cpu']:.2f} of its processor time")


if __name__ == "__main__":
    main()
