"""What the commands of this client do beside, or without, a running client."""

import re
import threading

import pytest

from dmc.client.errand import Errand
from dmc.client.outbox_memory import MemoryOutbox
from dmc.client.records import OutboxStatus
from dmc.client.transport_memory import MemoryTransport
from dmc.errors import UsageFault
from tests.client.world import World


def test_watching_ends_when_all_that_is_left_waits_to_be_downloaded(world: World) -> None:
    outbox = MemoryOutbox(world.stored)
    clip = world.drop("clip.mp4")
    errand = Errand(state=world.folder, outbox=outbox, servers=[], disk=world.disk, clock=world.clock, stop=threading.Event())
    record = errand.add(clip, "h265", {})
    outbox.put([record.changed(status=OutboxStatus.FINISHED_SUCCESSFUL)])
    told = errand.changes([])
    assert next(told)[0].id == record.id
    assert next(told, None) is None


def test_C18_what_is_deleted_at_the_server_ends_the_wait_and_is_sent_again_only_by_a_retry(world: World) -> None:
    outbox = MemoryOutbox(world.stored)
    clip = world.drop("clip.mp4")
    servers = [(world.addresses[0], MemoryTransport(world.server))]
    errand = Errand(state=world.folder, outbox=outbox, servers=servers, disk=world.disk, clock=world.clock, stop=threading.Event())
    record = errand.add(clip, "h265", {})

    def deleted_once_sent(*_: object) -> None:
        for item_id in list(world.server.items):
            world.server.delete(item_id)

    errand.deliver([record.id], until_done=True, tell=deleted_once_sent)
    record = errand.look(record.id)
    assert (record.status, record.outcome, record.errors[0].code) == (OutboxStatus.ACKNOWLEDGED, "failed", "deleted")
    assert errand.retry(record) == "clip.mp4 is not at the server any more; it will be sent again."
    assert errand.look(record.id).is_sendable


def test_an_id_that_fits_several_is_told_with_what_it_may_mean(world: World) -> None:
    outbox = MemoryOutbox(world.stored)
    errand = Errand(state=world.folder, outbox=outbox, servers=[], disk=world.disk, clock=world.clock, stop=threading.Event())
    clip, talk = errand.add(world.drop("clip.mp4"), "h265", {}), errand.add(world.drop("talk.wav"), "opus", {})
    outbox.put([talk.changed(status=OutboxStatus.PARKED)])
    with pytest.raises(UsageFault) as told:
        errand.find(clip.id[:1])
    assert told.value.message.startswith("2 items have ids that start with")
    for record, status in ((clip, "waiting"), (talk, "parked")):
        [shown] = re.findall(rf"(\S+) \({status}, {record.label}\)", told.value.hint)
        assert errand.find(shown).id == record.id, "what is told is enough"
