"""Telling another program over HTTP: one signed POST. Redirects are not followed, and nothing it answers is read but the status."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import aiohttp

from dmc.errors import BadSettings
from dmc.items import Status
from dmc.server.digest import SIGNATURE, signature

TIMEOUT = aiohttp.ClientTimeout(total=15, sock_connect=5)


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where to tell what. `every_s`: how long the first item of a digest waits for more; 0: each is told at once."""

    url: str
    secret_file: Path
    statuses: frozenset[Status]
    every_s: float

    def secret(self) -> bytes:
        """The secret that both sides know; raises BadSettings. Blocking."""
        try:
            secret = self.secret_file.read_bytes().strip()
        except OSError as problem:
            raise BadSettings(f"the secret of the webhook cannot be read: {problem.strerror} ({self.secret_file}).") from None
        if len(secret) < 16:
            raise BadSettings(f"{self.secret_file} holds no secret of 16 characters or more.", "Make one: openssl rand -hex 32")
        return secret


class Post:
    """Sends to webhooks; one session for all."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._session: aiohttp.ClientSession | None = None

    async def send(self, url: str, secret: bytes, body: bytes) -> str | None:
        """None if it was taken (2xx), else why not, in words that hold no secret."""
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=TIMEOUT)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "dmc",
            SIGNATURE: signature(secret, body, int(self._now().timestamp())),
        }
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                return None if 200 <= answer.status < 300 else f"it answered {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            return type(problem).__name__

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
