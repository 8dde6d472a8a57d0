"""The page's own files, read once at start and served from memory. No build step, nothing from other hosts, nothing inline."""

import hashlib
from pathlib import Path

from aiohttp import web

from dmc.server.calls import ANYBODY, Call, add
from dmc.server.middleware import POLICY

FOLDER = Path(__file__).parent / "web"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Page:
    """`/` and what it loads from `/web/`."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in TYPES}

    def add_routes(self, app: web.Application) -> None:
        add(app, "GET", "/", self._index, Call("The page", ANYBODY, "text/html", also={304: None}))
        add(app, "GET", "/favicon.ico", self._icon, Call("The page's picture", ANYBODY, "image/svg+xml", also={304: None}))
        add(app, "GET", "/web/{name}", self._file, Call("A file of the page", ANYBODY, "*/*", also={304: None}, refuses=(404,)))

    async def _index(self, request: web.Request) -> web.Response:
        return self._answer(request, "index.html")

    async def _icon(self, request: web.Request) -> web.Response:
        return self._answer(request, "icon.svg")

    async def _file(self, request: web.Request) -> web.Response:
        return self._answer(request, request.match_info["name"])

    def _answer(self, request: web.Request, name: str) -> web.Response:
        body = self._files.get(name)
        if body is None:
            raise web.HTTPNotFound
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {"ETag": etag, "Cache-Control": "no-cache", "Content-Security-Policy": POLICY}
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers=headers, content_type=TYPES[Path(name).suffix], charset="utf-8")
