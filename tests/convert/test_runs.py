"""Time that a worker stood still counts for nothing."""

import socket

import pytest

from dmc.convert.conversation import Conversation
from dmc.convert.runs import Run
from dmc.convert.wire import Walls
from dmc.jobs import Job, Progress


@pytest.fixture
def run():
    job = Job(
        item_id="i", attempt=1, original="o", out_dir="d", log_file="l", label="l", conversion_type="h265", file_size=1, sha512_checksum=""
    )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Run(Conversation(job, 100.0), ours, "2026-01-01T00:00:00.000000Z", pid=7)


def test_a_night_frozen_is_no_part_of_speed_and_time_to_go(run):
    run.frozen_at = 160.0
    run.thaw(160.0 + 28_800)
    worker_said = Progress(
        item_id="i", attempt=1, worker_pid=1, fraction=0.5, speed=120 / 28_920, eta_s=28_920.0
    )  # by a clock that went on
    told = run.told(worker_said, 100.0 + 28_920)
    assert (told.speed, told.eta_s) == (pytest.approx(1.0), pytest.approx(120.0))
    assert told.worker_pid == 7


def test_the_silence_before_the_freeze_still_counts(run):
    run.talk.heard_at, run.frozen_at = 140.0, 160.0
    run.thaw(1160.0)
    assert run.talk.heard_at == 1140.0


def test_what_was_heard_while_frozen_is_heard_at_the_thaw(run):
    run.frozen_at, run.talk.heard_at = 160.0, 161.0
    run.thaw(1160.0)
    assert run.talk.heard_at == 1160.0


def test_a_worker_is_frozen_only_when_the_kernel_would_end_it_with_its_parent(run):
    assert not run.may_be_frozen
    run.talk.walls = Walls(mode="off")
    assert run.may_be_frozen
