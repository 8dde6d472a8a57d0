"""What needs no server, put together from settings: converting here and now, probing, planning."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmc.assemble.server import head_of, limits_of, start_pool
from dmc.clock import SystemClock
from dmc.config import load_server
from dmc.conversions import DEFAULT_CONVERSIONS, built_in, find_conversion, guess_media_type, with_own_types
from dmc.errors import NotFound, NotMedia
from dmc.files import RealDisk

if TYPE_CHECKING:
    from dmc.convert.launch import Launcher
    from dmc.convert.local import LocalRun


def conversion_for(file: Path) -> str:
    """The default conversion type for a file; raises NotFound or NotMedia."""
    try:
        medium = guess_media_type(file.name, head_of(file))
    except OSError as problem:
        raise NotFound(f"cannot read {file}: {problem.strerror}.") from None
    if medium is None:
        raise NotMedia(f"{file.name} is no video, sound or picture by its name or first bytes.", "Name the type: --to TYPE")
    return DEFAULT_CONVERSIONS[medium]


def local_run(workers: int | None, output: Path | None, warming: "Launcher | None" = None) -> "LocalRun":
    """Conversion here and now; results go to `output`, or beside each file. `warming`: see warm.py."""
    from dmc.client.deliver import names
    from dmc.convert.local import LocalRun

    settings = load_server().settings
    wanted = settings.model_copy(update={"number_of_conversion_threads": workers or settings.number_of_conversion_threads})
    pool = start_pool(wanted, warming)

    def targets(source: Path, ending: str) -> Iterator[Path]:
        found = names(source, ending, SystemClock().now(), os.uname().nodename, newer=False)
        return ((output or source.absolute().parent) / name for name in found)

    return LocalRun(pool, RealDisk(), targets)


def look_into(file: Path, kind: str | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Facts of a file and, if a conversion type is named, the plan for it; raises what is wrong with the file."""
    from dmc.convert.look import look

    if not file.is_file():
        raise NotFound(f"there is no file {file}.")
    settings = load_server().settings
    if kind is not None:
        types = with_own_types(settings.conversion_types)
        kind, options = built_in(find_conversion(kind, types).name, options or {}, types)
    return look(file, kind, options or {}, limits_of(settings))


def receipt_lines(content: dict[str, Any]) -> list[str]:
    """A receipt for people, in three to eight lines; empty for content that is no receipt."""
    from pydantic import ValidationError

    from dmc.convert.receipt import Receipt, short_lines

    try:
        return short_lines(Receipt.model_validate(content))
    except ValidationError:
        return []
