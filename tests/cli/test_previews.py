"""`dmc broker previews` as a person calls it: real workers, results untouched."""

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dmc.assemble.previews import OnEnd, make_previews
from dmc.assemble.server import open_ledger, open_storage
from dmc.assemble.workers import worker_ids
from dmc.broker.ledger import Put
from dmc.broker.storage import Place
from dmc.cli.main import run
from dmc.convert.previews_again import Made, PreviewsRun, Wanted
from dmc.files import sha512_of
from dmc.items import Item, Outcome, Status
from dmc.jobs import ResultFacts
from dmc.products import Products
from dmc.server_settings import ServerSettings
from tests.broker.fakes import an_item
from tests.convert.clips import clip


def finished(settings: ServerSettings, source: Path, *, converted: bool) -> Item:
    """A finished item without previews: `source` is its result, or its original that stayed."""
    storage = open_storage(settings)
    item = an_item(original_file_name=source.name, current_file_name=source.name, conversion_type="h265" if converted else "webp")
    folder = storage.arrive(item.item_id)
    (folder / "out").mkdir(exist_ok=True)
    target = folder / "out" / f"result{source.suffix}" if converted else folder / source.name
    (folder / source.name).write_bytes(b"an original")
    target.write_bytes(source.read_bytes())
    result = ResultFacts(file_name=target.name, file_size=target.stat().st_size, sha512_checksum=sha512_of(target))
    size = (folder / source.name).stat().st_size
    storage.admit(item.item_id, source.name, {})
    storage.advance(item.item_id, Place.FINISHED)
    begun = item.changed(status=Status.IN_PROGRESS)
    ended = begun.changed(
        status=Status.FINISHED_SUCCESSFUL,
        outcome=Outcome.CONVERTED if converted else Outcome.KEPT_ORIGINAL,
        result=result if converted else None,
        file_size=size,
    )
    ledger = open_ledger(settings, recover=True)
    ledger.change([Put(item, 0)])
    ledger.change([Put(begun, 1)])
    ledger.change([Put(ended, 2)])
    ledger.close()
    return ended


def out_of(settings: ServerSettings, item: Item) -> Path:
    folder = open_storage(settings).folder(item.item_id)
    assert folder is not None
    return folder / "out"


@pytest.fixture
def house(tmp_path: Path) -> tuple[ServerSettings, Item, Item]:
    settings = ServerSettings(data_folder=tmp_path / "data")
    Image.new("RGB", (400, 300), "green").save(tmp_path / "photo.webp")
    film = finished(
        settings, clip(tmp_path / "film.mkv", codec="libx265", seconds=0.4, tags={"location": "+48.1372+011.5755/"}), converted=True
    )
    return settings, film, finished(settings, tmp_path / "photo.webp", converted=False)


def said(capsys: pytest.CaptureFixture[str], settings: ServerSettings, *words: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["broker", "previews", *words, "--json", "--data-folder", str(settings.data_folder)]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_items_without_previews_get_them_and_nothing_else_changes(
    house: tuple[ServerSettings, Item, Item], capsys: pytest.CaptureFixture[str]
) -> None:
    settings, film, photo = house
    ids = sorted([film.item_id, photo.item_id])
    result = out_of(settings, film) / "result.mkv"
    before = (result.read_bytes(), result.stat().st_mtime_ns, (settings.data_folder / "index.json").read_bytes())
    tried = said(capsys, settings, "--dry-run")
    assert (sorted(tried["items"]), tried["made"], os.listdir(result.parent)) == (ids, [], ["result.mkv"])
    made = said(capsys, settings)
    assert (sorted(made["made"]), made["failed"]) == (ids, {})
    assert sorted(os.listdir(result.parent)) == ["facts.json", "poster.webp", "result.mkv", "sprite.webp"]
    assert sorted(os.listdir(out_of(settings, photo))) == ["facts.json", "poster.webp"]
    assert before == (result.read_bytes(), result.stat().st_mtime_ns, (settings.data_folder / "index.json").read_bytes())
    told = Products.read((result.parent / "facts.json").read_bytes())
    assert told is not None
    assert (told.facts.video_codec, told.facts.latitude, told.notes) == ("hevc", 48.1372, ())
    assert said(capsys, settings)["items"] == []


def test_a_preview_that_was_lost_or_is_asked_for_is_made_anew(
    house: tuple[ServerSettings, Item, Item], capsys: pytest.CaptureFixture[str]
) -> None:
    settings, film, photo = house
    said(capsys, settings)
    (out_of(settings, film) / "poster.webp").unlink()
    (out_of(settings, photo) / "poster.webp").write_bytes(b"short")
    assert sorted(said(capsys, settings)["made"]) == sorted([film.item_id, photo.item_id])
    sprite = out_of(settings, film) / "sprite.webp"
    written = sprite.stat().st_ino
    assert said(capsys, settings, film.item_id)["made"] == [film.item_id]
    assert sprite.stat().st_ino != written
    assert run(["broker", "previews", "no-such-id", "--data-folder", str(settings.data_folder)]) == 5


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_workers_of_another_user_reach_what_they_are_lent_and_the_result_stays_as_it_was() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        settings = ServerSettings(data_folder=Path(folder) / "data", worker_user="nobody")
        assert worker_ids(settings) is not None  # It lets that user pass the data folder.
        Image.new("RGB", (400, 300), "green").save(Path(folder) / "photo.webp")
        item = finished(settings, Path(folder) / "photo.webp", converted=True)
        result = out_of(settings, item) / "result.webp"
        os.chmod(result, 0o600)
        os.chmod(result.parent.parent, 0o700)
        before, entries = result.stat(), set(os.listdir(settings.data_folder))
        ends: list[tuple[str, str]] = []
        make_previews(settings, [item], lambda one, why: ends.append((one, why)))
        assert ends == [(item.item_id, "")]
        after = result.stat()
        assert (after.st_uid, after.st_gid, after.st_mode, after.st_nlink) == (before.st_uid, before.st_gid, before.st_mode, 1)
        assert set(os.listdir(settings.data_folder)) == entries


def test_a_file_that_no_worker_can_read_is_told_and_others_go_on(
    house: tuple[ServerSettings, Item, Item], capsys: pytest.CaptureFixture[str]
) -> None:
    settings, film, photo = house
    result = out_of(settings, film) / "result.mkv"
    result.write_bytes(b"\0" * result.stat().st_size)
    found = said(capsys, settings, code=3)
    assert (found["made"], list(found["failed"])) == ([photo.item_id], [film.item_id])
    assert os.listdir(result.parent) == ["result.mkv"]


def test_an_item_that_is_deleted_before_its_turn_is_told_and_others_go_on(
    house: tuple[ServerSettings, Item, Item], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, film, photo = house

    def deleted_then(chosen: ServerSettings, items: list[Item], on_end: OnEnd) -> None:
        run_them = PreviewsRun.run

        def later(self: PreviewsRun, files: Sequence[Wanted], tell: Callable[[Made], None]) -> None:
            open_storage(settings).remove(film.item_id)
            run_them(self, files, tell)

        monkeypatch.setattr(PreviewsRun, "run", later)
        make_previews(chosen, items, on_end)

    monkeypatch.setattr("dmc.assemble.previews.make_previews", deleted_then)
    found = said(capsys, settings, code=3)
    assert (found["made"], found["failed"]) == ([photo.item_id], {film.item_id: "it was deleted meanwhile"})
    assert open_storage(settings).folder(film.item_id) is None


def test_no_preview_takes_the_room_that_stays_free(
    house: tuple[ServerSettings, Item, Item], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, film, photo = house
    monkeypatch.setenv("DMC_SERVER__LIMITS__DISK_FLOOR", str(1 << 60))
    assert run(["broker", "previews", "--data-folder", str(settings.data_folder)]) == 8
    assert "disk_floor" in capsys.readouterr().err
    assert (os.listdir(out_of(settings, film)), os.listdir(out_of(settings, photo))) == (["result.mkv"], [])
