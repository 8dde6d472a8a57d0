"""What `dmc broker previews` does: workers make the previews, their files come beside the results."""

from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from dmc.assemble.server import open_ledger, open_storage
from dmc.assemble.workers import start_pool
from dmc.errors import DiskFull, UnknownItem, UsageFault
from dmc.files import RealDisk, temp_name
from dmc.server_settings import ServerSettings

if TYPE_CHECKING:
    from dmc.convert.previews_again import Made
    from dmc.items import Item

OnEnd = Callable[[str, str], None]
"""Hears of an item and why it still has no previews; nothing for one that has."""


def items_to_show(settings: ServerSettings, prefixes: list[str]) -> "list[Item]":
    """The finished items with these beginnings of ids, or all that lack previews; those without a file to show are left out.

    Raises UnknownItem for a beginning that no such item has, UsageFault for one that several have.
    """
    from dmc.broker.recovery import every
    from dmc.broker.shown import file_to_show, has_previews

    storage = open_storage(settings)
    with closing(open_ledger(settings, recover=False)) as ledger:
        there = [item for item in every(ledger) if file_to_show(item, storage) is not None]
    if not prefixes:
        return [item for item in there if not has_previews(item, storage)]
    found = []
    for prefix in prefixes:
        fitting = [item for item in there if item.item_id.startswith(prefix)]
        if not fitting:
            said = f"no finished item whose file is there has an id that starts with {prefix!r}."
            raise UnknownItem(said, "See: dmc broker list --status finished_successful")
        if len(fitting) > 1:
            raise UsageFault(f"{len(fitting)} ids start with {prefix!r}.", "Give more of it.")
        found += fitting
    return list({item.item_id: item for item in found}.values())


def make_previews(settings: ServerSettings, items: "list[Item]", on_end: OnEnd) -> None:
    """Make them anew, also beside a running server. Raises DiskFull below `disk_floor`; what was made before that stays."""
    from dmc.broker.shown import file_to_show, put_previews
    from dmc.convert.previews_again import ENTRY, PreviewsRun, Wanted

    storage, disk = open_storage(settings), RealDisk()
    files = [(item, file_to_show(item, storage)) for item in items]
    wanted = [
        Wanted(item.item_id, path, item.original_file_name, item.conversion_type, item.options) for item, path in files if path is not None
    ]

    def end(made: "Made") -> None:
        if storage.free_bytes() - sum(map(len, made.files.values())) < settings.limits.disk_floor:
            raise DiskFull("there is no room for previews above disk_floor.", "Free some space and call it again: what is made stays.")
        gone = bool(made.files) and not put_previews(made.wanted.item_id, made.files, storage, disk)
        on_end(made.wanted.item_id, "it was deleted meanwhile" if gone else made.problem)

    if wanted:
        PreviewsRun(start_pool(settings, entry=ENTRY), settings.data_folder / temp_name()).run(wanted, end)
