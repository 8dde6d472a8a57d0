"""Names for results, best first. Imports nothing of dmc, since `dmc convert` needs it at once."""

import os
from collections.abc import Iterator
from datetime import datetime
from itertools import count
from pathlib import Path

NAME_BYTES = 255


def names(source: Path, ending: str, when: datetime, client: str, *, newer: bool) -> Iterator[str]:
    """Names for a result with `ending` (with its dot), best first, endless. `newer`: an older content of the file has the first."""
    stem, old_ending = os.path.splitext(source.name)
    yield fit(stem, ending)
    if old_ending and not newer:
        yield fit(stem, old_ending + ending)
    stamp = f".conflict-{when:%Y%m%dT%H%M%SZ}-{client}"
    yield fit(stem, stamp + ending)
    for number in count(2):
        yield fit(stem, f"{stamp}-{number}{ending}")


def fit(stem: str, tail: str) -> str:
    """`stem` + `tail`, the stem cut so that the name is legal."""
    while stem and len(os.fsencode(stem + tail)) > NAME_BYTES:
        stem = stem[:-1]
    return stem + tail
