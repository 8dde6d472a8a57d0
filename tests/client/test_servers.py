"""One server or several that are away, full, strange, restored or slow. P2–P9, C13."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from dmc.client.model import ServerAddress, Timing
from dmc.client.outbox_memory import MemoryOutbox
from dmc.client.requests import add_file, find, moved, send_again
from dmc.client.transport import Parcel
from dmc.client.transport_memory import MemoryTransport
from dmc.conversions import MediaType
from dmc.errors import DiskFull, ServerUnreachable, SignInNeeded, TooLarge
from dmc.items import ItemIds
from tests.client.world import RESULT, World


def test_C13_a_refused_file_is_parked_with_its_reason_and_the_queue_moves(world: World) -> None:
    world.drop("poison.mp4", b"poison")
    world.server.refusal = TooLarge("the file has more than 5 bytes.", "Send less.")
    world.run(until=world.all_done)
    world.server.refusal = None
    world.drop("fine.mp4", b"fine")
    world.live_longer()
    poison, fine = world.records()
    assert (poison.status, poison.reason, poison.errors[0].code) == ("parked", "the file has more than 5 bytes.", "TooLarge")
    assert fine.status == "acknowledged"


def test_C13_a_parked_file_is_tried_again_when_it_changes_or_somebody_asks(world: World) -> None:
    path = world.drop("poison.mp4", b"poison")
    world.server.refusal = TooLarge("no.")
    world.run(until=world.all_done)
    world.server.refusal = None
    path.write_bytes(b"cured")
    world.run(900, until=lambda: world.statuses() == ["acknowledged"])
    assert list(world.server.originals.values()) == [b"cured"]
    world.server.refusal = TooLarge("no.")
    world.drop("other.mp4", b"other")
    world.run(900, until=lambda: world.statuses() == ["acknowledged", "parked"])
    world.server.refusal = None
    send_again(MemoryOutbox(world.stored), world.records()[1])
    world.run(until=world.all_done)
    assert world.statuses() == ["acknowledged", "acknowledged"]


def test_a_server_that_is_off_at_the_start_gets_everything_when_it_is_back(world: World) -> None:
    world.server.down = True
    for number in range(5):
        world.drop(f"clip {number}.mp4", f"content {number}".encode())
    world.live_longer(3600)
    assert world.statuses() == ["waiting"] * 5
    world.server.down = False
    world.run(120, until=world.all_done)
    assert len(world.results()) == 5


def test_a_server_that_dies_in_the_middle_gets_no_byte_twice(world: World) -> None:
    content = bytes(range(256)) * 4096
    world.server.cut_after = 300_000
    world.drop("clip.mp4", content)
    world.run(until=world.all_done)
    assert world.server.received == len(content)
    assert world.results() == {"clip.mkv": RESULT + content}


def test_P2_another_instance_at_the_address_gets_nothing(world: World) -> None:
    world.drop("clip.mp4")
    world.run(until=world.all_done)
    world.server.instance = "another"
    world.drop("secret.mp4", b"secret")
    world.live_longer(1800)
    assert world.statuses() == ["acknowledged", "waiting"]
    assert len(world.server.items) == 1
    world.server.instance = "instance-of-nas"
    world.run(120, until=world.all_done)


def test_P6_a_new_file_makes_it_ask_at_once(world: World) -> None:
    world.server.down = True
    world.live_longer(3600)
    world.server.down = False
    world.drop("clip.mp4")
    world.sync.pickup.rescan()
    world.run(5, until=world.all_done)


def test_P6_a_jump_of_the_wall_clock_by_a_day_changes_nothing(world: World) -> None:
    world.drop("clip.mp4")
    world.run(1)
    world.clock.jump(86400)
    world.run(10, until=world.all_done)
    world.clock.jump(-2 * 86400)
    world.drop("other.mp4", b"other")
    world.run(400, until=lambda: len(world.stored) == 2 and world.all_done())


def test_P7_a_refused_token_pauses_the_server_and_parks_nothing(world: World) -> None:
    world.server.refusal = SignInNeeded("the token is not known.")
    world.drop("clip.mp4")
    world.live_longer()
    assert world.statuses() == ["uploading"]
    assert world.sync.standings()["nas"].paused
    world.server.refusal = None
    world.run(600, until=world.all_done)


def test_P7_a_full_server_is_left_alone_for_a_while_and_then_tried_again(world: World) -> None:
    world.server.refusal = DiskFull("no space.")
    world.drop("clip.mp4")
    world.live_longer()
    assert world.statuses() == ["uploading"]
    world.server.refusal = None
    world.run(120, until=world.all_done)


def test_P8_an_item_that_a_restored_server_does_not_know_is_offered_again(world: World) -> None:
    world.drop("clip.mp4")
    world.run(converting=False, until=lambda: world.statuses() == ["to_do"])
    world.server.forget(next(iter(world.server.items)))
    world.run(120, until=world.all_done)
    assert world.results() == {"clip.mkv": RESULT + b"moving pictures"}


def test_P8_a_ledger_that_went_back_makes_everything_unacknowledged_be_looked_at(world: World) -> None:
    """Also a result that waits for somebody to download it: it is gone, so the file is converted again."""
    source = world.home / "clip.mp4"
    source.write_bytes(b"by hand")
    add_file(MemoryOutbox(world.stored), source, conversion_type="h265", clock=world.clock, ids=ItemIds())
    world.run(200)
    assert world.statuses() == ["finished_successful"]
    world.server.items.clear()
    world.server.keys.clear()
    world.server.ledger_seq = 0
    world.run(300, until=lambda: len(world.server.items) == 1)
    world.run(60, until=lambda: world.statuses() == ["finished_successful"])


def test_P9_five_minutes_of_overlap_are_enough(world: World) -> None:
    world.server.down = True
    for number in range(20):
        world.drop(f"{number}.mp4", bytes([number]) * 1000)
    world.run(7 * 24 * 3600, longest=60.0)
    world.server.down = False
    world.run(300)
    assert world.all_done() and len(world.results()) == 20


def test_several_servers_each_get_what_they_are_for_and_keep_it(tmp_path: Path) -> None:
    addresses = [
        ServerAddress("films", "http://films", media_types=frozenset({MediaType.VIDEO})),
        ServerAddress("sounds", "http://sounds", media_types=frozenset({MediaType.AUDIO})),
        ServerAddress("spare", "http://spare", conversion_types=frozenset({"h265"})),
    ]
    world = World(tmp_path, addresses=addresses)
    world.drop("clip.mp4", b"film")
    world.drop("song.flac", b"song")
    world.run(converting=False, until=lambda: world.statuses() == ["to_do", "to_do"])
    assert {record.label: record.server_name for record in world.records()} == {"clip.mp4": "films", "song.flac": "sounds"}
    world.servers["films"].down = True
    world.drop("more.mp4", b"more film")
    world.drop("picture.png", b"picture")
    world.live_longer()
    assert {record.label: (record.server_name, record.status.value) for record in world.records()} == {
        "clip.mp4": ("films", "to_do"),
        "song.flac": ("sounds", "acknowledged"),
        "more.mp4": ("spare", "acknowledged"),
        "picture.png": (None, "waiting"),
    }
    world.servers["films"].down = False
    world.run(120, until=lambda: world.statuses().count("acknowledged") == 3)


def test_a_file_that_brings_the_server_down_is_tried_less_and_less_and_holds_up_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.drop("poison.mp4", b"poison")
    for number in range(5):
        world.drop(f"fine {number}.mp4", b"%d" % number)
    tries: list[float] = []
    real = MemoryTransport.send

    def reset_by_poison(self: MemoryTransport, parcel: Parcel, *rest: Any) -> Any:
        if parcel.label == "poison.mp4":
            tries.append(world.clock.monotonic())
            raise ServerUnreachable("reset by peer")
        return real(self, parcel, *rest)

    monkeypatch.setattr(MemoryTransport, "send", reset_by_poison)
    world.run(600)
    assert sorted(world.statuses()) == ["acknowledged"] * 5 + ["uploading"]
    assert len(tries) < 60


def test_a_record_of_a_server_that_is_not_in_the_settings_any_more_can_be_moved(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World(tmp_path, addresses=[ServerAddress("old", "http://old"), ServerAddress("new", "http://new")])
    world.drop("clip.mp4")
    world.run(converting=False, until=lambda: world.statuses() == ["to_do"])
    world.addresses = world.addresses[1:]
    world.restart()
    world.live_longer()
    assert world.statuses() == ["to_do"]
    assert "server not in the settings" in caplog.text
    moved(MemoryOutbox(world.stored), world.records()[0], "new")
    world.run(60, until=world.all_done)
    assert world.records()[0].server_id == "instance-of-new"


def test_the_wait_between_questions_grows_while_nothing_changes(world: World) -> None:
    world.drop("clip.mp4")
    world.run(converting=False, until=lambda: bool(world.server.items))
    asked = []
    real = type(next(iter(world.sync.lanes)).link.transport).progress

    def counted(self: object, ids: list[str]) -> object:
        asked.append(world.clock.monotonic())
        return real(self, ids)  # type: ignore[arg-type]

    type(next(iter(world.sync.lanes)).link.transport).progress = counted  # type: ignore[method-assign, assignment]
    try:
        world.run(300, converting=False)
    finally:
        type(next(iter(world.sync.lanes)).link.transport).progress = real  # type: ignore[method-assign]
    gaps = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert max(gaps[:2]) < 2
    assert 9 < gaps[-1] < 12


def test_timing_of_a_local_household_is_quick(tmp_path: Path) -> None:
    world = World(tmp_path, timing=Timing(settle_s=0.5))
    world.drop("clip.mp4")
    started = world.clock.monotonic()
    world.run(10, until=world.all_done)
    assert world.clock.monotonic() - started < 3


def test_files_of_equal_bytes_that_share_an_item_are_found_by_its_id(world: World) -> None:
    for name in ("one.mp4", "two.mp4"):
        world.drop(name)
    world.run(until=lambda: len(world.records()) == 2)
    outbox = MemoryOutbox(world.stored)
    for record in world.records():
        outbox.put([record.changed(item_id="01a1fbe4-52c0")])
    assert find(outbox, "01a1fbe4").item_id == "01a1fbe4-52c0"


def test_what_is_tried_again_at_the_server_after_its_failure_was_acknowledged_comes_home(world: World) -> None:
    world.drop("clip.mp4")
    world.run(until=lambda: bool(world.server.items), converting=False)
    (item_id,) = world.server.items
    world.server.fail(item_id, "encoder")
    world.run(until=world.all_done, converting=False)
    assert world.records()[0].outcome == "failed"
    version = world.records()[0].version
    world.run(300, converting=False, longest=10.0)
    assert world.records()[0].version == version
    world.restart()
    MemoryTransport(world.server).retry(item_id)
    world.run(300, until=lambda: bool(world.results()) and world.all_done())
    assert (world.results(), len(world.server.items)) == ({"clip.mkv": RESULT + b"moving pictures"}, 1)


def test_C18_a_failed_item_that_the_server_has_deleted_is_asked_after_once_and_not_sent_again(world: World) -> None:
    world.drop("clip.mp4")
    world.run(until=lambda: bool(world.server.items), converting=False)
    (item_id,) = world.server.items
    world.server.fail(item_id, "encoder")
    world.run(until=world.all_done, converting=False)
    world.server.forget(item_id)
    world.live_longer()
    assert (world.statuses(), world.server.items) == (["acknowledged"], {})
    assert world.sync.catalog.queues.failed_at("nas") == {}
