"""How items come in: uploads, files of this machine, and asking twice."""

import errno
import hashlib
import os

import pytest

from dmc.broker.admission import LOCAL_CLIENT, Admissions, admit_local
from dmc.broker.ledger_memory import LedgerMemory
from dmc.broker.storage import Place
from dmc.broker.storage_dirs import StorageDirs
from dmc.broker.wishes import wish
from dmc.clock import ManualClock
from dmc.conversions import MediaType
from dmc.errors import DiskFull, UnknownItem, WrongStatus
from dmc.files import RealDisk
from dmc.items import ItemIds, Status, Wish
from tests.broker.fakes import House

CONTENT = b"a short film" * 1000


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


@pytest.fixture
def door(tmp_path):
    storage = StorageDirs(tmp_path / "data", RealDisk())
    (tmp_path / "data").mkdir()
    storage.prepare()
    ledger = LedgerMemory()
    return Admissions(ledger, storage, ManualClock(), ItemIds()), ledger, storage


def local(admissions, file, floor=0):
    return admit_local(admissions, file, conversion_type="h265", options={"crf": 20}, media_type=MediaType.VIDEO, floor=floor)


def test_a_file_of_this_machine_is_copied_in_whole(door, tmp_path):
    admissions, ledger, storage = door
    file = tmp_path / "Holiday 2024.MOV"
    file.write_bytes(CONTENT)
    item = local(admissions, file)
    assert ledger.get(item.item_id) == item
    assert (item.client_id, item.original_file_name, item.current_file_name) == (LOCAL_CLIENT, "Holiday 2024.MOV", "original.mov")
    assert (item.file_size, item.sha512_checksum, item.options) == (len(CONTENT), hashlib.sha512(CONTENT).hexdigest(), {"crf": 20})
    assert (storage.folder(item.item_id) / "original.mov").read_bytes() == CONTENT
    assert file.read_bytes() == CONTENT


def test_what_does_not_fit_above_the_floor_is_refused_and_leaves_nothing(door, tmp_path):
    admissions, ledger, storage = door
    file = tmp_path / "a.mov"
    file.write_bytes(CONTENT)
    with pytest.raises(DiskFull):
        local(admissions, file, floor=1 << 60)
    assert (ledger.select(), storage.places()) == ([], [])


def test_a_disk_that_fills_up_while_the_ticket_is_written_leaves_no_item(house):
    write = house.disk.write

    def full(path, data):
        if path.parent.parent.name == "incoming" and path.name.startswith(".dmc-"):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, data)

    house.disk.write = full
    with pytest.raises(DiskFull):
        house.add()
    assert house.ledger.select() == []


def test_asking_twice_for_the_same_upload_gives_the_same_item(house):
    item_id, folder = house.admissions.begin()
    house.disk.write(folder / "original.mov", CONTENT)
    announced = {
        "client_id": "laptop",
        "label": "a.mov",
        "conversion_type": "h265",
        "options": {},
        "sha512": "ab" * 64,
        "file_size": len(CONTENT),
        "media_type": MediaType.VIDEO,
        "idempotency_key": "key-1",
        "file_name": "original.mov",
    }
    first = house.admissions.admit(item_id, **announced)
    assert house.admissions.admit(item_id, **announced) == first
    assert house.admissions.already("laptop", "key-1") == first
    assert house.admissions.already("desk", "key-1") is None


def test_what_is_being_deleted_does_not_count_as_already_here(house):
    item = house.add(idempotency_key="key-1")
    house.broker.start_up()
    wish(house.ledger, item.item_id, Wish.CANCEL)
    house.settle()
    wish(house.ledger, item.item_id, Wish.DELETE)
    assert house.admissions.already("laptop", "key-1") is None
    house.broker.stop()


def test_an_item_cannot_be_abandoned(house):
    item = house.add()
    house.admissions.abandon(item.item_id)
    assert house.storage.place_of(item.item_id) is Place.INCOMING


def test_new_ids_are_larger_than_those_of_others(house):
    from_the_future = "ffff0000-0000-7000-8000-000000000000"
    item = house.add()
    house.ledger._items[from_the_future] = item.model_copy(update={"item_id": from_the_future})
    assert house.add().item_id > from_the_future


def test_a_wish_must_fit_the_status(house):
    item = house.add()
    with pytest.raises(WrongStatus):
        wish(house.ledger, item.item_id, Wish.DELETE)
    with pytest.raises(UnknownItem):
        wish(house.ledger, ItemIds().next(), Wish.CANCEL)
    assert wish(house.ledger, item.item_id, Wish.CANCEL).version == 2
    assert wish(house.ledger, item.item_id, Wish.CANCEL).version == 2
    assert house.status(item.item_id) is Status.TO_DO


def test_a_name_of_this_machine_that_is_not_utf8_becomes_a_harmless_label(door, tmp_path):
    admissions, ledger, _ = door
    file = tmp_path / os.fsdecode(b"my\n\xff.mov")
    file.write_bytes(CONTENT)
    assert ledger.get(local(admissions, file).item_id).original_file_name == "my_\N{REPLACEMENT CHARACTER}.mov"
