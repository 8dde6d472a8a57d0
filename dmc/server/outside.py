"""How this server is seen from outside: the path before every path (behind a proxy), and by which scheme and host it is asked.

Links carry the base path; requests are taken with it and without it, so a proxy may pass it on or take it away.
"""

import re

from aiohttp import web

from dmc.server.peers import Peers

_HOST = re.compile(r"[A-Za-z0-9._~-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")


class Outside:
    """One server's outside. `base`: "" or a path like "/dmc"."""

    def __init__(self, base: str = "", peers: Peers | None = None) -> None:
        self.base = base
        self._peers = peers or Peers()

    def path(self, path: str) -> str:
        """A path of ours, as whoever is outside asks for it."""
        return self.base + path

    def inner(self, path: str) -> str:
        """The path of ours that an asked path means."""
        return path.removeprefix(self.base) if path.startswith(f"{self.base}/") else path

    def url(self, request: web.Request, path: str) -> str:
        """The whole address of a path of ours. Only the path, where nobody says by which name we were asked.

        Absolute, since some tus clients append a path to the address they asked instead of resolving it.
        """
        host = self._peers.host_of(request)
        return f"{self._peers.scheme_of(request)}://{host}{self.path(path)}" if _HOST.fullmatch(host) else self.path(path)


OUTSIDE = web.AppKey("outside", Outside)
_PLAIN = Outside()


def outside_of(app: web.Application) -> Outside:
    """The outside of an application; a plain one where none was said."""
    return app.get(OUTSIDE, _PLAIN)


def inner_path(request: web.Request) -> str:
    """The path that is asked for, without the base path."""
    return outside_of(request.app).inner(request.path)
