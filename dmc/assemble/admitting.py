"""What `dmc broker add` does: a file of this machine straight into the queue, refused where an upload would be."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmc.assemble.local import head_of
from dmc.conversions import check_fits, find_conversion, guess_media_type, with_own_types
from dmc.errors import NotMedia, Refused, TooLarge, Unavailable
from dmc.server_settings import ServerSettings

if TYPE_CHECKING:
    from dmc.assemble.server import Parts
    from dmc.items import Item


def admit_file(
    parts: "Parts", settings: ServerSettings, file: Path, kind: str, options: dict[str, Any], *, ignore_quota: bool = False
) -> "Item":
    """Copy a file into the queue, hashed while copied. Raises NotMedia, UnfitConversion, UnknownConversion, TooLarge."""
    from dmc.broker.admission import admit_local

    medium = guess_media_type(file.name, head_of(file))
    if medium is None:
        raise NotMedia(f"{file.name} is no video, sound or picture by its name or first bytes.", "Give it the ending of its format.")
    if medium not in settings.list_of_supported_media_types:
        raise NotMedia(f"this server does not take {medium}.", "See list_of_supported_media_types in server.toml.")
    check_fits(find_conversion(kind, with_own_types(settings.conversion_types)), medium)
    size = file.stat().st_size
    if size > settings.limits.max_file_size:
        raise TooLarge(
            f"{file.name} has {size} bytes, and this server takes at most {settings.limits.max_file_size}.", "See max_file_size."
        )
    if not ignore_quota:
        _check_quota(parts, settings, size)
    return admit_local(parts.admissions, file, conversion_type=kind, options=options, media_type=medium, floor=settings.limits.disk_floor)


def _check_quota(parts: "Parts", settings: ServerSettings, size: int) -> None:
    """Counted as the server counts: what items have on the disk, and all that open uploads are promised."""
    from dmc.broker.admission import LOCAL_CLIENT
    from dmc.broker.allowance import Allowance, held_bytes
    from dmc.server.left_behind import arriving_bytes, open_records

    allowance = Allowance(settings.limits.max_bytes_per_client, settings.limits.max_bytes_total)
    if not allowance:
        return
    mine, of_all = held_bytes(parts.ledger, LOCAL_CLIENT)
    of_all += arriving_bytes(parts.storage)
    for record, _ in open_records(parts.storage, parts.ledger, parts.disk):
        of_all += record.length or parts.storage.size_of(record.item_id, record.file_name) or 0
    try:
        allowance.check(size, of_client=mine, of_all=of_all)
    except (Refused, Unavailable) as problem:
        problem.hint = f"{problem.hint} Or say --ignore-quota."
        raise
