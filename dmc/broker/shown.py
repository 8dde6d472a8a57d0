"""Previews of finished items: who has none, and how they come into an item's folder. Results and records are never touched."""

from pathlib import Path

from dmc.broker.storage import Storage
from dmc.files import Disk, translate, write_loosely
from dmc.items import Item, Status
from dmc.products import FACTS_FILE, MOST_BYTES, Products


def file_to_show(item: Item, storage: Storage) -> Path | None:
    """The result of a finished item, or the original where that stays; None where it is not there, or not as it was."""
    folder = storage.folder(item.item_id)
    if item.status is not Status.FINISHED_SUCCESSFUL or item.wish is not None or item.gone == "files" or folder is None:
        return None
    if item.result is not None:
        name, size = f"out/{item.result.file_name}", item.result.file_size
    else:
        name, size = item.current_file_name, item.file_size
    return folder / name if storage.size_of(item.item_id, name) == size else None


def has_previews(item: Item, storage: Storage) -> bool:
    """Whether facts.json is there, and every preview that it tells of."""
    folder = storage.folder(item.item_id)
    if folder is None:
        return False
    try:
        with (folder / "out" / FACTS_FILE).open("rb") as file:
            told = Products.read(file.read(MOST_BYTES + 1))
    except OSError:
        return False
    previews = () if told is None else (told.poster, told.sprite, told.waveform)
    return told is not None and all(
        one is None or storage.size_of(item.item_id, f"out/{one.file_name}") == one.file_size for one in previews
    )


def put_previews(item_id: str, files: dict[str, bytes], storage: Storage, disk: Disk) -> bool:
    """Put `files` beside the result, in their order; False if the item is gone by now. Not synced: they can be made again."""
    folder = storage.folder(item_id)
    if folder is None:
        return False
    for name, data in files.items():
        try:
            write_loosely(disk, folder / "out" / name, data)
        except FileNotFoundError:
            return False
        except OSError as problem:
            raise translate(problem, "keeping previews") from problem
    return True
