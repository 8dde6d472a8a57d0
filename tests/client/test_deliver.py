"""C14, C16: which name a result gets, and that nothing is ever replaced."""

import hashlib
import os
import re
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest

from dmc.client import deliver, naming
from dmc.client.model import ObservedPath, Timing
from dmc.client.records import OutboxRecord, OutboxStatus, encode_path
from dmc.client.sweep import OLD_S, sweep
from dmc.client.transport import note_beside
from dmc.files import RealDisk
from dmc.jobs import ResultFacts
from tests.client.world import World

WHEN = datetime(2026, 11, 21, 8, 9, 10, tzinfo=UTC)
RESULT = b"the result"


def first_names(source: str, ending: str = ".mkv", *, newer: bool = False) -> list[str]:
    return list(islice(naming.names(Path(source), ending, WHEN, "laptop", newer=newer), 4))


def a_record(source: Path, **fields: object) -> OutboxRecord:
    facts = ResultFacts(file_name="result.mkv", file_size=len(RESULT), sha512_checksum=hashlib.sha512(RESULT).hexdigest())
    known = {
        "id": "0192f0c4-11aa-7000-8000-000000000001",
        "version": 1,
        "status": OutboxStatus.FINISHED_SUCCESSFUL,
        "created_at": "2026-01-01T00:00:00.000000Z",
        "file_path": encode_path(source),
        "size": 1,
        "mtime_ns": 10**18,
        "ctime_ns": 0,
        "inode": 0,
        "dev": 0,
        "result": facts,
    }
    return OutboxRecord.model_validate(known | fields)


def test_C14_names_in_order() -> None:
    assert first_names("/drop/clip.mp4") == [
        "clip.mkv",
        "clip.mp4.mkv",
        "clip.conflict-20261121T080910Z-laptop.mkv",
        "clip.conflict-20261121T080910Z-laptop-2.mkv",
    ]


def test_C14_a_newer_content_goes_to_a_conflict_name_at_once() -> None:
    assert first_names("/drop/clip.mp4", newer=True)[1] == "clip.conflict-20261121T080910Z-laptop.mkv"


def test_C14_a_name_without_an_ending_has_no_second_name() -> None:
    assert first_names("/drop/clip")[:2] == ["clip.mkv", "clip.conflict-20261121T080910Z-laptop.mkv"]


@pytest.mark.parametrize("stem", ["a" * 251, "é" * 125, "🎬" * 62, os.fsdecode(b"\xff" * 251)])
def test_C16_every_name_fits_into_255_bytes_and_keeps_its_tail(stem: str) -> None:
    for name in first_names(f"/drop/{stem}.mp4"):
        assert len(os.fsencode(name)) <= 255
        assert name.endswith(".mkv")
    assert first_names(f"/drop/{stem}.mp4")[2].endswith(".conflict-20261121T080910Z-laptop.mkv")


def test_the_folder_is_the_same_subfolder_below_the_results(tmp_path: Path) -> None:
    root = ObservedPath(tmp_path / "drop")
    record = a_record(tmp_path / "drop/a/b/clip.mp4")
    assert deliver.target_folder(record, root) == tmp_path / "drop/converted/a/b"
    assert deliver.target_folder(record, ObservedPath(tmp_path / "drop", output=tmp_path / "out")) == tmp_path / "out/a/b"
    assert deliver.target_folder(record, ObservedPath(tmp_path / "other")) == tmp_path / "other/converted"


def test_C14_a_file_that_is_there_is_left_alone_and_the_part_stays(tmp_path: Path) -> None:
    temp, target = tmp_path / ".dmc-temp", tmp_path / "clip.mkv"
    temp.write_bytes(RESULT)
    target.write_bytes(b"mine!!!!!!")
    assert not deliver.put_in_place(a_record(tmp_path / "clip.mp4"), temp, target, RealDisk())
    assert target.read_bytes() == b"mine!!!!!!"
    assert temp.read_bytes() == RESULT


def test_a_result_is_put_in_place_once_however_often_it_is_tried(tmp_path: Path) -> None:
    temp, target, record = tmp_path / ".dmc-temp", tmp_path / "clip.mkv", a_record(tmp_path / "clip.mp4")
    temp.write_bytes(RESULT)
    note_beside(temp).write_bytes(b"{}")
    os.link(temp, target)
    for _ in range(2):
        assert deliver.put_in_place(record, temp, target, RealDisk())
        assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mkv"]


def test_a_link_at_the_place_of_a_result_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(RESULT)
    (tmp_path / "clip.mkv").symlink_to("real")
    assert not deliver.is_result(a_record(tmp_path / "clip.mp4"), tmp_path / "clip.mkv")


@pytest.mark.parametrize(("source", "result"), [(0o644, 0o644), (0o600, 0o600), (0o400, 0o600), (0o755, 0o644), (0o4777, 0o666)])
def test_the_mode_is_never_wider_than_that_of_the_source(tmp_path: Path, source: int, result: int) -> None:
    temp = tmp_path / "temp"
    temp.write_bytes(RESULT)
    deliver.dress(temp, a_record(tmp_path / "clip.mp4", mode=source & 0o777), RealDisk())
    assert temp.stat().st_mode & 0o7777 == result
    assert temp.stat().st_mtime_ns == 10**18


def test_missing_folders_are_made_each_durable_in_its_parent(tmp_path: Path) -> None:
    synced: list[Path] = []

    class Recording(RealDisk):
        def sync_folder(self, path: Path) -> None:
            synced.append(path)
            super().sync_folder(path)

    deliver.make_folders(tmp_path / "a/b/c", Recording())
    deliver.make_folders(tmp_path / "a/b/c", Recording())
    assert synced == [tmp_path, tmp_path / "a", tmp_path / "a/b"]


def test_only_old_parts_of_ours_that_nobody_remembers_are_swept(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in (
        ".dmc-0123456789ab",
        "deep/.dmc-0123456789ac",
        "deep/.dmc-0123456789ac.json",
        ".dmc-0123456789ad",
        ".dmc-other",
        "clip.mkv",
    ):
        (tmp_path / name).touch()
    (tmp_path / ".dmc-0123456789ae").symlink_to("clip.mkv")
    now = (tmp_path / "clip.mkv").stat().st_ctime
    assert sweep([tmp_path], {".dmc-0123456789ad"}, now + OLD_S - 60) == 0
    assert sweep([tmp_path, tmp_path / "nowhere"], {".dmc-0123456789ad"}, now + OLD_S + 60) == 3
    left = sorted(path.name for path in tmp_path.rglob("*") if not path.is_dir())
    assert left == [".dmc-0123456789ad", ".dmc-0123456789ae", ".dmc-other", "clip.mkv"]


def test_sidecars_get_the_stem_of_the_result_and_replace_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, timing=Timing(settle_s=0.5))
    world.beside = {"result.3.mks": b"subtitles", "result.4.ttf": b"a font"}
    home = world.folder / "converted"
    home.mkdir()
    (home / "clip.3.mks").write_bytes(b"mine")
    (home / "clip.4.ttf").write_bytes(b"a font")
    world.drop("clip.mp4", b"original")
    world.run(300, until=world.all_done)
    assert {path.name: path.read_bytes() for path in home.iterdir() if path.suffix != ".mkv"} == {
        "clip.3.mks": b"mine",
        "clip (2).3.mks": b"subtitles",
        "clip.4.ttf": b"a font",
    }
    assert (home / "clip (2).3.mks").stat().st_mtime_ns == (home / "clip.mkv").stat().st_mtime_ns


def test_a_sidecar_of_a_strange_name_stays_in_the_folder(tmp_path: Path) -> None:
    place = next(deliver.beside(tmp_path / "clip.mkv", "result.../../etc/passwd"))
    assert place.parent == tmp_path and place.name.startswith("clip.")


def test_a_sidecar_that_is_not_what_was_announced_never_comes_home(tmp_path: Path) -> None:
    world = World(tmp_path, timing=Timing(settle_s=0.5))
    world.beside = {"result.3.mks": b"subtitles"}
    world.drop("clip.mp4", b"original")
    world.run(60, until=lambda: bool(world.server.results))
    for key in world.server.sidecars:
        world.server.sidecars[key] = b"something"
    world.run(120)
    assert world.statuses() == ["parked"], "not acknowledged: the server keeps it, and a person is told"
    assert [path.name for path in (world.folder / "converted").iterdir() if not path.name.startswith(".")] == ["clip.mkv"]


@pytest.mark.parametrize("ending", ["\0", "a\nb", "\x1b[2J", "\udcff"])
def test_an_ending_that_a_server_made_up_is_harmless(tmp_path: Path, ending: str) -> None:
    record = a_record(tmp_path / "clip.mp4", result=ResultFacts(file_name=f"x.{ending}", file_size=1, sha512_checksum=""))
    name = next(naming.names(record.path, deliver.ending_of(record), WHEN, "laptop", newer=False))
    assert re.fullmatch(r"clip\.[A-Za-z0-9_]+", name)
