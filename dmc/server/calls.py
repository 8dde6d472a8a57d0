"""What each call of the API takes and answers, declared where its route is made: `add(app, "GET", path, handler, Call(…))`.

auth.py reads from it who may call, openapi.py tells it to the world. A route that is added without a call is refused by a test.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel

from dmc.server.outside import outside_of
from dmc.server.tokens import Scope

ANYBODY = None
"""The scope of a call that needs no token."""

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""

Expect = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
"""How `Expect: 100-continue` is met."""

_EVERYWHERE = (403, 429, 500, 503)

BYTES = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query or header field; `schema` is JSON Schema."""

    name: str
    about: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    required: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One method of one path.

    `reply` and `body`: a model for JSON, a media type for anything else, None for nothing. `status`: of the answer that carries
    `reply`. `also`: other answers that are no refusals, with the same meaning of `reply`. `refuses`: codes of the error body that only
    this call has; those that every call may have (401, 403, 429, 500, 503) are added by themselves.
    """

    summary: str
    scope: Scope | None = Scope.READ
    reply: type[BaseModel] | str | None = None
    status: int = 200
    body: type[BaseModel] | str | tuple[str, ...] | None = None
    query: tuple[Parameter, ...] = ()
    headers: tuple[Parameter, ...] = ()
    also: Mapping[int, type[BaseModel] | str | None] = field(default_factory=dict)
    refuses: tuple[int, ...] = ()

    @property
    def codes(self) -> frozenset[int]:
        """Every status that this call may be answered with."""
        return frozenset((self.status, *self.also, *self.refuses, *_EVERYWHERE, *(() if self.scope is ANYBODY else (401,))))


def bytes_call(summary: str) -> Call:
    """A call that answers bytes of any medium, whole or in ranges."""
    fields = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Range")
    headers = tuple(Parameter(name, "As HTTP says") for name in fields)
    return Call(summary, reply="*/*", headers=headers, also={206: "*/*", 304: None, 412: None, 416: None}, refuses=(404,))


Calls = dict[tuple[str, str], Call]
CALLS = web.AppKey("calls", Calls)


def add(
    app: web.Application, method: str, path: str, handler: Handler, call: Call, *, head: bool = True, expect: Expect | None = None
) -> None:
    """Add a route with what it takes and answers. `head`: a GET answers HEAD too. `expect`: how `Expect: 100-continue` is met."""
    for each in _asked_as(app, path):
        if method == "GET":
            app.router.add_get(each, handler, allow_head=head, expect_handler=expect)
        else:
            app.router.add_route(method, each, handler, expect_handler=expect)
    _declare(app, method, path, call)


def add_any(app: web.Application, path: str, handler: Handler, calls: Mapping[str, Call], *, expect: Expect | None = None) -> None:
    """The same for a handler that takes every method and looks itself which one is meant (X-HTTP-Method-Override)."""
    for each in _asked_as(app, path):
        app.router.add_route("*", each, handler, expect_handler=expect)
    for method, call in calls.items():
        _declare(app, method, path, call)


def _asked_as(app: web.Application, path: str) -> list[str]:
    """A path with and without the base path; that alone, without a slash behind it, is the page too."""
    base = outside_of(app).base
    return [path] if not base else [path, base + path] + ([base] if path == "/" else [])


def _declare(app: web.Application, method: str, path: str, call: Call) -> None:
    if method not in SAFE and call.scope is Scope.READ:
        raise ValueError(f"{method} {path} changes something: reading is not enough")
    app[CALLS][method, path] = call


def method_of(request: web.Request) -> str:
    """The method that is meant; another one than the request's only where the route takes any."""
    if request.match_info.route.method != "*":
        return request.method
    return request.headers.get("X-HTTP-Method-Override", request.method).upper()


def pattern_of(request: web.Request) -> str | None:
    """The path as it was declared (`/api/v1/items/{item_id}`); None for one that does not exist."""
    resource = request.match_info.route.resource
    if resource is None:
        return None
    outside = outside_of(request.app)
    return "/" if resource.canonical == outside.base else outside.inner(resource.canonical)


def call_of(request: web.Request) -> Call | None:
    """What is called; None for a path or method that does not exist."""
    path = pattern_of(request)
    if path is None:
        return None
    calls, method = request.app[CALLS], method_of(request)
    return calls.get((method, path)) or (calls.get(("GET", path)) if method == "HEAD" else None)
