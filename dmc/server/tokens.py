"""Who may speak to the server: tokens, one-time sign-in codes and page sessions, in one file that only its owner can read.

Secrets are 256 random bits and are kept as SHA-256 only, so the file gives nothing away. Several processes may use it at
once: writers hold a lock, readers notice that the file was replaced. Knows nothing of HTTP.
"""

import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from dmc.clock import Clock, rfc3339
from dmc.conversions import did_you_mean
from dmc.errors import BadSettings, NotFound, UsageFault, WrongStatus
from dmc.files import Disk, translate, write_durably
from dmc.locks import ProcessLock
from dmc.server.own_file import not_understood

MARK = "dmc_"
"""Every secret starts so, which lets scanners find one that was published by mistake."""

SCHEMA: Final = 1
CODE_VALID_S = 15 * 60
SESSION_VALID_S = 30 * 24 * 3600
USE_NOTED_EVERY_S = 3600
_HINT = "Restore it, or remove it and make new tokens."


class Scope(StrEnum):
    """What a token may do; admin also sees the items of other clients."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


_FROZEN = ConfigDict(frozen=True, extra="forbid")


class Token(BaseModel):
    """A token as it is stored; `client_id` owns the items that are made with it."""

    model_config = _FROZEN
    name: str
    client_id: str
    sha256: str
    scopes: frozenset[Scope]
    created_at: str
    last_used_at: str | None = None


class Ticket(BaseModel):
    """A sign-in code or a page session: good until `expires_at`, for what the token called `token` may do."""

    model_config = _FROZEN
    sha256: str
    token: str
    expires_at: str


class _Document(BaseModel):
    model_config = _FROZEN
    schema_number: Literal[1] = SCHEMA
    tokens: tuple[Token, ...] = ()
    codes: tuple[Ticket, ...] = ()
    sessions: tuple[Ticket, ...] = ()


class Tokens:
    """The tokens of one server, kept at `path`. Thread-safe; everything but `find` and `session` may block for a disk write."""

    def __init__(self, path: Path, *, disk: Disk, clock: Clock) -> None:
        self._path = path
        self._disk = disk
        self._clock = clock
        self._lock = ProcessLock(path.with_name(path.name + ".lock"), holder_hint="Another dmc command is changing the tokens.")
        self._guard = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._document = _Document()
        self.refresh()

    def create(self, name: str, scopes: Iterable[str] = (Scope.READ, Scope.WRITE), client_id: str | None = None) -> str:
        """Make a token; returns its secret, which is shown this once. Raises WrongStatus if the name is taken."""
        wanted = frozenset(_scope(scope) for scope in scopes)
        if not name or not name.isprintable() or len(name) > 100 or not wanted:
            raise UsageFault("a token needs a printable name of 1 to 100 characters and at least one scope.")
        secret = _new_secret()
        token = Token(name=name, client_id=client_id or name, sha256=_hash(secret), scopes=wanted, created_at=rfc3339(self._clock.now()))

        def add(old: _Document) -> _Document:
            if any(known.name == name for known in old.tokens):
                raise WrongStatus(f"there is a token called {name!r} already.", "Take another name, or revoke that one first.")
            return old.model_copy(update={"tokens": (*old.tokens, token)})

        self._change(add)
        return secret

    def list(self) -> list[Token]:
        """All tokens, oldest first."""
        self.refresh()
        return list(self._document.tokens)

    def revoke(self, name: str) -> None:
        """End a token and the page sessions that came from it; raises NotFound."""

        def drop(old: _Document) -> _Document:
            if all(known.name != name for known in old.tokens):
                raise NotFound(f"there is no token called {name!r}.")
            return _Document(
                tokens=tuple(known for known in old.tokens if known.name != name),
                codes=tuple(code for code in old.codes if code.token != name),
                sessions=tuple(session for session in old.sessions if session.token != name),
            )

        self._change(drop)

    def sign_in_code(self, name: str, valid_s: float = CODE_VALID_S) -> str:
        """A code that signs a browser in once, as the token `name`; raises NotFound."""
        code = secrets.token_urlsafe(24)
        ticket = self._ticket(code, name, valid_s)

        def add(old: _Document) -> _Document:
            if all(known.name != name for known in old.tokens):
                raise NotFound(f"there is no token called {name!r}.")
            return old.model_copy(update={"codes": (*self._valid(old.codes), ticket)})

        self._change(add)
        return code

    def sign_in(self, code: str) -> tuple[str, Token] | None:
        """Use a code up: the secret of a new session and its token, or None if the code is unknown, used or too old."""
        digest = _hash(code)
        made: list[tuple[str, Token]] = []

        def swap(old: _Document) -> _Document:
            used = [ticket for ticket in self._valid(old.codes) if hmac.compare_digest(ticket.sha256, digest)]
            token = next((known for known in old.tokens if used and known.name == used[0].token), None)
            if token is None:
                return old
            secret = _new_secret()
            made.append((secret, token))
            session = self._ticket(secret, token.name, SESSION_VALID_S)
            codes = tuple(ticket for ticket in self._valid(old.codes) if ticket not in used)
            return old.model_copy(update={"codes": codes, "sessions": (*self._valid(old.sessions), session)})

        self._change(swap)
        return made[0] if made else None

    def open_session(self, secret: str) -> tuple[str, Token] | None:
        """A session for somebody who has a token's secret; None if it is not known."""
        token = self.find(secret)
        return None if token is None else self.sign_in(self.sign_in_code(token.name))

    def end_session(self, secret: str) -> None:
        """Sign out; nothing happens for an unknown session."""
        digest = _hash(secret)
        self._change(lambda old: old.model_copy(update={"sessions": tuple(s for s in old.sessions if s.sha256 != digest)}))

    def find(self, secret: str) -> Token | None:
        """The token with this secret. Reads memory only: `refresh` sees what other processes changed."""
        digest = _hash(secret)
        matches = [token for token in self._document.tokens if hmac.compare_digest(token.sha256, digest)]
        return matches[0] if matches else None

    def session(self, secret: str) -> Token | None:
        """The token that a page session stands for. Reads memory only."""
        digest = _hash(secret)
        document = self._document
        matches = [ticket for ticket in self._valid(document.sessions) if hmac.compare_digest(ticket.sha256, digest)]
        return next((token for token in document.tokens if matches and token.name == matches[0].token), None)

    def needs_note(self, token: Token) -> bool:
        """Whether the last noted use of `token` is so long ago that `note_use` is worth a write."""
        return token.last_used_at is None or token.last_used_at < rfc3339(self._clock.now() - timedelta(seconds=USE_NOTED_EVERY_S))

    def note_use(self, name: str) -> None:
        """Write down that the token `name` was used now."""
        moment = rfc3339(self._clock.now())

        def note(old: _Document) -> _Document:
            noted = (token.model_copy(update={"last_used_at": moment}) if token.name == name else token for token in old.tokens)
            return old.model_copy(update={"tokens": tuple(noted)})

        self._change(note)

    def refresh(self) -> None:
        """Read the file anew if somebody replaced it; raises BadSettings if it cannot be read."""
        with self._guard:
            self._read()

    def _change(self, make: Callable[[_Document], _Document]) -> None:
        with self._lock.held(), self._guard:
            self._read()
            document = make(self._document)
            if document is self._document:
                return
            try:
                write_durably(self._disk, self._path, document.model_dump_json(indent=1).encode() + b"\n")
            except OSError as problem:
                raise translate(problem, f"writing {self._path.name}") from problem
            self._document = document
            self._seen = self._stamp()

    def _read(self) -> None:
        stamp = self._stamp()
        if stamp == self._seen:
            return
        try:
            text = self._disk.read(self._path) if stamp else b""
            self._document = _Document.model_validate_json(text) if stamp else _Document()
        except OSError as problem:
            raise BadSettings(f"{self._path.name} cannot be read.", _HINT) from problem
        except ValidationError as problem:
            raise not_understood(self._path.name, text, problem, SCHEMA, _HINT) from None
        self._seen = stamp

    def _stamp(self) -> tuple[int, int] | None:
        found = self._disk.stat(self._path)
        return None if found is None else (found.st_ino, found.st_mtime_ns)

    def _ticket(self, secret: str, name: str, valid_s: float) -> Ticket:
        expires_at = rfc3339(self._clock.now() + timedelta(seconds=valid_s))
        return Ticket(sha256=_hash(secret), token=name, expires_at=expires_at)

    def _valid(self, tickets: Iterable[Ticket]) -> tuple[Ticket, ...]:
        now: datetime = self._clock.now()
        return tuple(ticket for ticket in tickets if ticket.expires_at > rfc3339(now))


def csrf_of(session_secret: str) -> str:
    """What a page must send along with writes, made from its session: whoever only rides on the cookie cannot know it."""
    return hashlib.sha256(b"dmc csrf " + session_secret.encode()).hexdigest()


def _scope(name: str) -> Scope:
    try:
        return Scope(name)
    except ValueError:
        raise UsageFault(f"there is no scope {name!r}.", did_you_mean(name, Scope) or f"There are: {', '.join(Scope)}.") from None


def _new_secret() -> str:
    return MARK + secrets.token_urlsafe(32)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
