"""What a shell offers for a word that is being typed: conversion types, item ids, servers; from local files only, and quickly.

Nothing here may fail, write or wait: a fault offers nothing.
"""

from collections.abc import Callable, Iterator

from dmc.errors import DmcError

MOST = 200
"""Ids that are offered, the newest; others are accepted all the same."""

Offers = Iterator[tuple[str, str]]
"""What may be typed, and what it is, in one line."""


def _quietly(find: Callable[[str], Offers]) -> Callable[[str], list[tuple[str, str]]]:
    def found(incomplete: str) -> list[tuple[str, str]]:
        try:
            return [offer for offer in find(incomplete) if offer[0].startswith(incomplete)]
        except (DmcError, OSError):
            return []

    return found


def _types(_incomplete: str) -> Offers:
    from dmc.conversions import CONVERSION_TYPES

    yield from ((name, kind.summary) for name, kind in sorted(CONVERSION_TYPES.items()))


def _own_types(_incomplete: str) -> Offers:
    """Types of this machine's server settings; without such a file they are not even imported."""
    from dmc.homes import config_homes

    if any((home / "server.toml").is_file() for home in config_homes()):
        from dmc.config import load_server
        from dmc.conversions import with_own_types

        own = load_server().settings.conversion_types
        yield from ((name, kind.summary) for name, kind in with_own_types(own).items() if name in own)


def _ids(incomplete: str) -> Offers:
    from dmc.assemble.client import newest_records
    from dmc.cli.render import clean, short
    from dmc.config import load_client

    records = newest_records(load_client().settings, MOST)
    for record in reversed(records):
        names = [name for name in (record.item_id, record.id) if name]
        offered = next((name for name in names if name.startswith(incomplete)), names[0])
        yield offered, f"{record.status}, {short(clean(record.label), 40)}"


_built_in, _own = _quietly(_types), _quietly(_own_types)


def conversion_types(incomplete: str) -> list[tuple[str, str]]:
    """Conversion types that begin so."""
    return _built_in(incomplete) + _own(incomplete)


item_ids = _quietly(_ids)
