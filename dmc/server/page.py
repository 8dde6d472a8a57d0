"""The page's own files, read once at start and served from memory. No build step, nothing from other hosts, nothing inline.

Their addresses hold a digest of all of them, so that a browser may keep them for good and never mixes two versions.
"""

import hashlib
from pathlib import Path

from aiohttp import web

from dmc.server.calls import ANYBODY, Call, add
from dmc.server.middleware import POLICY

FOLDER = Path(__file__).parent / "web"
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
SHELL = "index.html"
ROOT = "/web/"
"""Where the page's files are; in the shell, which names them so, the version comes behind it."""


class Page:
    """`/` and what it loads from `/web/VERSION/`; links begin with `base`."""

    def __init__(self, folder: Path = FOLDER, base: str = "") -> None:
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.suffix in TYPES}
        digest = hashlib.sha256()
        for name, body in files.items():
            digest.update(f"{name} {len(body)}\n".encode() + body)
        self.version = digest.hexdigest()[:16]
        self._shell = files.pop(SHELL).replace(f'"{ROOT}'.encode(), f'"{base}{ROOT}{self.version}/'.encode())
        self._files = files

    def add_routes(self, app: web.Application) -> None:
        add(app, "GET", "/", self._index, Call("The page", ANYBODY, "text/html", also={304: None}))
        add(app, "GET", "/favicon.ico", self._icon, Call("The page's picture", ANYBODY, "image/svg+xml"))
        for path in ("{version}/{name}", "{version}/{folder}/{name}"):
            add(app, "GET", ROOT + path, self._file, Call("A file of the page", ANYBODY, "*/*", refuses=(404,)))

    async def _index(self, request: web.Request) -> web.Response:
        etag = f'"{hashlib.sha256(self._shell).hexdigest()[:32]}"'
        headers = {"ETag": etag, "Cache-Control": "no-cache", "Content-Security-Policy": POLICY}
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=self._shell, headers=headers, content_type="text/html", charset="utf-8")

    async def _icon(self, _: web.Request) -> web.Response:
        return self._answer("icon.svg", "max-age=86400")

    async def _file(self, request: web.Request) -> web.Response:
        if request.match_info["version"] != self.version:
            raise web.HTTPNotFound  # Of another version of dmc: the shell that named it is read anew.
        folder, name = request.match_info.get("folder"), request.match_info["name"]
        return self._answer(f"{folder}/{name}" if folder else name, "public, max-age=31536000, immutable")

    def _answer(self, name: str, caching: str) -> web.Response:
        body = self._files.get(name)
        if body is None:
            raise web.HTTPNotFound
        return web.Response(body=body, headers={"Cache-Control": caching}, content_type=TYPES[Path(name).suffix], charset="utf-8")
