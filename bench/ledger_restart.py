"""From opening the ledger of a full data folder to the first job handed to an executor."""

from pathlib import Path

from ledger_costs import Cost, timed

from dmc.broker.admission import Admissions
from dmc.broker.broker import Broker, BrokerSettings
from dmc.broker.control import Control
from dmc.broker.ledger import Put
from dmc.broker.ledger_json import LedgerJson
from dmc.broker.recovery import every
from dmc.broker.storage_dirs import StorageDirs
from dmc.broker.threads import ThreadIndex
from dmc.clock import SystemClock
from dmc.conversions import MediaType
from dmc.files import RealDisk
from dmc.items import ItemIds, Status
from dmc.jobs import Job, Report


class NotedJobs:
    """An executor that only notes what it is given."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def poll(self) -> list[Report]:
        return []

    def cancel(self, item_id: str) -> None:
        """Nothing runs."""

    def freeze(self) -> None:
        pass

    def thaw(self) -> None:
        pass

    def free_slots(self) -> int:
        return 1 - len(self.jobs)

    def close(self) -> None:
        """Nothing runs."""


def restart(data: Path) -> Cost:
    """What it costs from opening the ledger to the first job, with a folder for each finished item and one item to do."""
    disk, clock, executor = RealDisk(), SystemClock(), NotedJobs()
    storage = StorageDirs(data, disk)
    storage.prepare()
    with_folders = LedgerJson.open(data, disk)
    for item in every(with_folders, Status.FINISHED_SUCCESSFUL):
        (data / "finished" / item.item_id).mkdir()
    for item in [*every(with_folders, Status.TO_DO), *every(with_folders, Status.IN_PROGRESS)]:
        with_folders.change([Put(item.changed(status=Status.FINISHED_WITH_ERRORS), item.version)])
    admissions = Admissions(with_folders, storage, clock, ItemIds(with_folders.newest_id()))
    item_id, folder = admissions.begin()
    (folder / "original.mov").write_bytes(b"film")
    announced = {"client_id": "c", "label": "a.mov", "conversion_type": "h265", "options": {}, "idempotency_key": None}
    admissions.admit(item_id, **announced, sha512="ab" * 64, file_size=4, media_type=MediaType.VIDEO, file_name="original.mov")

    def begin() -> None:
        ledger, control = LedgerJson.open(data, disk), Control(data, disk, clock)
        threads = ThreadIndex(data, disk, clock)
        broker = Broker(ledger, StorageDirs(data, disk), executor, clock, control, threads, BrokerSettings(disk_floor=0))
        broker.start_up()
        while not executor.jobs:
            broker.step()
        control.release()

    return timed(begin)
