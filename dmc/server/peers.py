"""Which address a request really comes from: the connection's own, or what a declared proxy says of it.

`X-Forwarded-*` is believed only from `trusted_proxies`: anybody else could write there what they like.
"""

import ipaddress
from collections.abc import Iterable

from aiohttp import web

from dmc.errors import BadSettings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Peers:
    """Knows the proxies of one server."""

    def __init__(self, trusted_proxies: Iterable[str] = ()) -> None:
        self._proxies = tuple(parse_network(each) for each in trusted_proxies)

    @property
    def has_proxy(self) -> bool:
        return bool(self._proxies)

    def address_of(self, request: web.Request) -> str:
        """The address of whoever asks: through proxies, the last one in the chain that is none of them."""
        address = request.remote or ""
        chain = [part.strip() for part in ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")]
        while chain and chain[-1] and self._trusts(address):
            address = chain.pop()
        return address

    def is_tls(self, request: web.Request) -> bool:
        """Whether the way to whoever asks is encrypted, as far as it can be known here."""
        return self.scheme_of(request) == "https"

    def scheme_of(self, request: web.Request) -> str:
        """`http` or `https`, as whoever asks sees it."""
        told = self._told(request, "X-Forwarded-Proto").lower()
        return told if told in ("http", "https") else request.scheme

    def host_of(self, request: web.Request) -> str:
        """The host (and port) that whoever asks has in their address."""
        return self._told(request, "X-Forwarded-Host") or request.host

    def _told(self, request: web.Request, field: str) -> str:
        """What the proxy next to us says in a field; of a list the last, which is its own. Empty if it may say nothing."""
        if not self._trusts(request.remote or ""):
            return ""
        return ",".join(request.headers.getall(field, [])).rpartition(",")[2].strip()

    def _trusts(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
        return any((mapped or found) in network for network in self._proxies)


def parse_network(text: str) -> Network:
    """An address or a network (`10.0.0.0/8`); raises BadSettings."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise BadSettings(f"{text!r} in trusted_proxies is no address or network.", "It looks like 127.0.0.1 or 10.0.0.0/8.") from None
