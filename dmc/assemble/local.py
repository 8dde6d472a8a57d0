"""What needs no server, put together from settings: converting here and now, probing, planning."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmc.assemble.warm import be_the_only_worker
from dmc.assemble.workers import limits_of, staffing, start_pool
from dmc.clock import SystemClock
from dmc.config import load_server
from dmc.conversions import DEFAULT_CONVERSIONS, ConversionType, check_options, find_conversion, guess_media_type, with_own_types
from dmc.errors import NotFound, NotMedia
from dmc.files import RealDisk

if TYPE_CHECKING:
    from dmc.convert.forecast import Forecast, Wanted
    from dmc.convert.launch import Launcher
    from dmc.convert.local import LocalRun


def head_of(file: Path) -> bytes:
    """The first bytes of a file, enough to guess its medium."""
    with file.open("rb") as opened:
        return opened.read(64)


def conversion_for(file: Path) -> str:
    """The default conversion type for a file; raises NotFound or NotMedia."""
    try:
        medium = guess_media_type(file.name, head_of(file))
    except OSError as problem:
        raise NotFound(f"cannot read {file}: {problem.strerror}.") from None
    if medium is None:
        raise NotMedia(f"{file.name} is no video, sound or picture by its name or first bytes.", "Name the type: --to TYPE")
    return DEFAULT_CONVERSIONS[medium]


def local_run(workers: int | None, output: Path | None, warming: "Launcher | None" = None, *, alone: bool = False) -> "LocalRun":
    """Conversion here and now; results go to `output`, or beside each file. `warming`: see warm.py; `alone`: it is one file only."""
    from dmc.client.naming import names
    from dmc.convert.local import LocalRun

    settings = load_server().settings
    wanted = settings.model_copy(update={"number_of_conversion_threads": workers or settings.number_of_conversion_threads})
    if alone and warming is not None:
        be_the_only_worker(warming, settings.sandbox)
    pool = start_pool(wanted, warming)

    def targets(source: Path, ending: str) -> Iterator[Path]:
        found = names(source, ending, SystemClock().now(), os.uname().nodename, newer=False)
        return ((output or source.parent).absolute() / name for name in found)  # A worker has a current folder of its own.

    return LocalRun(pool, RealDisk(), targets)


def forecasts(files: "Sequence[Wanted]", workers: int, on_progress: Callable[[float], None], *, samples: bool) -> "list[Forecast]":
    """What would be done with each file, told by workers in their locked rooms; `samples`: also what would come of it."""
    from dmc.convert.estimate import ENTRY
    from dmc.convert.forecast import ForecastRun

    if not files:
        return []
    settings = load_server().settings
    wanted = settings.model_copy(update={"number_of_conversion_threads": workers or settings.number_of_conversion_threads})
    return ForecastRun(start_pool(wanted, entry=ENTRY), samples=samples).run(files, on_progress)


def conversions_at_once(workers: int) -> int:
    """How many conversions run side by side here, when `workers` are asked for; 0: as the settings say."""
    return staffing(workers or load_server().settings.number_of_conversion_threads).total


def known_type(name: str, options: dict[str, Any]) -> ConversionType:
    """The conversion type of that name, built in or of the settings; raises UnknownConversion, or BadRequest for a wrong option."""
    types = with_own_types(load_server().settings.conversion_types)
    found = find_conversion(name, types)
    check_options(name, options, types)
    return found


def look_into(file: Path) -> dict[str, Any]:
    """Facts of a file; raises what is wrong with it."""
    from dmc.convert.look import look

    if not file.is_file():
        raise NotFound(f"there is no file {file}.")
    return look(file, limits_of(load_server().settings))


def receipt_lines(content: dict[str, Any]) -> list[str]:
    """A receipt for people, in three to ten lines; empty for content that is no receipt."""
    from pydantic import ValidationError

    from dmc.convert.receipt import Receipt, short_lines

    try:
        return short_lines(Receipt.model_validate(content))
    except ValidationError:
        return []
