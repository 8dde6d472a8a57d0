"""What `dmc up` tells, from records alone."""

import threading
from pathlib import Path
from typing import Any

import pytest

from dmc.cli.render import Screen
from dmc.cli.story import Story
from dmc.client.outbox_memory import MemoryOutbox
from dmc.client.records import OutboxRecord, OutboxStatus, encode_path
from dmc.jobs import ErrorNote, Progress, ResultFacts


class Threads:
    """A thread index that says what it is told to."""

    def __init__(self) -> None:
        self.said: dict[str, Progress] = {}

    def read(self) -> dict[str, Progress]:
        return self.said


def record(**fields: Any) -> OutboxRecord:
    plain: dict[str, Any] = {
        "id": "01890000-0000-7000-8000-000000000001",
        "version": 1,
        "status": OutboxStatus.WAITING,
        "created_at": "2026-01-01T00:00:00Z",
        "file_path": encode_path("/box/clip.mov"),
        "root": encode_path("/box"),
        "size": 1000,
        "mtime_ns": 0,
        "ctime_ns": 0,
        "inode": 1,
        "dev": 1,
        "conversion_type": "h265",
    }
    return OutboxRecord.model_validate(plain | fields)


def test_each_step_is_told_once_and_progress_in_tenths(capsys: pytest.CaptureFixture[str]) -> None:
    outbox, threads = MemoryOutbox(), Threads()
    story = Story(outbox, threads, Screen())
    now = record()
    steps: list[tuple[dict[str, Any], float | None]] = [
        ({}, None),
        ({"status": OutboxStatus.TO_DO, "item_id": "i"}, None),
        ({"status": OutboxStatus.IN_PROGRESS}, 0.05),
        ({}, 0.42),
        ({}, 0.45),
        (
            {
                "status": OutboxStatus.ACKNOWLEDGED,
                "outcome": "converted",
                "result": ResultFacts(file_name="result.mkv", file_size=250, sha512_checksum="0" * 128),
                "result_path": encode_path(Path("/box/converted/clip.mkv")),
            },
            None,
        ),
    ]
    for fields, share in steps:
        now = record() if not outbox.ids() else now.changed(**fields)
        outbox.put([now])
        threads.said = {} if share is None else {"i": Progress(item_id="i", attempt=1, worker_pid=1, fraction=share)}
        _look_once(story)
    assert capsys.readouterr().err.splitlines() == [
        "clip.mov: seen, 1.0 kB, to h265",
        "clip.mov: sent, waits for a worker",
        "clip.mov: converting",
        "clip.mov: 42%",
        "clip.mov: home as converted/clip.mkv (250 B, 75 % smaller)",
    ]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"status": "acknowledged", "outcome": "skipped", "reason": "already H.265"}, "clip.mov: skipped: already H.265"),
        (
            {
                "status": "acknowledged",
                "outcome": "failed",
                "errors": (ErrorNote(code="NotMedia", message="clip.mov is no media.", hint="Look."),),
            },
            "clip.mov is no media. Look.",
        ),
        ({"status": "parked", "reason": "cannot be read"}, "clip.mov: set aside: cannot be read"),
    ],
)
def test_other_ends_have_their_reason(fields: dict[str, Any], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    outbox = MemoryOutbox()
    story = Story(outbox, Threads(), Screen())
    outbox.put([record(**fields)])
    _look_once(story)
    assert capsys.readouterr().err.splitlines() == ["clip.mov: seen, 1.0 kB, to h265", words]


def test_what_was_there_before_is_not_told_again(capsys: pytest.CaptureFixture[str]) -> None:
    outbox = MemoryOutbox()
    outbox.put([record(status="acknowledged", outcome="skipped")])
    _look_once(Story(outbox, Threads(), Screen()))
    assert capsys.readouterr().err == ""


def _look_once(story: Story) -> None:
    stop = threading.Event()
    stop.set()
    story.follow(stop, lambda: True)
