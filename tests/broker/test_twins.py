"""U19: equal bytes with an equal conversion, of whichever client, are converted once; each item lives its own life."""

import errno

import pytest

from dmc.broker.storage import Place
from dmc.broker.twins import content_of
from dmc.broker.wishes import acknowledge, wish
from dmc.items import Outcome, Status, Wish
from dmc.jobs import ErrorNote
from tests.broker.fakes import CONTENT, RESULT, SHA512, House, an_item


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    made.broker.start_up()
    yield made
    made.control.release()


def two(house, **fields):
    """The same bytes of a laptop and of a phone; `fields` is what differs in the second."""
    first = house.add(sha512=SHA512)
    return first, house.add(**({"sha512": SHA512, "client_id": "phone", "label": "VID_0001.mov"} | fields))


def file(house, item, *parts):
    return house.storage.folder(item.item_id).joinpath(*parts)


def inode(house, item, *parts):
    return house.disk.stat(file(house, item, *parts)).st_ino


def test_U19_equal_content_of_two_clients_is_converted_once_and_shares_its_bytes(house):
    first, second = two(house)
    house.settle()
    assert [job.item_id for job in house.workers.submitted] == [first.item_id]
    assert house.status(second.item_id) is Status.TO_DO
    house.workers.convert(first.item_id)
    house.settle()
    assert len(house.workers.submitted) == 1
    done, own = house.ledger.get(first.item_id), house.ledger.get(second.item_id)
    assert (own.status, own.outcome, own.result) == (Status.FINISHED_SUCCESSFUL, Outcome.CONVERTED, done.result)
    assert (own.client_id, own.original_file_name, own.attempt) == ("phone", "VID_0001.mov", 1)
    assert house.storage.place_of(second.item_id) is Place.FINISHED
    assert house.storage.read_outcome(second.item_id)["status"] == "finished_successful"
    for parts in (("original.mov",), ("out", "result.mkv")):
        assert inode(house, first, *parts) == inode(house, second, *parts)


def test_U19_what_was_finished_before_is_taken_over_at_once(house):
    first = house.add(sha512=SHA512)
    house.settle()
    house.workers.convert(first.item_id)
    house.settle()
    second = house.add(sha512=SHA512, client_id="phone")
    house.settle()
    assert house.status(second.item_id) is Status.FINISHED_SUCCESSFUL
    assert len(house.workers.submitted) == 1


@pytest.mark.parametrize("kind", ["kept-original", "skipped"])
def test_U19_an_end_without_a_result_is_taken_over_too(house, kind):
    first, second = two(house)
    house.settle()
    house.workers.end(first.item_id, kind, reason="it is small already.")
    house.settle()
    own = house.ledger.get(second.item_id)
    assert (own.outcome, own.reason, own.result) == (Outcome(kind), "it is small already.", None)


@pytest.mark.parametrize("gone", [0, 1])
def test_U19_each_is_acknowledged_and_deleted_on_its_own_and_the_bytes_live_as_long_as_one_does(house, gone):
    pair = two(house)
    house.settle()
    house.workers.convert(pair[0].item_id)
    house.settle()
    acknowledge(house.ledger, house.clock, pair[gone].item_id, "cd" * 64)
    assert house.ledger.get(pair[1 - gone].item_id).acknowledged_at is None
    house.clock.advance(7 * 86400 + 100)
    house.settle()
    assert house.ledger.get(pair[gone].item_id) is None
    assert house.disk.read(file(house, pair[1 - gone], "original.mov")) == CONTENT
    assert house.disk.read(file(house, pair[1 - gone], "out", "result.mkv")) == RESULT


def test_U19_a_failure_is_nobody_elses(house):
    first, second = two(house)
    house.settle()
    house.workers.end(first.item_id, "failed", errors=(ErrorNote(code="OutOfMemory", message="no."),))
    house.settle()
    assert [job.item_id for job in house.workers.submitted] == [first.item_id, second.item_id]


def test_U19_a_cancelled_twin_gives_way(house):
    first, second = two(house)
    house.settle()
    wish(house.ledger, first.item_id, Wish.CANCEL)
    house.settle()
    assert [job.item_id for job in house.workers.submitted] == [first.item_id, second.item_id]


def test_U19_a_cancelled_item_takes_nothing_over(house):
    first, second = two(house)
    house.settle()
    wish(house.ledger, second.item_id, Wish.CANCEL)
    house.workers.convert(first.item_id)
    house.settle()
    assert house.status(second.item_id) is Status.FINISHED_WITH_ERRORS
    assert house.disk.read(file(house, second, "original.mov")) == CONTENT


@pytest.mark.parametrize(
    "fields", [{"conversion_type": "h264"}, {"options": {"crf": 20}}, {"sha512": "ef" * 64}, {"content": CONTENT + b"!", "sha512": SHA512}]
)
def test_U19_another_conversion_or_other_bytes_have_no_twin(house, fields):
    two(house, **fields)
    house.settle()
    assert len(house.workers.submitted) == 2


@pytest.mark.parametrize("file_name", ["original.mov", "out/result.mkv"])
def test_U19_a_twin_whose_bytes_are_gone_is_not_asked(house, file_name):
    first = house.add(sha512=SHA512)
    house.settle()
    house.workers.convert(first.item_id)
    house.settle()
    house.disk.unlink(file(house, first, file_name))
    second = house.add(sha512=SHA512)
    house.settle()
    assert [job.item_id for job in house.workers.submitted] == [first.item_id, second.item_id]


def test_U19_a_twin_that_is_being_deleted_is_not_asked(house):
    first = house.add(sha512=SHA512)
    house.settle()
    house.workers.convert(first.item_id)
    house.settle()
    second = house.add(sha512=SHA512)
    wish(house.ledger, first.item_id, Wish.DELETE)
    house.settle()
    assert house.ledger.get(first.item_id) is None
    assert house.workers.submitted[-1].item_id == second.item_id


def test_U19_where_files_cannot_be_linked_it_is_converted_again(house, monkeypatch):
    first, second = two(house)
    house.settle()
    house.workers.convert(first.item_id)

    def no_links(*_):
        raise OSError(errno.EMLINK, "too many links")

    monkeypatch.setattr(house.disk, "link", no_links)
    house.settle()
    assert house.workers.submitted[-1].item_id == second.item_id
    assert house.disk.names(file(house, second, "out")) == []


def test_twins_are_told_by_content_and_conversion_never_by_name_or_client():
    item = an_item(options={"a": 1, "b": 2})
    assert content_of(item) == content_of(an_item(options={"b": 2, "a": 1}, client_id="phone", original_file_name="other.mkv"))
    assert content_of(item) != content_of(an_item(options={"a": 1}))
