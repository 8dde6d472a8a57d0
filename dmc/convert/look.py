"""Looking without touching: the facts of a file as plain values."""

from pathlib import Path
from typing import Any

from dmc.convert.limits import Limits
from dmc.convert.probe import probe


def look(file: Path, limits: Limits) -> dict[str, Any]:
    """Facts of `file`. Raises NotMedia, Unsupported, DamagedMedia, TooLarge."""
    return probe(file, limits, file.name).to_plain()
