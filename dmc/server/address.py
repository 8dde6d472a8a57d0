"""The address to listen on: what it is, who can reach it, and what it means that it cannot be had."""

import asyncio
import errno
import ipaddress
import socket

from dmc.errors import BadSettings, DmcError, Locked, NoAddress

_NEVER = {socket.EAI_FAMILY, socket.EAI_BADFLAGS, socket.EAI_SERVICE, socket.EAI_SOCKTYPE}
"""What no waiting heals. A name that nobody knows is none of these: early in a start whoever knows it may not be there yet."""

_HINT = "Is listen_on_address right? Then the network is late: a service tries again until it is there."


async def addresses_of(host: str) -> list[str]:
    """The addresses that `host` stands for. Raises NoAddress where it stands for none now, BadSettings where it never will."""
    try:
        infos = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as problem:
        if isinstance(problem, UnicodeError) or problem.errno in _NEVER or not _is_a_name(host):
            raise BadSettings(
                f"{host!r} is no address to listen on: {problem}.", "See listen_on_address; 127.0.0.1 is the default."
            ) from None
        raise NoAddress(f"{host!r} cannot be found: {problem.strerror}.", _HINT) from None
    return [str(info[4][0]) for info in infos]


def _is_a_name(host: str) -> bool:
    """Could somebody know `host`? Not where it is digits alone, and no address."""
    return bool(host) and not any(c.isspace() for c in host) and not host.replace(".", "").isdigit()


def why_not(problem: OSError, host: str, port: int) -> DmcError:
    """What it means that nobody can listen there."""
    if problem.errno in (errno.EADDRNOTAVAIL, None):  # Newer versions of Python leave out addresses that are not there, then miss one.
        return NoAddress(f"cannot listen on {host}:{port}: this machine has no such address.", _HINT)
    return Locked(f"cannot listen on {host}:{port}: {problem.strerror}.", "Is another server running there?")


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach an address."""
    return ipaddress.ip_address(address).is_loopback
