"""C17: the client touches no original, unless it was asked to, and then only after the acknowledgement."""

import os

from tests.client.world import World


def _facts(path: os.PathLike[str]) -> tuple[int, ...]:
    found = os.stat(path)
    return (found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def test_C17_an_original_stays_untouched_whatever_becomes_of_it(world: World) -> None:
    paths = [world.drop(name, name.encode()) for name in ("fine.mp4", "bad.mp4")]
    before = [_facts(path) for path in paths]
    world.run(converting=False, until=lambda: len(world.server.items) == 2)
    bad = next(item_id for item_id, data in world.server.originals.items() if data == b"bad.mp4")
    world.server.fail(bad, "DamagedMedia", "nothing in it can be decoded.")
    world.run(until=world.all_done)
    assert sorted(world.statuses()) == ["acknowledged", "acknowledged"]
    assert [_facts(path) for path in paths] == before
    assert [path.read_bytes() for path in paths] == [b"fine.mp4", b"bad.mp4"]
