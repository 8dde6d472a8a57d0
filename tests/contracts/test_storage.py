"""The law of the storage (dmc/broker/storage.py), each line a test, on every variant."""

import errno
import math
from pathlib import Path

import pytest

from dmc.broker import deleted
from dmc.broker.deleted import FILE_NAME
from dmc.broker.storage import Found, Place
from dmc.broker.storage_dirs import StorageDirs
from dmc.broker.storage_memory import StorageMemory
from dmc.errors import NotFound
from dmc.files import RealDisk
from dmc.items import ItemIds

IDS = ItemIds()


class Shelf:
    """A storage and the disk under it."""

    def __init__(self, storage, disk, data=Path("/data")):
        self.storage, self.disk, self.data = storage, disk, data

    def anew(self) -> StorageDirs:
        """The same folders, opened by somebody else."""
        return StorageDirs(self.data, self.disk)

    def arrived(self, content: bytes = b"original") -> str:
        item_id = IDS.next()
        self.disk.write(self.storage.arrive(item_id) / "original.mov", content)
        return item_id

    def admitted(self) -> str:
        item_id = self.arrived()
        self.storage.admit(item_id, "original.mov", {"item_id": item_id})
        return item_id


def dirs(folder: Path) -> Shelf:
    disk = RealDisk()
    storage = StorageDirs(folder, disk)
    storage.prepare()
    return Shelf(storage, disk, folder)


def memory(folder: Path) -> Shelf:
    storage = StorageMemory(folder)
    return Shelf(storage, storage.disk, folder)


@pytest.fixture(params=[dirs, memory], ids=lambda variant: variant.__name__)
def shelf(request, tmp_path) -> Shelf:
    return request.param(tmp_path if request.param is dirs else Path("/data"))


def test_an_item_stands_in_exactly_one_place(shelf):
    item_id = shelf.admitted()
    for place in (Place.TO_DO, Place.IN_PROGRESS, Place.FINISHED, Place.TO_DO):
        shelf.storage.advance(item_id, place)
        assert shelf.storage.place_of(item_id) is place
        assert shelf.storage.places() == [Found(item_id, place, has_ticket=True)]


def test_advancing_to_where_it_stands_does_nothing(shelf):
    item_id = shelf.admitted()
    shelf.storage.advance(item_id, Place.TO_DO)
    shelf.storage.advance(item_id, Place.TO_DO)
    assert shelf.storage.place_of(item_id) is Place.TO_DO


def test_advancing_what_is_not_there_is_told(shelf):
    with pytest.raises(NotFound):
        shelf.storage.advance(IDS.next(), Place.TO_DO)


def test_what_arrives_has_no_ticket_until_it_is_admitted(shelf):
    item_id = shelf.arrived()
    assert shelf.storage.places() == [Found(item_id, Place.INCOMING, has_ticket=False)]
    shelf.storage.admit(item_id, "original.mov", {"colour": "blue"})
    assert shelf.storage.places() == [Found(item_id, Place.INCOMING, has_ticket=True)]
    assert shelf.storage.read_ticket(item_id) == {"colour": "blue"}
    assert shelf.storage.size_of(item_id, "original.mov") == 8


def test_what_is_abandoned_leaves_no_trace(shelf):
    item_id = shelf.arrived()
    shelf.storage.abandon(item_id)
    shelf.storage.abandon(item_id)
    assert (shelf.storage.places(), shelf.storage.folder(item_id)) == ([], None)


def test_abandoning_does_not_touch_an_item_that_was_taken_on(shelf):
    item_id = shelf.admitted()
    shelf.storage.advance(item_id, Place.TO_DO)
    shelf.storage.abandon(item_id)
    assert shelf.storage.place_of(item_id) is Place.TO_DO


def test_removing_takes_everything_and_may_be_repeated(shelf):
    item_id = shelf.admitted()
    shelf.storage.empty_out(item_id)
    shelf.disk.write(shelf.storage.folder(item_id) / "out" / "result.mkv", b"result")
    shelf.storage.remove(item_id)
    shelf.storage.remove(item_id)
    assert shelf.storage.places() == []


def test_C18_what_somebody_deleted_is_remembered_by_whoever_opens_it_next(shelf):
    gone, other = IDS.next(), IDS.next()
    reader = shelf.anew()
    assert reader.owner_of_deleted(gone) is None
    shelf.storage.note_deleted(gone, "a laptop\n")
    shelf.storage.note_deleted(gone, "a laptop\n")
    assert [storage.owner_of_deleted(gone) for storage in (shelf.storage, reader, shelf.anew())] == ["a laptop\n"] * 3
    assert reader.owner_of_deleted(other) is None
    assert shelf.disk.read(shelf.data / FILE_NAME).count(b"\n") == 1


def test_a_line_that_was_cut_takes_no_other_with_it(shelf):
    first, cut, last = IDS.next(), IDS.next(), IDS.next()
    shelf.storage.note_deleted(first, "laptop")
    shelf.disk.append_synced(shelf.data / FILE_NAME, f'["{cut}", "lap'.encode())
    shelf.storage.note_deleted(last, "laptop")
    assert [shelf.anew().owner_of_deleted(item_id) for item_id in (first, cut, last)] == ["laptop", None, "laptop"]


def test_C18_of_very_many_deletions_the_oldest_are_forgotten(shelf, monkeypatch):
    monkeypatch.setattr(deleted, "MOST", 5)
    ids, reader = [IDS.next() for _ in range(11)], shelf.anew()
    for item_id in ids:
        shelf.storage.note_deleted(item_id, "laptop")
        assert reader.owner_of_deleted(item_id) == "laptop"
    assert [item_id for item_id in ids if reader.owner_of_deleted(item_id)] == ids[5:]


def test_out_is_emptied_and_the_rest_stays(shelf):
    item_id = shelf.admitted()
    shelf.storage.empty_out(item_id)
    folder = shelf.storage.folder(item_id)
    shelf.disk.write(folder / "log.txt", b"log")
    shelf.disk.write(folder / "out" / "result.mkv", b"result")
    shelf.disk.make_folder(folder / "out" / "parts")
    shelf.disk.write(folder / "out" / "parts" / "1", b"part")
    shelf.storage.keep_out(item_id)
    shelf.storage.empty_out(item_id)
    assert shelf.disk.names(folder / "out") == []
    assert shelf.disk.names(folder) == ["log.txt", "original.mov", "out", "ticket.json"]


def shared(shelf: Shelf) -> tuple[str, str]:
    """An item with a result, and one whose bytes are links to it."""
    first, second = shelf.admitted(), shelf.admitted()
    for item_id in (first, second):
        shelf.storage.empty_out(item_id)
    shelf.disk.write(shelf.storage.folder(first) / "out" / "result.mkv", b"result")
    assert shelf.storage.share(first, "original.mov", second, "original.mov")
    return first, second


def test_after_sharing_both_are_whole_and_removing_one_leaves_the_other(shelf):
    for gone in (0, 1):
        pair = shared(shelf)
        inodes = {shelf.disk.stat(shelf.storage.folder(item_id) / "out" / "result.mkv").st_ino for item_id in pair}
        assert len(inodes) == 1
        shelf.storage.remove(pair[gone])
        left = shelf.storage.folder(pair[1 - gone])
        assert shelf.disk.read(left / "original.mov") == b"original"
        assert shelf.disk.read(left / "out" / "result.mkv") == b"result"
        assert sorted(shelf.disk.names(left)) == ["original.mov", "out", "ticket.json"]


def test_sharing_again_after_a_crash_leaves_nothing_behind(shelf):
    first, second = shared(shelf)
    shelf.storage.empty_out(second)
    assert shelf.storage.share(first, "original.mov", second, "original.mov")
    assert sorted(shelf.disk.names(shelf.storage.folder(second))) == ["original.mov", "out", "ticket.json"]


def test_what_cannot_be_shared_is_told_and_the_original_stays(shelf, monkeypatch):
    first, second = shared(shelf)
    third = shelf.admitted()
    shelf.storage.empty_out(third)
    assert not shelf.storage.share(first, "gone.mov", third, "original.mov")
    shelf.storage.empty_out(third)

    def no_links(*_):
        raise OSError(errno.EPERM, "this file system knows no hard links")

    monkeypatch.setattr(shelf.disk, "link", no_links)
    assert not shelf.storage.share(second, "original.mov", third, "original.mov")
    assert shelf.disk.read(shelf.storage.folder(third) / "original.mov") == b"original"


def test_an_outcome_is_read_back_and_replaced(shelf):
    item_id = shelf.admitted()
    assert shelf.storage.read_outcome(item_id) is None
    shelf.storage.write_outcome(item_id, {"attempt": 1})
    shelf.storage.write_outcome(item_id, {"attempt": 2})
    assert shelf.storage.read_outcome(item_id) == {"attempt": 2}


def test_a_damaged_outcome_is_as_good_as_none(shelf):
    item_id = shelf.admitted()
    shelf.disk.write(shelf.storage.folder(item_id) / "outcome.json", b'{"attempt":')
    assert shelf.storage.read_outcome(item_id) is None


def test_what_does_not_belong_goes_to_quarantine_and_is_never_deleted(shelf):
    item_id = shelf.admitted()
    place = shelf.storage.folder(item_id).parent
    for _ in range(2):
        shelf.disk.write(place / "notes.txt", b"mine")
        moved = shelf.storage.sweep(math.inf)
        assert len(moved) == 1
        assert "notes.txt" in moved[0]
    quarantine = place.parent / "quarantine"
    assert [shelf.disk.read(quarantine / name) for name in shelf.disk.names(quarantine)] == [b"mine", b"mine"]
    assert shelf.storage.place_of(item_id) is Place.INCOMING


def test_leftover_temporary_files_are_swept(shelf):
    item_id = shelf.admitted()
    folder = shelf.storage.folder(item_id)
    shelf.disk.write(folder / ".dmc-0123456789ab", b"half a ticket")
    shelf.storage.tidy(item_id)
    assert shelf.storage.sweep(math.inf) == []
    assert shelf.disk.names(folder) == ["original.mov", "ticket.json"]


def test_a_young_temporary_file_may_be_somebody_elses(shelf):
    item_id = shelf.admitted()
    data = shelf.storage.folder(item_id).parent.parent
    shelf.disk.write(data / ".dmc-0123456789ab", b"half a token file")
    shelf.storage.sweep(0.0)
    assert ".dmc-0123456789ab" in shelf.disk.names(data)
    shelf.storage.sweep(math.inf)
    assert ".dmc-0123456789ab" not in shelf.disk.names(data)


def test_a_whole_folder_can_be_set_aside(shelf):
    item_id = shelf.admitted()
    data = shelf.storage.folder(item_id).parent.parent
    shelf.storage.set_aside(item_id)
    assert shelf.storage.place_of(item_id) is None
    assert shelf.disk.names(data / "quarantine" / item_id) == ["original.mov", "ticket.json"]


def test_sizes_are_of_files_only(shelf):
    item_id = shelf.admitted()
    shelf.storage.empty_out(item_id)
    assert shelf.storage.size_of(item_id, "out") is None
    assert shelf.storage.size_of(item_id, "nothing") is None
    assert shelf.storage.size_of(IDS.next(), "original.mov") is None


def test_places_can_be_asked_for_one_by_one(shelf):
    waiting, done = shelf.admitted(), shelf.admitted()
    shelf.storage.advance(done, Place.FINISHED)
    assert [found.item_id for found in shelf.storage.places((Place.INCOMING,))] == [waiting]
    assert shelf.storage.touched_at(waiting) is not None
    assert shelf.storage.touched_at(IDS.next()) is None
    assert shelf.storage.free_bytes() > 0


def test_two_file_systems_are_refused(tmp_path):
    class TwoFileSystems(RealDisk):
        def stat(self, path):
            found = super().stat(path)
            if found is None or path.name != "finished":
                return found
            fields = list(found)
            fields[2] += 1
            return type(found)(fields)

    with pytest.raises(Exception, match="different file systems"):
        StorageDirs(tmp_path, TwoFileSystems()).prepare()


def test_a_network_is_refused_before_a_folder_is_made(tmp_path):
    with pytest.raises(Exception, match=r"network file system \(nfs4\)"):
        StorageDirs(tmp_path, RealDisk(), network="nfs4").prepare()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_another_process_moved_is_found_all_the_same(tmp_path):
    storage = StorageDirs(tmp_path, RealDisk())
    storage.prepare()
    shelf = Shelf(storage, RealDisk(), tmp_path)
    item_id = shelf.admitted()
    storage.advance(item_id, Place.IN_PROGRESS)
    for place in (Place.TO_DO, Place.FINISHED, Place.IN_PROGRESS):
        shelf.anew().advance(item_id, place)
        assert storage.place_of(item_id) is place
    shelf.anew().remove(item_id)
    assert storage.place_of(item_id) is None
