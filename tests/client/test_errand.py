"""What the commands of this client do beside, or without, a running client."""

import threading

from dmc.client.errand import Errand
from dmc.client.outbox_memory import MemoryOutbox
from dmc.client.records import OutboxStatus
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
