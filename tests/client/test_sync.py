"""Stories of a client with servers in memory: every promise of the outbox, step by step."""

from tests.client.world import RESULT, World


def test_a_dropped_file_comes_home_converted_and_acknowledged(world: World) -> None:
    world.drop("clip.mp4", b"original bytes")
    world.run(until=world.all_done)
    assert (world.folder / "converted" / "clip.mkv").read_bytes() == RESULT + b"original bytes"
    (record,) = world.records()
    assert record.status == "acknowledged"
    assert record.server_id == "instance-of-nas"
    assert len(world.server.acknowledged) == 1
    assert (world.folder / "clip.mp4").read_bytes() == b"original bytes"
