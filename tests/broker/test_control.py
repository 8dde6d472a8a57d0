"""Mode, heartbeat, epoch and thread index: files that other processes read."""

import json
from datetime import timedelta

import pytest

from dmc.broker.control import Control, Mode, Superseded
from dmc.broker.threads import Thread, ThreadIndex
from dmc.clock import ManualClock
from dmc.errors import Locked, UsageFault
from dmc.files import RealDisk
from dmc.jobs import Progress


@pytest.fixture
def clock():
    return ManualClock()


def control(tmp_path, clock) -> Control:
    return Control(tmp_path, RealDisk(), clock, lock_wait_s=0.0)


def test_a_mode_asked_for_in_one_process_is_seen_in_another(tmp_path, clock):
    assert control(tmp_path, clock).mode() is Mode.RUN
    control(tmp_path, clock).ask("pause")
    assert control(tmp_path, clock).mode() is Mode.PAUSE
    with pytest.raises(UsageFault, match="Did you mean 'drain'"):
        control(tmp_path, clock).ask("drian")


def test_a_mode_file_that_makes_no_sense_means_run(tmp_path, clock):
    (tmp_path / "broker.mode").write_text("dance")
    assert control(tmp_path, clock).mode() is Mode.RUN


def test_a_mode_may_have_an_end(tmp_path, clock):
    control(tmp_path, clock).ask("drain", clock.now() + timedelta(hours=1))
    wished = control(tmp_path, clock).wished()
    assert (wished.mode, wished.until) == (Mode.DRAIN, clock.now() + timedelta(hours=1))
    clock.advance(3600)
    assert control(tmp_path, clock).mode() is Mode.RUN
    with pytest.raises(UsageFault, match="no end"):
        control(tmp_path, clock).ask("run", clock.now())


def test_a_heartbeat_has_an_age(tmp_path, clock):
    ours, theirs = control(tmp_path, clock), control(tmp_path, clock)
    assert theirs.beat_age_s() is None
    ours.beat(4711, "epoch", Mode.RUN)
    clock.advance(3)
    assert theirs.beat_age_s() == 3
    assert (theirs.last_beat().pid, theirs.last_beat().mode) == (4711, "run")
    clock.advance(2)
    assert theirs.beat_age_s() == 5
    ours.beat(4711, "epoch", Mode.RUN)
    clock.advance(1)
    assert theirs.beat_age_s() == 1


def test_a_dead_broker_does_not_look_alive_when_the_clock_is_put_back(tmp_path, clock):
    ours, theirs = control(tmp_path, clock), control(tmp_path, clock)
    ours.beat(4711, "epoch", Mode.RUN)
    assert theirs.beat_age_s() == 0
    clock.jump(-3600)
    clock.advance(40)
    assert theirs.beat_age_s() == 40
    assert theirs.waiting()["code"] == "broker-down"


def test_a_living_broker_does_not_look_dead_when_the_clock_is_put_forward(tmp_path, clock):
    ours, theirs = control(tmp_path, clock), control(tmp_path, clock)
    ours.beat(4711, "epoch", Mode.RUN)
    assert theirs.beat_age_s() == 0
    clock.jump(3600)
    clock.advance(1)
    assert theirs.beat_age_s() == 1
    ours.beat(4711, "epoch", Mode.RUN)
    clock.jump(7200)
    clock.advance(2)
    assert theirs.beat_age_s() == 2, "a new sign is no older than the last look"


def test_heartbeats_are_written_twice_a_second_at_most(tmp_path, clock):
    ours = control(tmp_path, clock)
    ours.beat(1, "epoch", Mode.RUN)
    first = ours.last_beat().beat_at
    clock.advance(0.4)
    ours.beat(1, "epoch", Mode.RUN)
    assert ours.last_beat().beat_at == first
    ours.beat(1, "epoch", Mode.PAUSE)
    assert ours.last_beat().mode == "pause"
    clock.advance(0.6)
    ours.beat(1, "epoch", Mode.PAUSE)
    assert ours.last_beat().beat_at > first


def test_the_heartbeat_tells_how_many_workers_are_busy_while_it_is_fresh(tmp_path, clock):
    ours, theirs = control(tmp_path, clock), control(tmp_path, clock)
    assert theirs.workers() is None
    ours.beat(1, "epoch", Mode.RUN, workers={"total": 2, "busy": 0})
    ours.beat(1, "epoch", Mode.RUN, workers={"total": 2, "busy": 1})
    assert theirs.workers() == {"total": 2, "busy": 1}, "a worker that begins is news, and does not wait for half a second"
    clock.advance(40)
    assert theirs.workers() is None


def test_only_one_holds_the_lock_and_the_other_is_told_who(tmp_path, clock):
    ours, theirs = control(tmp_path, clock), control(tmp_path, clock)
    ours.hold()
    ours.beat(4711, "epoch", Mode.RUN)
    with pytest.raises(Locked, match="process 4711"):
        theirs.hold()
    ours.release()
    theirs.hold()
    theirs.release()


def test_a_newer_epoch_stops_the_older_one(tmp_path, clock):
    ours, theirs = control(tmp_path, clock), control(tmp_path, clock)
    epoch = ours.new_epoch()
    ours.check_epoch(epoch)
    theirs.new_epoch()
    with pytest.raises(Superseded):
        ours.check_epoch(epoch)


def test_the_thread_index_names_the_worker_and_what_it_holds(tmp_path, clock):
    progress = Progress(item_id="i", attempt=1, worker_pid=99, fraction=0.5, speed=2.0, eta_s=3.0)
    index = ThreadIndex(tmp_path, RealDisk(), clock)
    index.write([Thread("2026-01-01T00:00:00.000000Z", 2, progress)])
    assert ThreadIndex(tmp_path, RealDisk(), clock).read() == {"i": progress}
    written = json.loads((tmp_path / "threads.json").read_text())
    assert {key: written["99"][key] for key in ("pid", "item_id", "version")} == {"pid": 99, "item_id": "i", "version": 2}
    index.write([])
    assert ThreadIndex(tmp_path, RealDisk(), clock).read() == {"i": progress}, "an end is told with the next turn, half a second later"
    index.write([], at_once=True)
    assert ThreadIndex(tmp_path, RealDisk(), clock).read() == {}


def test_progress_is_written_twice_a_second_at_most(tmp_path, clock):
    index = ThreadIndex(tmp_path, RealDisk(), clock)
    for fraction, shown in ((0.1, 0.1), (0.2, 0.1), (0.3, 0.3)):
        progress = Progress(item_id="i", attempt=1, worker_pid=99, fraction=fraction)
        index.write([Thread("2026-01-01T00:00:00.000000Z", 2, progress)])
        assert index.read()["i"].fraction == shown
        clock.advance(0.3)


def test_a_torn_thread_index_is_as_good_as_none(tmp_path, clock):
    (tmp_path / "threads.json").write_text('{"99": {"pid"')
    assert ThreadIndex(tmp_path, RealDisk(), clock).read() == {}
