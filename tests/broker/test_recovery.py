"""Starting on what an earlier broker has left, in memory."""

import pytest

from dmc.broker.ledger import Put
from dmc.broker.outcomes import outcome_of
from dmc.broker.storage import Place
from dmc.items import Status, Wish
from tests.broker.fakes import SHA512, House


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path)
    yield house
    house.control.release()


def started(house: House) -> House:
    house.broker.start_up()
    return house


def in_progress(house: House, **fields):
    """An item whose broker died while it was converted."""
    item = house.add()
    begun = item.changed(status=Status.IN_PROGRESS, **fields)
    house.ledger.change([Put(begun, 1)])
    house.storage.advance(item.item_id, Place.IN_PROGRESS)
    house.storage.empty_out(item.item_id)
    house.disk.write(house.storage.folder(item.item_id) / "out" / "half.mkv", b"half")
    return begun


def test_what_was_in_progress_is_to_do_again_with_an_empty_out(house):
    item = in_progress(house)
    started(house)
    now = house.ledger.get(item.item_id)
    assert (now.status, now.crashes, now.errors[0].code) == (Status.TO_DO, 1, "cut_short")
    assert house.storage.place_of(item.item_id) is Place.TO_DO
    assert house.disk.names(house.storage.folder(item.item_id) / "out") == []


def test_the_third_crash_ends_it(house):
    item = in_progress(house, crashes=2)
    started(house)
    now = house.ledger.get(item.item_id)
    assert (now.status, now.errors[-1].code) == (Status.FINISHED_WITH_ERRORS, "crashed_repeatedly")
    assert house.storage.place_of(item.item_id) is Place.FINISHED


def test_an_upload_that_goes_on_is_left_alone(house):
    item_id, folder = house.admissions.begin()
    house.disk.write(folder / "original.mov", b"half of")
    house.clock.jump(-house.clock.now().timestamp())  # The disk in memory counts its times from zero.
    started(house)
    assert house.storage.place_of(item_id) is Place.INCOMING


def test_a_ticket_that_is_just_being_written_is_not_swept_away(house):
    item_id, folder = house.admissions.begin()
    house.disk.write(folder / ".dmc-0123456789ab", b"half a ticket")
    house.clock.jump(-house.clock.now().timestamp())
    started(house)
    assert house.disk.names(folder) == [".dmc-0123456789ab"]
    assert house.storage.place_of(item_id) is Place.INCOMING


def test_an_upload_that_nobody_goes_on_with_is_dropped(house):
    item_id, _ = house.admissions.begin()
    started(house)
    assert house.storage.place_of(item_id) is None


def test_a_folder_that_no_record_knows_goes_to_quarantine(house):
    item_id, folder = house.admissions.begin()
    house.disk.write(folder / "original.mov", b"whose is this")
    house.storage.advance(item_id, Place.TO_DO)
    started(house)
    assert house.storage.place_of(item_id) is None
    assert house.disk.names(folder.parent.parent / "quarantine") == [item_id]


def test_a_lost_terminal_line_is_adopted_from_the_place_and_the_outcome(house):
    item = in_progress(house)
    facts = {"file_name": "result.mkv", "file_size": 3, "sha512_checksum": SHA512}
    done = item.changed(status=Status.FINISHED_SUCCESSFUL, outcome="converted", result=facts, finished_at="2026-01-01T00:00:00.000000Z")
    house.storage.write_outcome(item.item_id, outcome_of(done))
    house.storage.advance(item.item_id, Place.FINISHED)
    started(house)
    assert house.ledger.get(item.item_id) == done


def test_a_lost_claim_and_a_lost_terminal_line_are_adopted_too(house):
    item = house.add()
    done = item.changed(status=Status.FINISHED_WITH_ERRORS)
    house.storage.write_outcome(item.item_id, outcome_of(done))
    house.storage.advance(item.item_id, Place.FINISHED)
    started(house)
    assert house.status(item.item_id) is Status.FINISHED_WITH_ERRORS


def test_an_original_that_is_gone_or_changed_ends_its_item(house):
    gone, changed = house.add(), house.add()
    house.storage.remove(gone.item_id)
    house.disk.write(house.storage.folder(changed.item_id) / "original.mov", b"another")
    started(house)
    assert house.ledger.get(gone.item_id).errors[0].code == "original_missing"
    assert house.ledger.get(changed.item_id).errors[0].code == "original_changed"


def test_D15_a_deletion_that_was_cut_is_begun_again(house):
    item = house.add()
    ended = item.changed(status=Status.FINISHED_WITH_ERRORS)
    house.ledger.change([Put(ended, 1)])
    house.ledger.change([Put(ended.wishing(Wish.DELETE), 2)])
    house.disk.unlink(house.storage.folder(item.item_id) / "ticket.json")
    started(house)
    assert (house.status(item.item_id), house.storage.place_of(item.item_id)) == (None, None)


def test_a_second_start_finds_nothing_to_do(house):
    in_progress(house), house.add()
    started(house)
    before = house.ledger.select()
    house.control.release()
    house.broker = house.new_broker()
    started(house)
    assert house.ledger.select() == before
