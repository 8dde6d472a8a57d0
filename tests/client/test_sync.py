"""Stories of a client with servers in memory: every promise of the outbox, told step by step."""

import hashlib

from dmc.client.outbox_memory import MemoryOutbox
from dmc.client.records import OutboxStatus, decode_path
from dmc.client.requests import add_file
from dmc.items import ItemIds
from tests.client.world import RESULT, World


def test_a_dropped_file_comes_home_converted_and_acknowledged(world: World) -> None:
    world.drop("clip.mp4", b"original bytes")
    world.run(until=world.all_done)
    assert world.results() == {"clip.mkv": RESULT + b"original bytes"}
    (record,) = world.records()
    assert (record.status, record.outcome, record.server_id) == ("acknowledged", "converted", "instance-of-nas")
    digest = hashlib.sha512(RESULT + b"original bytes").hexdigest()
    assert world.server.acknowledged == [(record.item_id, digest)]
    assert (world.folder / "clip.mp4").read_bytes() == b"original bytes"


def test_C12_an_outbox_that_was_lost_leads_to_no_second_conversion_and_no_second_fetch(world: World) -> None:
    world.drop("clip.mp4")
    world.run(until=world.all_done)
    world.stored.clear()
    world.restart()
    world.run(until=world.all_done)
    assert len(world.server.items) == 1
    assert world.server.received == len(b"moving pictures")
    assert list(world.results()) == ["clip.mkv"]
    assert decode_path(world.records()[0].result_path or "") == world.folder / "converted/clip.mkv"


def test_C12_an_outbox_that_was_lost_before_the_result_came_still_brings_it_home(world: World) -> None:
    world.drop("clip.mp4")
    world.run(converting=False, until=lambda: bool(world.server.items))
    world.stored.clear()
    world.restart()
    world.run(until=world.all_done)
    assert (len(world.server.items), list(world.results())) == (1, ["clip.mkv"])


def test_C12_without_check_the_file_is_simply_sent(world: World) -> None:
    world.server.knows_check = False
    world.drop("clip.mp4")
    world.run(until=world.all_done)


def test_C12_a_file_renamed_on_its_way_comes_home_under_its_new_name(world: World) -> None:
    path = world.drop("clip.mp4")
    world.run(converting=False, until=lambda: bool(world.server.items))
    path.rename(world.folder / "renamed.mp4")
    world.run(700, converting=False)
    world.run(until=world.all_done)
    assert (len(world.server.items), list(world.results())) == (1, ["renamed.mkv"])


def test_a_file_deleted_after_an_upload_whose_answer_was_lost_still_comes_home(world: World) -> None:
    path = world.drop("clip.mp4")
    world.server.lose_answers = 2  # That of the creation, and that of the end.
    world.run(60, converting=False, until=lambda: bool(world.server.items))
    path.unlink()
    world.drop("other.txt")
    world.run(120, until=world.all_done)
    assert world.results() == {"clip.mkv": RESULT + b"moving pictures"}


def test_a_file_changed_in_the_middle_of_its_upload_is_taken_back_and_sent_as_it_is(world: World) -> None:
    path = world.drop("clip.mp4", b"1" * 200_000)
    world.server.cut_after = 70_000
    world.run(until=lambda: world.server.received == 70_000)
    path.write_bytes(b"2" * 200_000)
    world.run(900, until=world.all_done)
    assert list(world.server.originals.values()) == [b"2" * 200_000]
    assert world.server.uploads == {}


def test_a_file_added_by_a_command_beside_the_running_client_is_sent_and_waits_for_its_download(world: World) -> None:
    world.run(5)
    source = world.home / "elsewhere.mp4"
    source.write_bytes(b"by hand")
    record = add_file(MemoryOutbox(world.stored), source, conversion_type="web", clock=world.clock, ids=ItemIds())
    world.run(20, until=lambda: world.statuses() == ["finished_successful"])
    world.live_longer()
    assert world.stored[record.id].status is OutboxStatus.FINISHED_SUCCESSFUL
    assert world.server.acknowledged == []
    assert world.sync.idle
