"""Which server takes a file: the first in the settings that is for its medium and conversion type and can be reached. Pure.

A file that a server already took, or began to take, stays with it; that is the record's business and not asked here.
"""

from collections.abc import Collection, Iterable

from dmc.client.model import ServerAddress
from dmc.conversions import MediaType


def fits(server: ServerAddress, media_type: MediaType | None, conversion_type: str) -> bool:
    """Whether `server` is for such files. An unknown medium fits everywhere: the server's probe decides."""
    if media_type is not None and media_type not in server.media_types:
        return False
    return server.conversion_types is None or conversion_type in server.conversion_types


def choose(servers: Iterable[ServerAddress], ready: Collection[str], media_type: MediaType | None, conversion_type: str) -> str | None:
    """The name of the server to send to: the first that fits among those in `ready`; None if all that fit are away."""
    for server in servers:
        if server.name in ready and fits(server, media_type, conversion_type):
            return server.name
    return None


def any_fits(servers: Iterable[ServerAddress], media_type: MediaType | None, conversion_type: str) -> bool:
    """Whether waiting makes sense: some server in the settings is for such files."""
    return any(fits(server, media_type, conversion_type) for server in servers)
