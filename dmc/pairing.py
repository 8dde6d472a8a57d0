"""How a new client gets its token: a short code that the page shows is traded for one. What client and server share of it.

A code is eight letters that nobody confuses, good for ten minutes and once. Nothing here opens a socket or a file.
"""

import hmac
import re
import secrets

from pydantic import BaseModel, ConfigDict, Field

from dmc.protocol import API, Identity

PAIR = f"{API}/pair"
PAIR_CODES = f"{API}/pair/codes"

LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
CODE_LENGTH = 8
CODE_VALID_S = 600
MOST_NAME = 100

_WIRE = ConfigDict(frozen=True, extra="forbid", strict=True)
_READ = ConfigDict(frozen=True, extra="ignore")


class PairRequest(BaseModel):
    """What a new client says: the code, and how it wants to be called."""

    model_config = _WIRE
    code: str = Field(min_length=1, max_length=40)
    client_name: str = Field(min_length=1, max_length=MOST_NAME)


class PairReply(BaseModel):
    """The new token, told this once; the items made with it belong to `client_id`."""

    model_config = _READ
    token: str
    client_id: str
    scopes: list[str]
    server: Identity
    fingerprint: str | None = None


class PairCode(BaseModel):
    """A code to show; `fingerprint` is that of the server's certificate, None without TLS."""

    model_config = _READ
    code: str
    expires_at: str
    valid_s: int
    fingerprint: str | None = None


def new_code() -> str:
    """Eight random letters."""
    return "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))


def plain_code(text: str) -> str:
    """A code as people write it (`abcd efgh`, `ABCD-EFGH`), as it is compared."""
    return re.sub(r"[\s-]", "", text).upper()


def same_code(left: str, right: str) -> bool:
    """Whether two codes are the same, in a time that tells nothing."""
    return hmac.compare_digest(plain_code(left).encode(), plain_code(right).encode())
