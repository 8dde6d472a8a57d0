"""Around every request: an id, errors turned into answers, and the header fields that keep browsers careful.

The only place of the server where an unforeseen error ends: it is logged with its id, and the answer names the id.
"""

import asyncio
import secrets

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from dmc.clock import Clock
from dmc.errors import Broken, DmcError, StillBroken
from dmc.log import Log
from dmc.protocol import TUS_VERSION, UPLOADS
from dmc.server.metrics import Traffic
from dmc.server.outside import inner_path
from dmc.server.replies import HttpRefusal, error_reply, status_of

REQUEST_ID = web.RequestKey("request_id", str)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; media-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load: its own files, and nothing from anybody else."""

SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
}
"""On every answer that does not say otherwise."""

CLIENT_LEFT = 499
"""Counted for requests whose client was gone before the answer was."""

log = Log("server")


def outermost(traffic: Traffic, clock: Clock) -> Middleware:
    """The middleware around all others."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[REQUEST_ID] = secrets.token_hex(8)
        began = clock.monotonic()
        if traffic.stopping:
            reply: web.StreamResponse = error_reply(HttpRefusal(503, "ServerStopping", "the server is stopping."), request[REQUEST_ID])
        else:
            reply = await _answered(request, handler)
        traffic.count(request, reply.status, clock.monotonic() - began)
        if not reply.prepared and (traffic.stopping or not request.content.is_eof()):
            # What is left of the body is not read, so the connection cannot carry another request.
            reply.force_close()
        return reply

    return answer


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except DmcError as problem:
        return _told(request, problem)
    except web.HTTPException as problem:
        return error_reply(_translated(problem), request[REQUEST_ID])
    except asyncio.CancelledError:
        raise
    except ConnectionError:
        if request.transport is not None and not request.transport.is_closing():
            raise
        return web.Response(status=CLIENT_LEFT)  # Nobody is there to see it; aiohttp finds that out when it sends.
    except Exception:
        log.fault("request failed", request=request[REQUEST_ID], method=request.method, path=request.path)
        if request.transport is None:
            raise
        return error_reply(StillBroken("something unforeseen went wrong on the server.", "Its log has the id."), request[REQUEST_ID])


def _told(request: web.Request, problem: DmcError) -> web.StreamResponse:
    status = status_of(problem)
    if isinstance(problem, Broken):
        log.fault("request failed", request=request[REQUEST_ID], method=request.method, path=request.path, code=problem.code)
    else:
        log.debug("request refused", request=request[REQUEST_ID], status=status, code=problem.code)
    return error_reply(problem, request[REQUEST_ID])


def _translated(problem: web.HTTPException) -> HttpRefusal:
    """What aiohttp itself refuses (no such path, another method, a body that is too big), in our shape."""
    headers = {"Allow": problem.headers["Allow"]} if "Allow" in problem.headers else {}
    codes = {404: "NotFound", 405: "MethodNotAllowed", 413: "TooLarge"}
    return HttpRefusal(problem.status, codes.get(problem.status, "BadRequest"), f"{problem.reason.lower()}.", "", headers)


async def add_headers(request: web.Request, reply: web.StreamResponse) -> None:
    """Signal handler: runs just before any answer's header is sent."""
    for name, value in SECURITY.items():
        reply.headers.setdefault(name, value)
    if REQUEST_ID in request:
        reply.headers["X-Request-Id"] = request[REQUEST_ID]
    path = inner_path(request)
    if path == UPLOADS or path.startswith(f"{UPLOADS}/"):
        reply.headers["Tus-Resumable"] = TUS_VERSION
