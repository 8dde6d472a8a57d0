"""HTTP exchanges with one server: an event loop in a thread of its own, one session, faults translated, odd answers rejected.

The only place where aiohttp's errors are known. Redirects are not followed, nothing is decompressed, no cookies are kept, and an answer
whose end cannot be told from a cut is refused.
"""

import asyncio
import contextlib
import socket
import threading
import weakref
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import aiohttp
from pydantic import ValidationError
from pydantic_core import from_json
from yarl import URL

from dmc.client.trust import Trust, distrust
from dmc.errors import BadSettings, DmcError, ServerUnreachable, Unavailable
from dmc.protocol import ErrorBody, ErrorDetail, error_from_wire

Value = TypeVar("Value")

CONNECT_S = 5.0
READ_S = 60.0
CALL_S = 60.0
"""Seconds for a whole exchange of JSON."""
PROBE_S = 10.0
CLOSE_S = 5.0
MOST_JSON = 32 * 1024 * 1024
MOST_RETRY_AFTER_S = 86400.0

TRANSFER = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=READ_S)
CALL = aiohttp.ClientTimeout(total=CALL_S, sock_connect=CONNECT_S, sock_read=READ_S)
PROBE = aiohttp.ClientTimeout(total=PROBE_S, sock_connect=CONNECT_S)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that was read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        try:
            return from_json(self.body)  # Not json.loads, which lets half characters pass that no file can hold.
        except ValueError:
            raise not_ours("its answer is not JSON") from None


class LoopThread:
    """An event loop in a thread, started at its first use."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Coroutine[Any, Any, Value]) -> Value:
        """Run `work` in the loop and wait for it; any thread but the loop's own."""
        future = asyncio.run_coroutine_threadsafe(work, self._started())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """End what still runs, do one `last` thing and stop the thread. A later `run` starts anew."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            asyncio.run_coroutine_threadsafe(_cancel_others(), loop).result()
            asyncio.run_coroutine_threadsafe(last(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True)
                self._thread.start()
            return self._loop


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class Calls:
    """Exchanges with the server at `base`; `token` goes only where it is asked for, `trust` is for its certificate."""

    def __init__(self, base: str, token: str | None, trust: Trust = True) -> None:
        try:
            self._base = URL(base)
        except ValueError:
            raise BadSettings(f"{base!r} is no address of a server.") from None
        if self._base.scheme not in ("http", "https") or not self._base.host:
            raise BadSettings(f"{base!r} is no address of a server.", "It looks like http://nas:8770.")
        self._prefix = str(self._base).rstrip("/")
        self._token = token
        self._trust = trust
        self._session: aiohttp.ClientSession | None = None
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    @property
    def has_token(self) -> bool:
        return self._token is not None

    def address(self, path: str) -> str:
        """The whole address of a path of the API."""
        return f"{self._prefix}{path}"

    def path_of(self, location: str) -> str:
        """The path of a Location that the server gave, below the base.

        Scheme and host in it are ignored: behind a proxy they may be the server's inner ones, and no request ever goes anywhere but to
        the base.
        """
        try:
            path = URL(location, encoded=True).raw_path
        except ValueError:
            raise not_ours("a new upload has no address") from None
        if not path.startswith("/"):
            raise not_ours("a new upload has no address")
        return path.removeprefix(self._base.raw_path.rstrip("/"))

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        within: aiohttp.ClientTimeout = CALL,
        anonymous: bool = False,
        fine: tuple[int, ...] = (),
    ) -> Reply:
        """One exchange, read to its end. Statuses below 300, and those in `fine`, are returned; others raise what the server told."""
        async with self.opened(method, path, body=body, headers=headers, within=within, anonymous=anonymous, fine=fine) as answer:
            return Reply(answer.status, answer.headers, await _read(answer))

    @contextlib.asynccontextmanager
    async def opened(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        data: AsyncIterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        within: aiohttp.ClientTimeout = CALL,
        anonymous: bool = False,
        fine: tuple[int, ...] = (),
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The same with the answer's body still to be read. Every fault of the network is ServerUnreachable, also while reading."""
        sent = dict(headers or {})
        if self._token is not None and not anonymous:
            sent["Authorization"] = f"Bearer {self._token}"
        with translated():
            request = self._opened_session().request(
                method,
                URL(self.address(path), encoded=True),
                json=body,
                data=data,
                headers=sent,
                timeout=within,
                allow_redirects=False,
            )
            async with request as answer:
                check_framing(method, answer)
                if answer.status >= 300 and answer.status not in fine:
                    raise await _told(method, answer)
                yield answer

    async def close(self) -> None:
        """Close every connection, also one that is stuck: what was still to be written is dropped."""
        for open_socket in list(self._sockets):
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
        if self._session is not None:
            await self._session.close()
            self._session = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                # The loop closes them in its next turns, and tells nobody.
                while any(each.fileno() != -1 for each in list(self._sockets)):  # noqa: ASYNC110
                    await asyncio.sleep(0)

    def _opened_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept-Encoding": "identity", "User-Agent": "dmc"},
                connector=aiohttp.TCPConnector(limit=16, ssl=self._trust, socket_factory=self._new_socket),
            )
        return self._session

    def _new_socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, proto, _, _ = info
        made = socket.socket(family=family, type=kind, proto=proto)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # aiohttp limits the wait for an answer only: a server that takes no more bytes would be waited for without end.
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(READ_S * 1000))
        self._sockets.add(made)
        return made


def not_ours(what: str) -> ServerUnreachable:
    """Somebody answers, but not a dmc server as it should."""
    return ServerUnreachable(f"the answer is not dmc's: {what}.", "Is there a sign-in page, a proxy, or another program at this address?")


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """aiohttp's and the network's errors as ServerUnreachable."""
    try:
        yield
    except DmcError:
        raise
    except TimeoutError:
        raise ServerUnreachable("the server did not answer in time.") from None
    except (aiohttp.ClientError, OSError) as problem:
        raise ServerUnreachable(distrust(problem) or f"the connection failed: {str(problem) or type(problem).__name__}.") from None


def check_framing(method: str, answer: aiohttp.ClientResponse) -> None:
    """Refuse an answer whose body ends with the connection: a cut one could not be told from a complete one."""
    if method == "HEAD" or answer.status in (204, 304):
        return
    if "Content-Length" not in answer.headers and answer.headers.get("Transfer-Encoding", "").lower() != "chunked":
        raise not_ours("it has neither a length nor an end")


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in answer.content.iter_any():
        size += len(part)
        if size > MOST_JSON:
            raise not_ours("it does not end")
        parts.append(part)
    return b"".join(parts)


async def _told(method: str, answer: aiohttp.ClientResponse) -> DmcError:
    """What a refusing answer says. One in another shape than ours comes from something in between."""
    detail: ErrorDetail | None = None
    if method != "HEAD":
        try:
            detail = ErrorBody.model_validate_json(await _read(answer)).error
        except ValidationError:
            if answer.status not in (400, 408, 429, 431) and answer.status < 500:
                return not_ours(f"it answered {answer.status}")
    problem = error_from_wire(answer.status, detail)
    if isinstance(problem, Unavailable):
        problem.retry_after_s = retry_after(answer.headers.get("Retry-After"), datetime.now(UTC))
    return problem


def retry_after(field: str | None, now: datetime) -> float | None:
    """Seconds that a `Retry-After` asks for, given as a number or as a date; None if it says nothing."""
    if field is None:
        return None
    if field.strip().isascii() and field.strip().isdigit():
        return min(float(field), MOST_RETRY_AFTER_S)
    try:
        until = parsedate_to_datetime(field)
    except ValueError:
        return None
    seconds = (until if until.tzinfo else until.replace(tzinfo=UTC)) - now
    return min(max(0.0, seconds.total_seconds()), MOST_RETRY_AFTER_S)
