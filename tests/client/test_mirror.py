"""What belongs to a source follows its result: the whole client against a server in memory."""

import errno
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dmc.client import mirror, mirror_jobs
from dmc.client.model import ObservedPath, Timing
from dmc.client.ownership import Ownership
from dmc.client.sweep import _PART
from tests.client.faults import Fuse, FusedDisk, FusedOutbox, Killed
from tests.client.world import RESULT, World


def sidecars(world: World) -> dict[str, bytes]:
    """What lies in the folder for results beside the results; part files of a client that was killed are swept when they are old."""
    lying = {name: data for name, data in world.results().items() if not data.startswith(RESULT)}
    return {name: data for name, data in lying.items() if not _PART.fullmatch(name)}


def home(world: World, count: int = 1) -> None:
    world.run(900, until=lambda: len(world.stored) == count and world.all_done() and world.sync.idle)


def test_what_belongs_to_a_file_comes_home_with_its_result_and_nothing_else_does(world: World) -> None:
    mirrored = {
        "2024/film.srt": b"1",
        "2024/film.de.forced.ass": b"2",
        "2024/film.nfo": b"3",
        "2024/film.sub": b"\x00\x00\x01\xba subtitles that begin like a video",
        "2024/film.idx": b"4",
    }
    for name, data in mirrored.items():
        world.drop(name, data)
    world.drop("2024/FILM.THM", b"\xff\xd8\xff a picture that nobody wants by itself")
    world.drop("2024/film.mov.xmp", b"5")
    for name in ("films.srt", "@eaDir/film.srt", "._film.srt", ".film.srt", ".stfolder/film.srt", "film.srt.part", "film.zip", "notes.txt"):
        world.drop(f"2024/{name}", b"no")
    (world.folder / "2024" / "film.en.srt").symlink_to("/etc/hostname")
    source = world.drop("2024/film.mov")
    home(world)
    picture = {"2024/film.THM": b"\xff\xd8\xff a picture that nobody wants by itself"}
    assert sidecars(world) == {**mirrored, **picture, "2024/film.mkv.xmp": b"5"}
    assert source.exists() and all((world.folder / name).read_bytes() == data for name, data in mirrored.items())
    before = world.sync.catalog.get(next(iter(world.stored)))
    world.restart()
    world.live_longer()
    assert world.sync.catalog.get(next(iter(world.stored))) == before
    assert not list(world.home.rglob(".dmc-[0-9a-f]*"))


def test_it_has_the_time_of_its_source_and_opens_to_nobody_who_could_not_read_that(tmp_path: Path) -> None:
    world = World(tmp_path, observed=[ObservedPath(tmp_path / "drop", ownership=Ownership(umask=0o027))])
    source = world.drop("film.srt")
    secret = world.drop("film.nfo")
    os.chmod(source, 0o644)
    os.chmod(secret, 0o600)
    os.utime(source, ns=(10**18, 10**18))
    world.drop("film.mkv")
    home(world)
    found = (world.folder / "converted" / "film.srt").stat()
    assert (found.st_mode & 0o777, found.st_mtime_ns) == (0o640, 10**18)
    assert (world.folder / "converted" / "film.nfo").stat().st_mode & 0o777 == 0o600


def test_one_that_arrives_or_changes_later_is_copied_at_the_next_walk(world: World) -> None:
    world.drop("film.mkv")
    home(world)
    late = world.drop("film.srt", b"late")
    world.live_longer()
    assert sidecars(world) == {"film.srt": b"late"}
    late.write_bytes(b"later")
    world.live_longer()
    assert sidecars(world) == {"film.srt": b"later"}
    world.restart()
    late.write_bytes(b"last")
    world.live_longer()
    assert sidecars(world) == {"film.srt": b"last"}


def test_a_source_that_loses_its_sidecar_leaves_the_copy_alone(world: World) -> None:
    sidecar = world.drop("film.srt", b"mine")
    world.drop("film.mkv")
    home(world)
    sidecar.unlink()
    world.live_longer()
    assert sidecars(world) == {"film.srt": b"mine"}


def test_what_dmc_did_not_write_or_somebody_changed_is_not_replaced(world: World) -> None:
    (world.folder / "converted").mkdir()
    (world.folder / "converted" / "film.nfo").write_bytes(b"theirs")
    info, text = world.drop("film.nfo", b"ours"), world.drop("film.srt", b"first")
    world.drop("film.mkv")
    home(world)
    assert sidecars(world) == {"film.nfo": b"theirs", "film (2).nfo": b"ours", "film.srt": b"first"}
    (world.folder / "converted" / "film.srt").write_bytes(b"corrected")
    (world.folder / "converted" / "film (2).nfo").unlink()
    world.live_longer()
    assert sidecars(world) == {"film.nfo": b"theirs", "film.srt": b"corrected"}
    text.write_bytes(b"second")
    info.write_bytes(b"newer")
    world.live_longer()
    assert sidecars(world) == {"film.nfo": b"theirs", "film (2).nfo": b"newer", "film.srt": b"corrected", "film (2).srt": b"second"}


def test_a_copy_is_called_after_the_result_it_lies_beside(world: World) -> None:
    (world.folder / "converted").mkdir()
    (world.folder / "converted" / "film.mkv").write_bytes(b"a film of somebody")
    world.drop("film.mov", b"one")
    world.drop("film.en.srt", b"text")
    home(world)
    assert sidecars(world) == {"film.mkv": b"a film of somebody", "film.mov.en.srt": b"text"}


def test_two_sources_with_one_stem_each_have_it_and_follow_its_changes(world: World) -> None:
    world.drop("film.mov", b"one")
    world.drop("film.webm", b"two")
    text = world.drop("film.srt", b"text")
    home(world, 2)
    names = {f"{name.rpartition('.')[0]}.srt" for name, data in world.results().items() if data.startswith(RESULT)}
    assert len(names) == 2 and sidecars(world) == dict.fromkeys(names, b"text")
    text.write_bytes(b"newer")
    world.live_longer()
    assert sidecars(world) == dict.fromkeys(names, b"newer")


def test_results_with_one_stem_share_one_copy(world: World) -> None:
    world.drop("song.wav", b"RIFF\0\0\0\0WAVE sound")
    world.drop("song.mov", b"clip")
    text = world.drop("song.lrc", b"la la")
    home(world, 2)
    text.write_bytes(b"la la la")
    world.live_longer()
    stems = {name.rpartition(".")[0] for name in world.results()}
    assert sidecars(world) == {f"{stem}.lrc": b"la la la" for stem in stems}


def test_what_the_server_took_out_of_the_source_is_not_touched(world: World) -> None:
    world.beside = {"result.srt": b"from inside the film"}
    text = world.drop("film.srt", b"from beside it")
    world.drop("film.mkv")
    home(world)
    expected = {"film.srt": b"from inside the film", "film (2).srt": b"from beside it"}
    assert sidecars(world) == expected
    text.write_bytes(b"newer")
    world.live_longer()
    assert sidecars(world) == {**expected, "film (2).srt": b"newer"}


def test_beside_the_source_and_without_the_setting_nothing_is_copied(tmp_path: Path) -> None:
    for name, observed in (
        ("same", ObservedPath(tmp_path / "same" / "drop", output=tmp_path / "same" / "drop")),
        ("off", ObservedPath(tmp_path / "off" / "drop", sidecars=False)),
    ):
        (tmp_path / name).mkdir()
        world = World(tmp_path / name, observed=[observed])
        world.drop("film.mkv")
        world.drop("film.srt")
        home(world)
        world.live_longer()
        assert [path.name for path in world.folder.rglob("*.srt")] == ["film.srt"]


def test_it_stays_where_it_is_when_the_original_goes_to_the_trash_and_still_follows_the_result(tmp_path: Path) -> None:
    world = World(tmp_path, observed=[ObservedPath(tmp_path / "drop", originals="trash")])
    text = world.drop("deep/film.srt", b"text")
    world.drop("deep/film.mkv")
    home(world)
    assert (world.folder / ".originals" / "deep" / "film.mkv").exists() and text.read_bytes() == b"text"
    assert sidecars(world) == {"deep/film.srt": b"text"}
    text.write_bytes(b"newer")
    world.drop("deep/film.de.srt", b"late")
    world.live_longer()
    assert sidecars(world) == {"deep/film.srt": b"newer", "deep/film.de.srt": b"late"}


def test_one_that_is_too_large_stays_behind_and_a_few_of_too_many_do(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_jobs, "MOST_BYTES", 10)
    monkeypatch.setattr(mirror_jobs, "MOST_BESIDE", 2)
    world.drop("film.srt", b"eleven bytes")
    for language in ("de", "en", "fr"):
        world.drop(f"film.{language}.srt", b"text")
    world.drop("film.mkv")
    home(world)
    assert sorted(sidecars(world)) == ["film.de.srt", "film.en.srt"]


def test_a_result_that_was_taken_away_is_not_followed(world: World) -> None:
    world.drop("film.mkv")
    home(world)
    (world.folder / "converted" / "film.mkv").unlink()
    world.drop("film.srt")
    world.live_longer()
    assert sidecars(world) == {}


def test_no_link_is_followed_to_what_is_copied(world: World) -> None:
    world.drop("deep/film.mkv")
    home(world)
    (world.folder / "deep").rename(world.home / "elsewhere")
    (world.home / "elsewhere" / "film.srt").write_bytes(b"of somebody else")
    (world.folder / "deep").symlink_to(world.home / "elsewhere")
    root = world.sync._roots.all[0]
    world.sync._mirror.heard(root, str(world.folder / "deep" / "film.srt"))
    world.live_longer()
    assert sidecars(world) == {}


def test_nothing_is_put_through_a_link_where_results_are_given_away(tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    world = World(tmp_path, observed=[ObservedPath(folder, ownership=Ownership(user=os.geteuid(), below=folder))])
    world.drop("film.mkv")
    home(world)
    (folder / "converted").rename(tmp_path / "elsewhere")
    (folder / "converted").symlink_to(tmp_path / "elsewhere")
    world.drop("film.srt", b"text")
    world.live_longer()
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["film.mkv"]
    (folder / "converted").unlink()
    (tmp_path / "elsewhere").rename(folder / "converted")
    world.live_longer()
    assert sidecars(world) == {"film.srt": b"text"}


def test_many_of_one_folder_are_dealt_with_in_parts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "AT_ONCE", 3)
    for number in range(8):
        world.drop(f"film{number}.mkv", b"%d" % number)
        world.drop(f"film{number}.srt", b"text %d" % number)
    home(world, 8)
    assert sidecars(world) == {f"film{number}.srt": b"text %d" % number for number in range(8)}


def test_looks_at_a_folder_that_takes_long_leave_room_for_all_else(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, listed = [], mirror_jobs.listed

    def slow(*asked: Any) -> Any:
        looks.append(world.clock.monotonic())
        world.clock.advance(2.0)
        return listed(*asked)

    monkeypatch.setattr(mirror, "AT_ONCE", 1)
    monkeypatch.setattr(mirror_jobs, "listed", slow)
    for number in range(3):
        world.drop(f"film{number}.mkv", b"%d" % number)
        world.drop(f"film{number}.srt", b"text %d" % number)
    home(world, 3)
    assert len(sidecars(world)) == 3
    assert all(later - look >= 2.0 + mirror.REST * 2.0 for look, later in pairwise(looks))


def test_a_disk_that_is_full_delays_the_copy(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = world.disk.write

    def full(path: Path, data: bytes) -> None:
        if data == b"text":
            raise OSError(28, "No space left on device")
        real(path, data)

    monkeypatch.setattr(world.disk, "write", full)
    world.drop("film.srt", b"text")
    world.drop("film.mkv")
    home(world)
    assert sidecars(world) == {}
    monkeypatch.undo()
    world.run(700, longest=10.0)
    assert sidecars(world) == {"film.srt": b"text"}


def test_one_that_cannot_be_read_delays_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    read = mirror_jobs._content

    def bad_sector(fd: int) -> bytes:
        if os.readlink(f"/proc/self/fd/{fd}").endswith("film.srt"):
            raise OSError(errno.EIO, "Input/output error")
        return read(fd)

    monkeypatch.setattr(mirror_jobs, "_content", bad_sector)
    for name in ("film.srt", "film.nfo", "other.srt"):
        world.drop(name, name.encode())
    world.drop("film.mkv")
    world.drop("other.mkv", b"other")
    home(world, 2)
    assert sidecars(world) == {"film.nfo": b"film.nfo", "other.srt": b"other.srt"}
    monkeypatch.undo()
    world.run(700, longest=10.0)
    assert sidecars(world)["film.srt"] == b"film.srt"


def test_a_file_that_dmc_may_not_read_keeps_its_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    digest, theirs = mirror_jobs.sha512_of, world.folder / "converted" / "film.srt"

    def closed(path: Path) -> str:
        if path == theirs:
            raise PermissionError(errno.EACCES, "Permission denied")
        return digest(path)

    monkeypatch.setattr(mirror_jobs, "sha512_of", closed)
    theirs.parent.mkdir()
    theirs.write_bytes(b"theirs")
    world.drop("film.srt", b"text")
    world.drop("film.mkv")
    home(world)
    assert sidecars(world) == {"film.srt": b"theirs", "film (2).srt": b"text"}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("content", [b"first", b"second"], ids=["new", "changed"])
def test_killed_at_any_step_of_copying_it_ends_the_same(tmp_path: Path, after: bool, content: bytes) -> None:
    at, burnt = 0, True
    while burnt:
        at += 1
        (place := tmp_path / f"cut-{at}").mkdir()
        world = World(place, timing=Timing(settle_s=0.5))
        world.drop("film.mkv")
        home(world)
        text = world.drop("film.srt", b"first")
        if content != b"first":
            world.live_longer()
            text.write_bytes(content)
        fuse = Fuse(at, after=after)
        world.disk = FusedDisk(fuse)
        world.wrap_outbox = lambda outbox, fuse=fuse: FusedOutbox(outbox, fuse)  # type: ignore[misc]
        try:
            world.restart()
            world.live_longer()
        except Killed:
            pass
        burnt = fuse.burnt
        world.disk, world.wrap_outbox = FusedDisk(Fuse(None, after=False)), lambda outbox: outbox
        world.restart()
        world.live_longer()
        assert sidecars(world) == {"film.srt": content}
        (copy,) = world.records()[0].companions
        assert (copy.placed, copy.instead_of) == (True, "")
        text.write_bytes(b"at last")
        world.live_longer()
        assert sidecars(world) == {"film.srt": b"at last"}
    assert at > 4
