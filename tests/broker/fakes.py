"""What tests of the broker share: items, a queue in memory, and executors named after what they do to a job."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dmc.broker.admission import Admissions
from dmc.broker.broker import Broker, BrokerSettings
from dmc.broker.control import Control
from dmc.broker.ledger import Ledger
from dmc.broker.ledger_memory import LedgerMemory
from dmc.broker.storage_memory import StorageMemory
from dmc.broker.threads import ThreadIndex
from dmc.clock import ManualClock
from dmc.conversions import MediaType
from dmc.errors import Busy
from dmc.items import Item, ItemIds, Status
from dmc.jobs import ErrorNote, Job, MadeFile, Progress, Report, ResultFacts

CONTENT = b"the bytes of an original"
RESULT = b"the bytes of a result"
SHA512 = "ab" * 64


def an_item(item_id: str = "", **fields: object) -> Item:
    """A record that is to do; `fields` replace what is said here."""
    values = {
        "item_id": item_id or ItemIds().next(),
        "version": 1,
        "status": Status.TO_DO,
        "created_at": "2026-01-01T00:00:00.000000Z",
        "client_id": "laptop",
        "conversion_type": "h265",
        "original_file_name": "holiday.mov",
        "current_file_name": "original.mov",
        "file_size": len(CONTENT),
        "sha512_checksum": SHA512,
    }
    return Item.model_validate(values | fields)


@dataclass
class Workers:
    """An executor whose jobs end when a test says so. Writes results to `disk`, as a worker would to its own."""

    disk: object
    slots: int = 2
    jobs: dict[str, Job] = field(default_factory=dict)
    said: list[Progress | Report] = field(default_factory=list)
    submitted: list[Job] = field(default_factory=list)
    is_open: bool = True
    is_frozen: bool = False

    def submit(self, job: Job) -> None:
        if not self.free_slots():
            raise Busy("every worker is busy.")
        self.jobs[job.item_id] = job
        self.submitted.append(job)

    def poll(self) -> Sequence[Progress | Report]:
        said, self.said = self.said, []
        return said

    def wait(self, timeout_s: float) -> None:
        """Jobs say nothing by themselves."""

    def cancel(self, item_id: str) -> None:
        if item_id in self.jobs:
            self.end(item_id, "cancelled", errors=(ErrorNote(code="cancelled", message="cancelled on request."),))

    def freeze(self) -> None:
        self.is_frozen = True

    def thaw(self) -> None:
        self.is_frozen = False

    def free_slots(self) -> int:
        return 0 if self.is_frozen else self.slots - len(self.jobs)

    def close(self) -> None:
        self.is_open = False
        self.jobs.clear()

    def get_on(self, item_id: str, fraction: float) -> None:
        """Let a job report progress."""
        job = self.jobs[item_id]
        self.said.append(Progress(item_id=item_id, attempt=job.attempt, worker_pid=4711, fraction=fraction))

    def end(self, item_id: str, kind: str, **fields: object) -> None:
        """Let a job end with a report of this kind."""
        job = self.jobs.pop(item_id)
        self.said.append(Report.model_validate({"item_id": item_id, "attempt": job.attempt, "kind": kind} | fields))

    def convert(self, item_id: str, result: bytes = RESULT, beside: tuple[MadeFile, ...] = ()) -> None:
        """Let a job succeed with a result in out/; `beside` is only said to be there."""
        folder = Path(self.jobs[item_id].out_dir)
        self.disk.write(folder / "result.mkv", result)
        self.disk.sync_file(folder / "result.mkv")
        self.disk.sync_folder(folder)
        facts = ResultFacts(file_name="result.mkv", file_size=len(result), sha512_checksum="cd" * 64, sidecars=beside)
        self.end(item_id, "converted", media_type=MediaType.VIDEO, result=facts)


class House:
    """A broker with everything it needs, in memory and on a clock that stands still. `data` is a real folder for the lock file only."""

    def __init__(self, data: Path, *, slots: int = 2, ledger: Ledger | None = None, **settings: object) -> None:
        self.data = data
        self.clock = ManualClock()
        self.ledger = ledger or LedgerMemory()
        self.storage = StorageMemory(Path("/data"))
        self.disk = self.storage.disk
        for folder in (*reversed(data.parents[:-1]), data):
            if self.disk.stat(folder) is None:
                self.disk.make_folder(folder)
        self.control = Control(data, self.disk, self.clock)
        self.threads = ThreadIndex(data, self.disk, self.clock)
        self.workers = Workers(self.disk, slots)
        self.settings = BrokerSettings(disk_floor=1000, **settings)
        self.ids = ItemIds()
        self.admissions = Admissions(self.ledger, self.storage, self.clock, self.ids)
        self.broker = self.new_broker()

    def new_broker(self) -> Broker:
        return Broker(self.ledger, self.storage, self.workers, self.clock, self.control, self.threads, self.settings)

    def add(self, content: bytes = CONTENT, **fields: object) -> Item:
        """Admit an item as the server does."""
        item_id, folder = self.admissions.begin()
        self.disk.write(folder / "original.mov", content)
        arguments = {
            "client_id": "laptop",
            "label": "holiday.mov",
            "conversion_type": "h265",
            "options": {},
            "sha512": hashlib.sha512(item_id.encode()).hexdigest(),  # As if each had bytes of its own; twins are made on purpose.
            "file_size": len(content),
            "media_type": MediaType.VIDEO,
            "idempotency_key": None,
            "file_name": "original.mov",
        }
        return self.admissions.admit(item_id, **(arguments | fields))

    def settle(self) -> None:
        """Step until nothing is left to do."""
        for _ in range(50):
            if not self.broker.step():
                return
        raise AssertionError("the broker does not come to rest")

    def status(self, item_id: str) -> Status | None:
        item = self.ledger.get(item_id)
        return None if item is None else item.status
