"""What fills the ledgers that are measured: records as most are, an index of many, a thousand additions."""

import hashlib
import json
from pathlib import Path

from dmc.broker.ledger import Ledger, Put
from dmc.broker.ledger_json import LedgerJson
from dmc.conversions import MediaType
from dmc.files import RealDisk
from dmc.items import Item, ItemIds, Outcome, Status
from dmc.jobs import ResultFacts

BATCH = 1000


def digest_of(number: int) -> str:
    return hashlib.sha512(str(number).encode()).hexdigest()


def finished_item(item_id: str, number: int) -> Item:
    """A record as most are: finished, with a result."""
    return Item(
        item_id=item_id,
        version=3,
        status=Status.FINISHED_SUCCESSFUL,
        created_at="2026-01-01T00:00:00.000000Z",
        client_id=f"client-{number % 7}",
        conversion_type="h265",
        original_file_name=f"IMG_{number:06}.MOV",
        current_file_name="original.mov",
        file_size=123_456_789,
        sha512_checksum=digest_of(number),
        media_type=MediaType.VIDEO,
        outcome=Outcome.CONVERTED,
        result=ResultFacts(file_name="result.mkv", file_size=45_678_901, sha512_checksum=digest_of(-number)),
        started_at="2026-01-01T00:00:01.000000Z",
        finished_at="2026-01-01T00:10:00.000000Z",
        acknowledged_at="2026-01-01T00:11:00.000000Z",
    )


def fill(folder: Path, items: int) -> None:
    """Write an index of so many finished items, as a fold would leave it."""
    ids = ItemIds()
    records = {}
    for number in range(items):
        item = finished_item(ids.next(), number)
        records[item.item_id] = item.model_dump(mode="json", exclude_none=True)
    document = {"schema": 1, "seq": items, **{status.value: {} for status in Status}}
    document[Status.FINISHED_SUCCESSFUL.value] = records
    (folder / "index.json").write_text(json.dumps(document))
    with_journal = LedgerJson.open(folder, RealDisk())
    with_journal.change(
        [Put(finished_item(ids.next(), items).model_copy(update={"version": 1, "status": Status.TO_DO, "result": None}), 0)]
    )
    with_journal.checkpoint()


def new_items(ledger: Ledger) -> list[Put]:
    """A thousand additions."""
    ids, new = ItemIds(ledger.newest_id()), {"status": Status.TO_DO, "version": 1}
    return [Put(finished_item(ids.next(), number).model_copy(update=new), 0) for number in range(BATCH)]
